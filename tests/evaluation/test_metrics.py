from __future__ import annotations

import numpy as np
import pytest
from paths import DATA

from wavetts.audio import log_mel, read_audio
from wavetts.evaluation.metrics import compare, distortion, features

CLIP = DATA / "ljspeech" / "wavs" / "LJ001-0002.wav"
RATE = 16000


@pytest.fixture(scope="module")
def clip() -> tuple[np.ndarray, int]:
    return read_audio(CLIP)


@pytest.fixture(scope="module")
def reference(clip):
    return features(*clip)


def test_speech_is_no_distance_from_itself(reference):
    assert compare(reference, reference) == {"mcd": 0, "msd": 0, "f0_rmse": 0, "voicing_error": 0}


def test_noise_adds_distance(clip, reference):
    samples, rate = clip
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    found = [compare(reference, features(samples + level * noise, rate)) for level in (1e-4, 1e-3, 1e-2, 1e-1)]
    for key in ("mcd", "msd"):
        values = [one[key] for one in found]
        assert values[0] > 0 and values == sorted(values), (key, values)
    assert found[0]["mcd"] < 1 < 5 < found[-1]["mcd"]


def test_warping_undoes_a_shift(clip, reference):
    """By whole hops, so that the same rows are there again; the edges alone see other neighbours."""
    samples, rate = clip
    hop = 0.0125 * rate
    shifted = samples[round(4 * hop) :]
    far = compare(reference, features(shifted + 0.01 * np.random.default_rng(0).standard_normal(len(shifted)), rate))
    near = compare(reference, features(shifted, rate))
    assert near["mcd"] < 0.1 * far["mcd"] and near["msd"] < 0.1 * far["msd"]
    # And a copy that waits in the middle.
    middle = len(samples) // 2
    held = np.concatenate([samples[:middle], samples[middle - round(hop) : middle], samples[middle:]])
    assert compare(reference, features(held, rate))["mcd"] < 0.2 * far["mcd"]


def test_distortion_of_known_rows():
    """Paired rows differ by a vector of length 5; the one that is alone pairs with its neighbour."""
    ours = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0]])
    mean, path = distortion(ours, ours + np.array([3.0, 4.0]))
    assert mean == pytest.approx(5)
    assert path.tolist() == [[0, 0], [1, 1], [2, 2]]
    mean, path = distortion(ours, ours[[0, 1, 1, 2]])
    assert mean == 0
    assert path.tolist() == [[0, 0], [1, 1], [1, 2], [2, 3]]


def test_level_counts_in_the_spectrum_and_not_in_the_cepstrum(clip, reference):
    """Twice the amplitude adds ln 2 to each of 80 channels, wherever they are above the floor."""
    samples, rate = clip
    loud = samples + 1e-3 * np.random.default_rng(0).standard_normal(len(samples))
    found = compare(features(loud, rate), features(2 * loud, rate))
    assert found["msd"] == pytest.approx(np.sqrt(80) * np.log(2), rel=0.02)
    assert found["mcd"] < 0.01
    assert found["f0_rmse"] == pytest.approx(0, abs=1e-3)


def test_mfccs_are_the_orthonormal_cosine_transform_of_the_log_mel(clip):
    from scipy.fft import dct

    samples, _ = clip
    audio = samples[:RATE]
    expected = dct(log_mel(audio, RATE), norm="ortho", axis=1)[:, 1:14]
    np.testing.assert_allclose(features(audio, RATE).mfcc, expected, atol=1e-3)


def glottal_pulses(frequency: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * sum(np.sin(2 * np.pi * k * frequency * time) / k for k in range(1, 11)).astype(np.float32)


def test_f0_of_a_known_pitch():
    low, high = (features(glottal_pulses(frequency), RATE) for frequency in (120.0, 120.0 * 2**0.25))
    assert np.nanmedian(low.log_f0) == pytest.approx(np.log(120), abs=0.01)
    # Three semitones.
    assert compare(low, high)["f0_rmse"] == pytest.approx(0.25 * np.log(2), abs=0.02)


def test_voicing_error_of_noise_against_a_voice():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    found = compare(features(glottal_pulses(120), RATE), features(noise, RATE))
    assert found["voicing_error"] > 0.9
    assert found["f0_rmse"] is None or found["voicing_error"] < 1


def test_shortest_speech_has_figures():
    short = features(0.1 * np.ones(10, dtype=np.float32), 8000)
    assert len(short.log_mel) == len(short.mfcc) == len(short.log_f0)
    assert compare(short, short)["mcd"] == 0
