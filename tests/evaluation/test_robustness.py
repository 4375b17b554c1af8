from __future__ import annotations

import numpy as np
import pytest
from paths import DATA

from wavetts.audio import read_audio
from wavetts.evaluation.robustness import boundary_decibels, clipped_samples, noise_seconds, token_health

CLIPS = sorted((DATA / "ljspeech" / "wavs").glob("*.wav"))


def alignment(*peaks: int, tokens: int) -> np.ndarray:
    return np.eye(tokens)[list(peaks)]


@pytest.mark.parametrize(
    ("peaks", "skipped", "longest", "repeated"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 0, 0, 0),
        ([0, 0, 1, 2, 5, 6, 7, 7], 2, 2, 0),  # tokens 3 and 4
        ([0, 1, 2, 3], 4, 4, 0),  # the end
        ([2, 4, 6], 5, 2, 0),  # 0 and 1, 3, 5, 7
        ([0, 1, 2, 3, 1, 2, 3, 4, 5, 6, 7], 0, 0, 0),  # two back is jitter
        ([0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7], 0, 0, 2),  # 1 and 2 are more than two behind 5
    ],
)
def test_tokens_of_a_known_path(peaks, skipped, longest, repeated):
    found = token_health(alignment(*peaks, tokens=8))
    assert found == {"tokens": 8, "skipped": skipped, "longest_skip": longest, "repeated": repeated}


def test_a_token_with_a_tenth_of_the_attention_is_read():
    weights = np.array([[0.8, 0.1, 0.05, 0.05], [0.0, 0.0, 0.0, 1.0]])
    assert token_health(weights)["skipped"] == 1


def test_clipping_is_two_in_a_row():
    full = 1 - 2.0**-15
    assert clipped_samples(np.array([0, full, 0, -1, 0.5])) == 0
    assert clipped_samples(np.array([0, full, full, 0, -1, -1, -1, 0])) == 5
    assert clipped_samples(np.array([full, -1, full])) == 0
    assert clipped_samples(np.zeros(0)) == 0


def test_noise_is_found_and_speech_is_not():
    rng = np.random.default_rng(0)
    for path in CLIPS:
        samples, rate = read_audio(path)
        # At its full scale speech is as loud as it gets.
        loud = samples / np.abs(samples).max()
        assert noise_seconds(loud, rate) == 0
        burst = loud.copy()
        burst[rate // 2 : rate // 2 + round(0.3 * rate)] = 0.3 * rng.standard_normal(round(0.3 * rate))
        assert 0.2 <= noise_seconds(burst, rate) <= 0.31
    assert noise_seconds(0.01 * rng.standard_normal(16000), 16000) == 0
    assert noise_seconds(np.zeros(10), 16000) == 0


def test_speech_has_no_clicks_anywhere_until_they_are_added():
    levels, clicks = [], []
    for path in CLIPS:
        samples, rate = read_audio(path)
        size = round(0.04 * rate)
        levels += [boundary_decibels(samples[start:], size) for start in range(0, size, size // 5)]
        # Each frame sits 0.01 too high or too low.
        steps = np.repeat(np.random.default_rng(0).choice([-0.01, 0.01], len(samples) // size + 1), size)
        clicks.append(boundary_decibels(samples + steps[: len(samples)], size))
    assert abs(np.mean(levels)) < 0.5
    assert min(clicks) > 3


def test_level_of_a_known_click():
    """A sine whose second difference has mean square P, and steps by h, which are h^2 in two samples each.

    The logarithm of a squared sine lies 3.01 dB below that of its mean.
    """
    size, rate, height = 400, 16000, 0.1
    time = np.arange(200 * size)
    angle = 2 * np.pi * 210.7 / rate
    power = (0.3 * (2 * np.sin(angle / 2)) ** 2) ** 2 / 2
    steps = np.where(time // size % 2, height / 2, -height / 2)
    found = boundary_decibels(0.3 * np.sin(angle * time) + steps, size)
    assert found == pytest.approx(10 * np.log10(height**2 / power) + 3.01, abs=0.3)


def test_nothing_to_measure():
    assert boundary_decibels(np.zeros(10), 100) is None
    assert boundary_decibels(np.zeros(1000), 100) is None
