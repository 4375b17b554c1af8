from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from paths import DATA

from wavetts.audio import read_audio
from wavetts.evaluation.quality import dnsmos, missing_quality

CLIP = DATA / "ljspeech" / "wavs" / "LJ001-0002.wav"


def test_recording_scores_above_noise():
    pytest.importorskip("speechmos")
    samples, rate = read_audio(CLIP)
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    clean, noisy = dnsmos(samples, rate), dnsmos(samples + 0.03 * noise, rate)
    assert set(clean) == {"dnsmos", "dnsmos_signal", "dnsmos_background", "dnsmos_p808"}
    assert 2.5 < clean["dnsmos"] < 4.5
    for name, value in clean.items():
        assert 1 <= noisy[name] < value, name
    assert noisy["dnsmos_background"] < clean["dnsmos_background"] - 0.5


def test_missing_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "speechmos" else name)
    assert missing_quality() == "pip install 'wavetts[evaluate]'"
