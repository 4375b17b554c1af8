"""A tilt of a trained model: what is trained, what stays, resuming, and the likelihood that is printed of it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from toy import FRAME, metrics, toy_config, write_corpus

from wavetts.config.load import dump_config
from wavetts.errors import UserError
from wavetts.evaluation.evaluate import evaluate
from wavetts.model.checkpoint import load_model
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.energy.recovery import RecoveryConfig
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.subframe import SubframeConfig
from wavetts.training import state as states
from wavetts.training.loop import train

INNER = CompactFlowConfig(num_couplings=2, hidden_dim=16)
PLAIN = SubframeConfig(subframe_length=FRAME // 2, context_dim=16, past_noise=0.3, inner=INNER)
# As one would write them behind `wavetts train CONFIG`.
OVERRIDES = ["density.inner.kind=tilt", "density.inner.hidden_dim=16", "density.inner.num_negatives=4"]
OVERRIDES += ["density.inner.inner.kind=compact", "density.inner.inner.num_couplings=2"]
OVERRIDES += ["density.inner.inner.hidden_dim=16", "train.eval_every=10", "train.decay_fraction=0"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data", dev=2)


@pytest.fixture(scope="module")
def base(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "base"
    train(dataclasses.replace(toy_config(), density=PLAIN), data, folder, device="cpu", threads=1)
    (folder / "c.yaml").write_text(dump_config(dataclasses.replace(toy_config(), density=PLAIN)), encoding="utf-8")
    return folder


def command(base: Path, data: Path, folder: Path, *more: str) -> list[str]:
    words = ["train", str(base / "c.yaml"), *OVERRIDES, "--data", str(data), "--run", str(folder)]
    return [*words, "--device", "cpu", "--threads", "1", *more]


def test_the_score_alone_is_trained_and_goes_on_bit_for_bit(base, data, tmp_path, run):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(*command(base, data, whole, "--init-from", str(base)))[0] == 0
    before, after = (load_model(path).model.state_dict() for path in (base, whole))
    renamed = {name.replace("density.flow.", "density.flow.inner.", 1): value for name, value in before.items()}
    scores = {name for name in after if name.startswith("density.flow.score.")}
    assert after.keys() == renamed.keys() | scores
    assert all(torch.equal(after[name], value) for name, value in renamed.items())
    assert after["density.flow.score.output.weight"].any()
    # Which of 5 is the true one: it learns something.
    losses = [line["loss"] for line in metrics(whole, "train")]
    assert losses[-1] < losses[0]
    assert "bits_per_sample" not in metrics(whole, "train")[-1]
    assert metrics(whole, "dev")[-1].keys() >= {"loss", "stop_accuracy"}
    assert "bits_per_sample" not in metrics(whole, "dev")[-1]
    # In two parts.
    first = command(base, data, parts, "--init-from", str(base), "train.max_steps=10")
    assert run(*first)[0] == 0
    assert run(*command(base, data, parts, "--resume"))[0] == 0
    for name, value in load_model(parts).model.state_dict().items():
        assert torch.equal(value, after[name]), name
    pair = [states.load_state(states.list_states(path)[-1])["model"] for path in (whole, parts)]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])


def test_evaluate_prints_the_estimate_with_its_error_and_sample_size(base, data, tmp_path, run):
    before = evaluate([base], data / "dev.jsonl", device="cpu", threads=1).results["systems"][0]["teacher_forced"]
    folder, tag = (
        tmp_path / "tilt",
        r"\| likelihood +\| estimate, standard error (\S+) bits, effective sample size (\d+)",
    )
    assert run(*command(base, data, folder, "--init-from", str(base), "train.max_steps=3"))[0] == 0
    code, out, _ = run("evaluate", str(folder), str(data / "dev.jsonl"), "--device", "cpu")
    assert code == 0
    error, size = re.search(tag, out).groups()
    assert 0 < float(error) < 0.01
    assert 100 < int(size) <= 256
    # After three steps it is hardly another density than what it tilts.
    forced = evaluate([folder], data / "dev.jsonl", device="cpu", threads=1).results["systems"][0]["teacher_forced"]
    assert forced["likelihood"] == "estimate"
    assert forced["bits_per_sample"] == pytest.approx(before["bits_per_sample"], abs=0.02)
    code, _, error = run("evaluate", str(folder), str(data / "dev.jsonl"), "--likelihood", "ode")
    assert code == 2 and "only a diffusion has a choice" in error


def test_an_estimate_that_is_worth_nothing_is_refused_in_one_line(base, data, tmp_path, run):
    folder = tmp_path / "tilt"
    more = ["--init-from", str(base), "train.max_steps=1", "density.inner.least_sample_size=257"]
    assert run(*command(base, data, folder, *more))[0] == 0
    code, _, error = run("evaluate", str(folder), str(data / "dev.jsonl"), "--device", "cpu")
    assert code == 2
    (line,) = [line for line in error.splitlines() if "error:" in line]
    assert "effective sample size of its normaliser is" in line


def test_recovery_likelihood_trains_from_the_start_and_is_estimated(data, tmp_path, run):
    recovery = RecoveryConfig(hidden_dim=16, num_layers=1, num_levels=3, chain_steps=5, likelihood_draws=16)
    section = SubframeConfig(subframe_length=FRAME // 2, context_dim=16, inner=recovery)
    config = dataclasses.replace(toy_config(max_steps=6, eval_every=3, num_samples=1), density=section)
    train(config, data, tmp_path / "run", device="cpu", threads=1)
    first, *_, last = metrics(tmp_path / "run", "train")
    assert last["loss"] < first["loss"] and "bits_per_sample" not in last
    code, out, _ = run("evaluate", str(tmp_path / "run"), str(data / "dev.jsonl"), "--device", "cpu")
    assert code == 0
    assert re.search(r"\| likelihood +\| estimate, standard error \S+ bits, effective sample size \d+", out)


def test_what_a_tilt_cannot_start_from(base, data, tmp_path, run):
    code, _, error = run(*command(base, data, tmp_path / "new"))
    assert code == 2 and "a tilt is trained on a model that stays as it is; name one to start from" in error
    other = dataclasses.replace(PLAIN, inner=GaussianConfig())
    train(
        dataclasses.replace(toy_config(max_steps=1), density=other), data, tmp_path / "other", device="cpu", threads=1
    )
    code, _, error = run(*command(base, data, tmp_path / "new", "--init-from", str(tmp_path / "other")))
    assert code == 2 and "its density is subframe of gaussian, not what subframe of tilt of compact tilts" in error
    code, _, error = run(*command(base, data, tmp_path / "new", "--init-from", str(base), "train.adapter_rank=2"))
    assert code == 2 and "train.adapter_rank: all but the score of a tilt stays as it is" in error
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match="does not fit the config"):
        wider = CompactFlowConfig(num_couplings=2, hidden_dim=24)
        section = dataclasses.replace(load_model_section(base, data, tmp_path, run), inner=wider)
        config = dataclasses.replace(toy_config(), density=dataclasses.replace(PLAIN, inner=section))
        train(config, data, tmp_path / "new", init_from=base, device="cpu", threads=1)


def load_model_section(base: Path, data: Path, folder: Path, run):
    """The tilt's section of a run of one step."""
    assert run(*command(base, data, folder / "one", "--init-from", str(base), "train.max_steps=1"))[0] == 0
    return load_model(folder / "one").config.density.inner
