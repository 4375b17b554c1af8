"""`wavetts evaluate` prints the bound whatever the weighting that trained, its tag, and the error of its noise."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch
from toy import metrics, toy_config, write_corpus

from wavetts.evaluation.evaluate import Options, evaluate
from wavetts.evaluation.tables import render
from wavetts.model.density.diffusion.density import Diffusion, DiffusionConfig
from wavetts.training.loop import train

SMALL = DiffusionConfig(
    hidden_dim=16, num_layers=1, gamma_min=-8.0, gamma_max=5.0, weighting="sigmoid", likelihood_steps=4
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data", dev=2)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(dataclasses.replace(toy_config(max_steps=4), density=SMALL), data, folder, device="cpu", threads=1)
    return folder


def test_the_bound_is_printed_with_its_error(trained, data, monkeypatch):
    monkeypatch.setattr(Diffusion, "loss", lambda *_: pytest.fail("the loss is no likelihood"))
    results = evaluate([trained], data / "dev.jsonl", device="cpu", threads=1).results
    (system,) = results["systems"]
    forced = system["teacher_forced"]
    assert forced["likelihood"] == "bound"
    # Another draw of the noise moves it by about the error that was told.
    error = forced["standard_error"]
    assert 0 < error < 0.5
    bound_draws = Diffusion.bound_draws
    generator = torch.Generator().manual_seed(7)
    monkeypatch.setattr(Diffusion, "bound_draws", lambda self, x, cond, _=None: bound_draws(self, x, cond, generator))
    other = evaluate([trained], data / "dev.jsonl", device="cpu", threads=1).results["systems"][0]["teacher_forced"]
    assert other["bits_per_sample"] != forced["bits_per_sample"]
    assert abs(other["bits_per_sample"] - forced["bits_per_sample"]) < 6 * error
    assert f"bound, standard error {error:.1g} bits" in render(results)


def test_a_weighted_loss_is_not_called_a_likelihood(trained):
    (*_, line) = metrics(trained, "train")
    assert "loss" in line
    assert not {"nll", "bits_per_sample"} & set(line)
    assert "bits_per_sample" in metrics(trained, "dev")[-1]


def test_the_odes_density_is_an_estimate(trained, data, run):
    code, out, _ = run("evaluate", str(trained), str(data / "dev.jsonl"), "--likelihood", "ode", "--device", "cpu")
    assert code == 0
    # Exact traces, so that there is no noise.
    assert re.search(r"\| likelihood +\| +estimate +\|", out)


def test_only_a_diffusion_has_a_choice(data, tmp_path):
    train(toy_config(max_steps=1), data, tmp_path / "run", device="cpu", threads=1)
    with pytest.raises(Exception, match="only a diffusion has a choice"):
        evaluate([tmp_path / "run"], data / "dev.jsonl", Options(likelihood="ode"), device="cpu", threads=1)
