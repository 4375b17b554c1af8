from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from paths import DATA

from wavetts.audio import read_audio
from wavetts.errors import UserError
from wavetts.evaluation.recognisers import build_recogniser, error_rates, missing_recogniser, plain_words

CLIPS = DATA / "ljspeech"


def test_error_rates_of_known_strings():
    assert error_rates("one two", "one too") == {
        "chars": 7,
        "words": 2,
        "cer": 1 / 7,
        "wer": 1 / 2,
        "deletions": 0,
        "insertions": 0,
    }
    assert error_rates("abcd", "") == {"chars": 4, "words": 1, "cer": 1, "wer": 1, "deletions": 1, "insertions": 0}
    rates = error_rates("a b c d", "a b x c d y z")
    assert (rates["wer"], rates["insertions"], rates["deletions"]) == (3 / 4, 3 / 4, 0)
    assert error_rates("a b c d", "a d")["deletions"] == 1 / 2
    assert error_rates("same words", "same words")["cer"] == 0


def test_nothing_said_has_no_rate():
    assert error_rates("", "noise") == {}


def test_plain_words():
    assert (
        plain_words("“Don’t!” Dr. Smith paid $5 — twenty-one.", "en-us")
        == "don't doctor smith paid five dollars twenty one"
    )
    assert plain_words("Où est-il ?", "fr-fr") == "où est il"


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    assert "not fr-fr" in missing_recogniser("pocketsphinx", None, "fr-fr")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jiwer" else name)
    assert missing_recogniser("pocketsphinx", None, "en-us") == "pip install 'wavetts[evaluate]'"
    for name in ("model.bin", "tokenizer.json"):
        (tmp_path / name).touch()
    assert missing_recogniser("faster-whisper", tmp_path, "fr-fr") == "pip install 'wavetts[whisper]'"


@pytest.mark.parametrize(
    ("name", "folder", "reason"),
    [
        ("faster-whisper", None, "needs a whisper_model"),
        ("faster-whisper", Path("tiny.en"), r"tiny\.en: no model\.bin in it"),
        ("pocketsphinx", Path("tiny.en"), "goes with the recogniser faster-whisper"),
    ],
)
def test_model_that_does_not_go_with_the_recogniser(name, folder, reason):
    with pytest.raises(UserError, match=reason):
        missing_recogniser(name, folder, "en-us")


@pytest.mark.slow
def test_real_clips_are_heard():
    """pocketsphinx mishears 5 to 20 % of these clips' characters, and what it hears does not depend on the order."""
    pytest.importorskip("pocketsphinx")
    recognise = build_recogniser("pocketsphinx", None, "en-us")
    lines = [line.split("|") for line in (CLIPS / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    edits = chars = 0
    heard = []
    for name, _, text in lines:
        heard.append(recognise(*read_audio(CLIPS / "wavs" / f"{name}.wav")))
        rates = error_rates(plain_words(text, "en-us"), heard[-1])
        edits, chars = edits + rates["cer"] * rates["chars"], chars + rates["chars"]
    assert 0.05 < edits / chars < 0.2
    assert recognise(*read_audio(CLIPS / "wavs" / f"{lines[0][0]}.wav")) == heard[0]


@pytest.mark.parametrize(("multilingual", "expected"), [(True, "fr"), (False, "en")])
def test_whisper_reads_the_folder_and_nothing_else(monkeypatch, tmp_path, multilingual, expected):
    """Its model is not for a test to bring: what is asked of it is."""
    asked = {}

    class WhisperModel:
        def __init__(self, folder, **options):
            asked.update(folder=folder, **options)
            self.model = SimpleNamespace(is_multilingual=multilingual)

        def transcribe(self, audio, language, **options):
            asked.update(size=len(audio), language=language)
            return iter([SimpleNamespace(text=" Deux"), SimpleNamespace(text=" mots.")]), None

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=WhisperModel))
    heard = build_recogniser("faster-whisper", tmp_path, "fr-fr")(np.zeros(8000, dtype=np.float32), 8000)
    assert heard == "deux mots"
    assert asked["folder"] == str(tmp_path) and asked["local_files_only"] is True
    assert (asked["size"], asked["language"]) == (16000, expected)
