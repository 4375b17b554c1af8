"""What goes wrong in synthesis: tokens passed over or read again, clipping, bursts of noise, clicks between frames."""

from __future__ import annotations

import numpy as np

# A token is read in a frame if it holds this share of the attention, or is the frame's peak (as in `objective`).
READ_WEIGHT = 0.1
# Attention whose peak falls back behind the furthest token by more than this reads again. One or two are jitter.
JITTER_TOKENS = 2
LARGEST_SAMPLE = 1 - 2.0**-15
NOISE_WINDOW_SECONDS = 0.05
# A burst of noise is loud and flat: the level of loud vowels with a spectrum that no vowel has (white noise: 0.56).
NOISE_LEVEL_DBFS = -20.0
NOISE_FLATNESS = 0.2
# What is quieter is silence, whose steps are rounding.
SILENCE_DBFS = -60.0


def token_health(alignment: np.ndarray) -> dict[str, int]:
    """How completely and how often an utterance's tokens were read.

    Args:
        alignment: (T, I).

    Returns:
        "tokens": I. "skipped": tokens that no frame read. "longest_skip": the most in a row; three and more are about
        a syllable. "repeated": tokens that were read again, after attention had been more than two tokens further.
    """
    peaks = alignment.argmax(axis=1)
    read = alignment.max(axis=0) >= READ_WEIGHT
    read[peaks] = True
    # Tokens in a row that were not read: the gaps between those that were.
    gaps = np.diff(np.flatnonzero(np.concatenate([[True], read, [True]]))) - 1
    back = peaks[peaks < np.maximum.accumulate(peaks) - JITTER_TOKENS]
    return {
        "tokens": len(read),
        "skipped": int((~read).sum()),
        "longest_skip": int(gaps.max()),
        "repeated": len(np.unique(back)),
    }


def clipped_samples(samples: np.ndarray) -> int:
    """Samples (S,) at the end of the 16-bit range, which are or may have been beyond it."""
    return int(np.count_nonzero((samples >= LARGEST_SAMPLE) | (samples <= -1)))


def noise_seconds(samples: np.ndarray, rate: int) -> float:
    """Seconds of loud noise: 50 ms windows above -20 dBFS (RMS) whose spectral flatness is above 0.2.

    Flatness is the geometric over the arithmetic mean of the power spectrum: about 0.56 for white noise, hundredths for
    vowels. Fricatives are as flat, and far quieter than this.

    Args:
        samples: (S,) in [-1, 1).
        rate: in Hz.
    """
    size = round(NOISE_WINDOW_SECONDS * rate)
    windows = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    loud = np.sqrt(np.mean(windows**2, axis=1)) > 10 ** (NOISE_LEVEL_DBFS / 20)
    # The lowest bins hold the mean and its leakage.
    power = np.abs(np.fft.rfft(windows[loud] * np.hanning(size), axis=1))[:, 3:] ** 2 + 1e-20
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    return float(np.count_nonzero(flatness > NOISE_FLATNESS) * NOISE_WINDOW_SECONDS)


def boundary_ratio(samples: np.ndarray, frame_length: int) -> float | None:
    """Energy at frame boundaries over that within frames: 1 without clicks, above 1 with them.

    The energy is that of the second difference, which a step or a bend of the waveform at a boundary shows in the first
    two samples of the new frame. Each of its values is divided by its frame's mean, so that quiet frames count as much
    as loud ones; silent frames are left out.

    Args:
        samples: (S,), starting at a boundary.
        frame_length: K.

    Returns:
        The ratio, or None for fewer than three frames that sound.
    """
    count = len(samples) // frame_length
    if count < 2:
        return None
    audio = samples[: count * frame_length].astype(np.float64)
    # x[n] - 2 x[n-1] + x[n-2], of which the first two are not there.
    energy = np.concatenate([np.zeros(2), np.diff(audio, 2)]) ** 2
    frames, levels = energy.reshape(count, frame_length)[1:], audio.reshape(count, frame_length)[1:]
    sounding = np.sqrt(np.mean(levels**2, axis=1)) > 10 ** (SILENCE_DBFS / 20)
    frames = frames[sounding]
    if len(frames) < 3:
        return None
    relative = frames / (frames.mean(axis=1, keepdims=True) + 1e-20)
    return float(relative[:, :2].mean() / relative[:, 2:].mean())
