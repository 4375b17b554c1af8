from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from toy import RATE, toy_config, write_corpus
from toy_voice import save_voice

from wavetts import cli, evaluate
from wavetts.audio import read_audio
from wavetts.checkpoint import load_model
from wavetts.data import Corpus, load_manifest
from wavetts.distributed import Processes
from wavetts.errors import UserError
from wavetts.evaluate import error_rates, plain_words, render
from wavetts.heldout import evaluate as evaluate_teacher_forced
from wavetts.inputs import SynthesisSettings

FAST = SynthesisSettings(max_seconds=0.2, retries=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> Path:
    return save_voice(tmp_path_factory.mktemp("voice"), stop="never")


@pytest.fixture
def recogniser(monkeypatch):
    """A recogniser that hears "abc" in all that is long enough; returns the rates and lengths that it got."""
    heard = []

    def recognise(samples: np.ndarray, rate: int) -> str:
        heard.append((len(samples), rate))
        return "abc" if len(samples) > 0.5 * rate else ""

    monkeypatch.setattr(evaluate, "_missing_recogniser", lambda language: None)
    monkeypatch.setattr(evaluate, "_build_recogniser", lambda: recognise)
    return heard


def test_figures_are_those_of_training(data, voice):
    results = evaluate.evaluate(voice, data / "dev.jsonl", device="cpu", threads=1)
    loaded = load_model(voice)
    corpus = Corpus(load_manifest(data / "dev.jsonl"), loaded.tokenizer, loaded.config)
    expected = evaluate_teacher_forced(loaded.model, corpus, toy_config(), Processes(0, 1, loaded.model.scale.device))
    forced = results["teacher_forced"]
    assert {name: forced[name] for name in expected} == expected
    assert (forced["likelihood"], forced["dither"], forced["sample_rate"]) == ("exact", 0.0, RATE)
    assert (results["utterances"], results["left_out"]) == (4, 0)
    table = render(results)
    assert f"bits per sample  {expected['bits_per_sample']:.4f} (exact)" in table
    assert "CER" not in table


def test_synthesis_is_held_against_the_recordings(data, voice, recogniser):
    results = evaluate.evaluate(voice, data / "dev.jsonl", 3, FAST, "cpu", 1)
    spoken = results["synthesis"]
    utterances = load_manifest(data / "dev.jsonl")[:3]
    assert [item["id"] for item in spoken["items"]] == [utterance.id for utterance in utterances]
    assert recogniser == [pair for u in utterances for pair in ((0.2 * RATE, RATE), (u.samples, RATE))]
    assert spoken["complete"] == 0
    assert spoken["duration_ratio"] == pytest.approx(0.6 * RATE / sum(u.samples for u in utterances))
    assert [item["reference"] for item in spoken["items"]] == [u.text.lower() for u in utterances]
    assert spoken["synthesized"] == {"cer": 1.0, "wer": 1.0}
    heard = ["abc" if u.samples > 0.5 * RATE else "" for u in utterances]
    assert spoken["recordings"] == error_rates([u.text.lower() for u in utterances], heard)
    assert "CER              100.0% (recordings" in render(results)


def test_missing_recogniser_is_said(data, voice, monkeypatch):
    monkeypatch.setattr(evaluate.importlib.util, "find_spec", lambda name: None if name == "jiwer" else name)
    results = evaluate.evaluate(voice, data / "dev.jsonl", 1, FAST, "cpu", 1)
    assert results["synthesis"]["missing"] == "not measured: pip install 'wavetts[evaluate]'"
    assert "error rates      not measured: pip install 'wavetts[evaluate]'" in render(results)


def test_recogniser_knows_english_only():
    assert "not fr-fr" in evaluate._missing_recogniser("fr-fr")


def test_error_rates_are_over_all_texts():
    rates = error_rates(["one two", "three", ""], ["one too", "three", "noise"])
    assert rates == {"cer": 1 / 12, "wer": 1 / 3}


def test_plain_words():
    assert (
        plain_words("“Don’t!” Dr. Smith paid $5 — twenty-one.", "en-us")
        == "don't doctor smith paid five dollars twenty one"
    )
    assert plain_words("Où est-il ?", "fr-fr") == "où est il"


def test_data_that_does_not_go_with_the_model(data, voice, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    info = json.loads((data / "info.json").read_text())
    (tmp_path / "data" / "info.json").write_text(json.dumps({**info, "sample_rate": 16000}))
    with pytest.raises(UserError, match="the data has 16000 Hz"):
        evaluate.evaluate(voice, tmp_path / "data" / "dev.jsonl", device="cpu")
    (tmp_path / "data" / "info.json").write_text(json.dumps(info))
    (tmp_path / "data" / "empty.jsonl").write_text("")
    with pytest.raises(UserError, match=r"empty\.jsonl: no utterance in it"):
        evaluate.evaluate(voice, tmp_path / "data" / "empty.jsonl", device="cpu")


def test_command_prints_a_table_and_writes_json(data, voice, tmp_path, capsys):
    output = tmp_path / "new" / "results.json"
    arguments = ["--output", str(output), "--threads", "1", "--device", "cpu"]
    cli.main(["evaluate", str(voice), str(data / "test.jsonl"), *arguments])
    results = json.loads(output.read_text())
    assert results["manifest"] == str(data / "test.jsonl")
    assert capsys.readouterr().out == render(results) + "\n"


def test_recogniser_hears_a_recording():
    pytest.importorskip("pocketsphinx")
    path = Path(__file__).parent / "data" / "ljspeech" / "wavs" / "LJ001-0002.wav"
    # "in being comparatively modern."
    assert "comparatively" in evaluate._build_recogniser()(*read_audio(path))
