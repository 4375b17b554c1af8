from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from paths import DATA

from wavetts.audio.stretch import Stretcher, stretch
from wavetts.audio.waveform import read_audio

SPEEDS = [0.25, 0.5, 0.8, 1.25, 2.0, 3.0, 4.0]
RATE = 22050


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return read_audio(DATA / "ljspeech" / "wavs" / "LJ001-0008.wav")[0]


@pytest.mark.parametrize("speed", SPEEDS)
def test_length_changes_and_pitch_stays(speed):
    time = np.arange(2 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 200 * time) + 0.2 * np.sin(2 * np.pi * 600 * time)).astype(np.float32)
    out = stretch(tone, RATE, speed)
    assert out.dtype == np.float32
    assert len(out) == round(len(tone) / speed)
    middle = out[len(out) // 4 : 3 * len(out) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    frequencies = np.fft.rfftfreq(len(middle), 1 / RATE)
    assert frequencies[spectrum.argmax()] == pytest.approx(200, abs=2 / (len(middle) / RATE))
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(np.sqrt(np.mean(tone**2)), rel=0.05)


@pytest.mark.parametrize("speed", SPEEDS)
def test_where_speech_is_cut_does_not_matter(clip, speed):
    whole = stretch(clip, RATE, speed)
    for size in (77, 960, 10_000):
        stretcher = Stretcher(RATE, speed)
        parts = [stretcher.write(clip[start : start + size]) for start in range(0, len(clip), size)]
        np.testing.assert_array_equal(np.concatenate([*parts, stretcher.finish()]), whole)


def test_it_comes_while_it_is_made(clip):
    """A tenth of a second of speech is all that is held back at usual speeds."""
    for speed in (0.8, 1.25):
        stretcher = Stretcher(RATE, speed)
        given = 0
        for start in range(0, len(clip), 441):
            given += len(stretcher.write(clip[start : start + 441]))
            assert start - given * speed < 0.12 * RATE


def test_a_speed_of_one_is_the_samples_themselves(clip):
    assert stretch(clip, RATE, 1.0) is clip
    stretcher = Stretcher(RATE, 1.0)
    assert stretcher.write(clip) is clip
    assert len(stretcher.finish()) == 0


def test_next_to_nothing():
    for count in (0, 1, 100):
        assert len(stretch(np.ones(count, dtype=np.float32), RATE, 0.5)) == 2 * count


def test_the_library_is_imported_for_another_speed_only():
    code = """
import sys
import numpy as np
from wavetts.audio.stretch import stretch
stretch(np.zeros(10, dtype=np.float32), 8000, 1.0)
assert "av" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
