"""Training a low-rank change of a model: what it computes, and whole runs of it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from small_models import ENCODERS
from toy import metrics, toy_config, write_corpus

from wavetts.errors import UserError
from wavetts.model import checkpoint
from wavetts.model.lora import plain_weights, train_low_rank
from wavetts.model.tacotron import WaveTacotron
from wavetts.training import state as states
from wavetts.training.loop import train
from wavetts.training.optim import build_average

RANK = 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def base(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "base"
    train(toy_config(max_steps=4, num_samples=0), data, folder, device="cpu", threads=1)
    return folder


def adapt(data: Path, base: Path | None, run: Path, resume: bool = False, **section: object) -> Path:
    config = toy_config(adapter_rank=RANK, num_samples=0, **section)
    train(config, data, run, resume=resume, init_from=base, device="cpu", threads=1)
    return run


def small_model(kind: str) -> WaveTacotron:
    torch.manual_seed(0)
    return WaveTacotron(toy_config(encoder={"kind": kind, **ENCODERS[kind]}), 9).eval()


def output(model: WaveTacotron) -> torch.Tensor:
    torch.manual_seed(1)
    tokens, frames = torch.randint(1, 9, (2, 5)), torch.randn(2, 3, model.frame_length)
    return model(tokens, torch.tensor([5, 4]), frames).cond


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_changes_are_in_the_plain_weights(kind: str):
    model = small_model(kind)
    original, before = output(model), copy.deepcopy(model.state_dict())
    adapted = copy.deepcopy(model)
    train_low_rank(adapted, RANK)
    assert torch.equal(output(adapted), original)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    plain = plain_weights(adapted)
    assert plain.keys() == before.keys()
    for name, tensor in plain.items():
        change = (tensor - before[name]).double()
        if tensor.dim() >= 2 and RANK * (len(tensor) + tensor[0].numel()) < tensor.numel():
            assert torch.linalg.matrix_rank(change.flatten(1), rtol=1e-5) == RANK, name
    changed = output(adapted)
    assert (changed - original).abs().max() > 1e-2
    model.load_state_dict(plain)
    torch.testing.assert_close(output(model), changed)


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_change_gets_its_gradient_and_no_frozen_weight_does(kind: str):
    model = small_model(kind)
    train_low_rank(model, RANK)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".up"):
                parameter.normal_()  # else the other factor has none
    output(model.train()).square().sum().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("density."):
            continue
        assert parameter.requires_grad != name.endswith(".original"), name
        # Cond does not depend on whether it ends there.
        if not name.startswith("decoder.stop"):
            assert (parameter.grad is not None and parameter.grad.any()) == parameter.requires_grad, name


def test_a_run_saves_ordinary_models_that_store_small(data: Path, base: Path, tmp_path: Path):
    run = adapt(data, base, tmp_path / "run", max_steps=10, eval_every=10)
    assert metrics(run, "dev")[-1]["nll"] < metrics(base, "dev")[-1]["nll"]
    small = base.with_name("small.safetensors")
    kept = checkpoint.export_model(run, small, base=base, rank=RANK)
    assert len(kept) > 5 and min(kept.values()) > 0.999
    weights, stored = (checkpoint.load_model(path).model.state_dict() for path in (run, small))
    for name, tensor in weights.items():
        torch.testing.assert_close(stored[name], tensor, rtol=2e-3, atol=2e-3)


def test_resuming_goes_on_bit_for_bit(data: Path, base: Path, tmp_path: Path):
    whole = adapt(data, base, tmp_path / "whole", max_steps=8, save_every=4, decay_fraction=0.0)
    parts = adapt(data, base, tmp_path / "parts", max_steps=4, save_every=4, decay_fraction=0.0)
    adapt(data, None, parts, resume=True, max_steps=8, save_every=4, decay_fraction=0.0)
    one, other = (checkpoint.load_model(path).model.state_dict() for path in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_average_is_that_of_the_weights_and_not_of_the_factors():
    model = small_model("conv_lstm")
    average, name, sums = build_average(model, decay=0.9), "decoder.prenet.0.weight", []
    train_low_rank(model, RANK)
    for _ in range(3):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += 0.1 * torch.randn_like(parameter)
        output(model)
        average.update_parameters(model)
        sums.append(plain_weights(model)[name])
    expected = sums[0]
    for number, weight in enumerate(sums[1:], start=1):
        expected = torch.lerp(expected, weight, 1 - (1 + number) / (10 + number))
    averaged = average.module.state_dict()
    torch.testing.assert_close(averaged[name], expected)
    assert averaged.keys() == small_model("conv_lstm").state_dict().keys()


def test_states_whose_average_was_of_factors_are_refused_in_a_line(data: Path, base: Path, tmp_path: Path):
    run = adapt(data, base, tmp_path / "run", max_steps=2)
    path = states.list_states(run)[-1]
    state = states.load_state(path)
    name = next(name for name in state["average"] if name.endswith("prenet.0.weight"))
    state["average"][name.replace("weight", "parametrizations.weight.original")] = state["average"].pop(name)
    states.save_state(path, state)
    with pytest.raises(UserError, match="its states are of an earlier version of wavetts; start a new run"):
        adapt(data, None, run, resume=True, max_steps=4)


def test_there_must_be_a_model_to_adapt(data: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"train\.adapter_rank: there is no model to adapt; name one to start from"):
        adapt(data, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()
