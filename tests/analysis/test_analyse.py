"""`wavetts analyse`: two models on the same held-out utterances, beside both controls."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import toy_config, write_corpus

from wavetts.analysis.compare import PAIRS, Options, analyse
from wavetts.analysis.report import correlation_figure, render
from wavetts.config import Config
from wavetts.config.load import from_dict, to_dict
from wavetts.model.checkpoint import load_model, save_model
from wavetts.model.tacotron import WaveTacotron
from wavetts.text.tokenizer import Tokenizer

FIGURES = ("weak", "strong", "forward", "backward")


TOKENIZER = Tokenizer.build(["abcdefgh"], "characters", "en-us")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data", dev=16)


def save(folder: Path, model: WaveTacotron) -> Path:
    save_model(folder / "model.safetensors", model.state_dict(), model.config, TOKENIZER, {})
    return folder


def make(config: Config, seed: int) -> WaveTacotron:
    """Far enough from its initial weights to differ from an untrained model."""
    torch.manual_seed(seed)
    model = WaveTacotron(config, len(TOKENIZER.symbols))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        model.scale.fill_(5.0)
    return model


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that differ in their seed."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        save(folder / f"seed{seed}", make(toy_config(), seed))
    return folder


def test_a_model_has_its_own_features_and_controls_do_not(runs, data):
    results = analyse(runs / "seed1", runs / "seed1", data / "dev.jsonl", device="cpu", threads=1)
    assert set(results["features"]) == {"cond", "attention"}
    for figures in results["features"].values():
        same, shuffled, untrained = (figures[pair] for pair in PAIRS)
        assert [same[key] for key in ("weak", "strong")] == pytest.approx([1, 1], abs=1e-9)
        # Components that hold 99 % of the variance of some utterances hold a little less of others'.
        assert same["forward"] > 0.8 and same["backward"] > 0.8
        assert abs(shuffled["weak"]) < 0.1 and abs(shuffled["strong"]) < 0.1 and shuffled["forward"] < 0.02
        assert untrained["strong"] < 0.9 and untrained["weak"] < 0.999
    assert results["same_base"] is None
    assert results["utterances"] == 16


def test_units_in_another_order_are_the_same_features(runs, data, tmp_path):
    """Seen through by the matching, whatever their order."""
    loaded = load_model(runs / "seed1")
    weights = loaded.model.state_dict()
    hidden = weights["decoder.lstms.0.weight_hh_l0"].shape[1]
    order = torch.randperm(hidden, generator=torch.Generator().manual_seed(0))
    gates = torch.cat([order + gate * hidden for gate in range(4)])
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        weights[f"decoder.lstms.0.{name}"] = weights[f"decoder.lstms.0.{name}"][gates]
    weights["decoder.lstms.0.weight_hh_l0"] = weights["decoder.lstms.0.weight_hh_l0"][:, order]
    inputs = "decoder.lstms.0.weight_ih_l0"
    weights[inputs] = weights[inputs][:, order]
    for name in ("weight", "bias"):
        weights[f"decoder.input.{name}"] = weights[f"decoder.input.{name}"][order]
    save_model(tmp_path / "model.safetensors", weights, loaded.config, loaded.tokenizer, {})
    results = analyse(runs / "seed1", tmp_path, data / "dev.jsonl", Options(("cond",)), device="cpu", threads=1)
    figures = results["features"]["cond"][PAIRS[0]]
    assert [figures["weak"], figures["strong"]] == pytest.approx([1, 1], abs=1e-4)


def test_the_command_prints_a_table_and_writes_what_it_is_asked_for(runs, data, run, tmp_path):
    words = ["--splits", "2", "--output", "same.json", "--plot", "same.png", "--device", "cpu", "--threads", "1"]
    code, out, err = run("analyse", str(runs / "seed1"), str(runs / "seed2"), str(data / "dev.jsonl"), *words)
    assert code == 0, err
    results = json.loads((tmp_path / "same.json").read_text(encoding="utf-8"))
    assert out == render(results)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")]
    assert [line[:2] for line in lines[2:]] == [
        [name if pair == PAIRS[0] else "", pair] for name in ("cond", "attention") for pair in PAIRS
    ]
    for line, (name, pair) in zip(
        lines[2:], [(name, pair) for name in ("cond", "attention") for pair in PAIRS], strict=True
    ):
        part = results["features"][name][pair]
        assert line[4:] == [f"{part[key]:.3f} ±{part['spread'][key]:.3f}" for key in FIGURES]
    assert (tmp_path / "same.png").read_bytes()[:4] == b"\x89PNG"
    assert "wrote same.json, same.png" in err
    # Another run of the same seed says the same, and another seed has other halves.
    again = analyse(runs / "seed1", runs / "seed2", data / "dev.jsonl", Options(splits=2), "cpu", 1)
    assert again["features"] == results["features"]
    other = analyse(runs / "seed1", runs / "seed2", data / "dev.jsonl", Options(splits=2, seed=1), "cpu", 1)
    assert other["features"]["cond"][PAIRS[0]] != results["features"]["cond"][PAIRS[0]]


def test_the_picture_has_the_correlations(runs, data):
    results = analyse(runs / "seed1", runs / "seed2", data / "dev.jsonl", Options(splits=1), device="cpu", threads=1)
    panels = correlation_figure(results).axes
    assert [axes.get_title() for axes in panels] == ["cond", "attention"]
    for axes, name in zip(panels, results["features"], strict=True):
        for line, pair in zip(axes.lines, PAIRS, strict=True):
            np.testing.assert_allclose(line.get_ydata(), results["features"][name][pair]["canonical"])


@pytest.mark.filterwarnings("ignore:attention")
def test_few_frames_are_warned_of(runs, data):
    """A folder's test.jsonl is taken; here it has two utterances."""
    with pytest.warns(UserWarning, match="cond: .* frames to fit .* too few"):
        results = analyse(runs / "seed1", runs / "seed2", data, Options(splits=1), device="cpu", threads=1)
    assert results["utterances"] == 2 and results["data"].endswith("test.jsonl")


def test_tilts_over_the_same_flow_are_told_from_others(data, tmp_path):
    config = to_dict(toy_config())
    inner = {"kind": "compact", "num_couplings": 2, "hidden_dim": 8}
    tilt = {"kind": "tilt", "score": "dot", "num_features": 3, "hidden_dim": 8, "inner": inner}
    config["density"] = {"kind": "subframe", "subframe_length": 40, "context_dim": 12, "inner": tilt}
    model = make(from_dict(config), seed=0)
    for name in ("a", "b", "c"):
        with torch.no_grad():
            for part in model.density.flow.trained_parts():
                for parameter in part.parameters():
                    parameter.normal_(std=0.3)
            if name == "c":
                model.density.cond_linear.weight.mul_(1.01)
        save(tmp_path / name, model)
    options = Options(("f", "g"), splits=1)
    manifest = data / "dev.jsonl"
    same, different = (analyse(tmp_path / "a", tmp_path / name, manifest, options, "cpu", 1) for name in ("b", "c"))
    assert list(same["features"]) == ["f", "g"]
    assert same["same_base"] is True and "the same, as theory asks" in render(same)
    assert different["same_base"] is False and "theory says nothing" in render(different)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none", "{run}", "{data}"], "none: no such model file, run folder or voice"),
        (["{run}", "{run}", "missing.jsonl"], "missing.jsonl: no such manifest"),
        (["{run}", "{run}", "{data}", "--features", "density"], "features: density (the context of the innermost"),
        (["{run}", "{run}", "{data}", "--features", "loud"], "invalid choice: 'loud'"),
        (["{run}", "{run}", "{data}", "--max-utterances", "1"], "1 utterances that both models can read"),
        (["{run}", "{run}", "{data}", "--splits", "0"], "0 is not a positive whole number"),
        (["{run}", "{run}", "{data}", "--plot", "same.tune"], "same.tune: pictures are written as"),
        (["{run}", "joe", "{data}"], "joe: its frames have 640 samples at 16000 Hz, those of {run} 160 at 8000"),
        (["joe", "joe", "{data}"], "the data has 8000 Hz, the config audio.sample_rate 16000"),
    ],
)
def test_mistakes_are_one_line(words, message, runs, data, run, tmp_path):
    names = {"run": runs / "seed1", "data": data / "dev.jsonl"}
    code, _, err = run("analyse", *(word.format(**names) for word in words), "--output", "same.json")
    assert code == 2
    (line,) = [line for line in err.splitlines() if "error:" in line]
    assert message.format(**names) in line
    assert not list(tmp_path.glob("same.*"))


def test_utterances_that_one_model_cannot_read_are_left_out(runs, data, tmp_path, run):
    copied = tmp_path / "copied"
    shutil.copytree(data, copied)
    lines = (copied / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    entry = json.loads(lines[0])
    lines[0] = json.dumps({**entry, "spoken": "xyz"})
    (copied / "dev.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="1 utterances left out"):
        results = analyse(runs / "seed1", runs / "seed2", copied / "dev.jsonl", Options(splits=1), "cpu", 1)
    assert results["utterances"] == 15
