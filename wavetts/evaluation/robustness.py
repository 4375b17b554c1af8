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
    """Samples of (S,) that were cut off: two and more in a row at the same end of the 16-bit range.

    A single one may be the peak of a signal that was scaled to the full range.
    """
    ends = np.where(samples >= LARGEST_SAMPLE, 1, np.where(samples <= -1, -1, 0))
    same = (ends[1:] == ends[:-1]) & (ends[1:] != 0)
    return int(np.count_nonzero(np.append(same, False) | np.append(False, same)))


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


def boundary_decibels(samples: np.ndarray, frame_length: int) -> float | None:
    """Energy at frame boundaries against that within frames, in dB: 0 without clicks.

    The energy is that of the second difference, which a step or a bend of the waveform at a boundary shows in the first
    two samples of the new frame. Its level there, the mean of the logarithm, is compared with its level everywhere
    else, each relative to the frame's length of signal around it, so that quiet places count as much as loud ones;
    silence is left out.

    Args:
        samples: (S,), starting at a boundary.
        frame_length: K, above 4.

    Returns:
        The level, or None if no boundary within the samples sounds.
    """
    if len(samples) < 2 * frame_length:
        return None
    audio = samples.astype(np.float64)
    # x[n] - 2 x[n-1] + x[n-2]; not at both ends, where half of the neighbourhood is missing.
    energy = np.concatenate([np.zeros(2), np.diff(audio, 2) ** 2])
    inner = slice(frame_length // 2 + 2, len(audio) - frame_length // 2)
    level = _moving_mean(energy, frame_length)[inner]
    sounding = (_moving_mean(audio**2, frame_length)[inner] > 10 ** (SILENCE_DBFS / 10)) & (level > 0)
    relative = np.log10(energy[inner][sounding] / level[sounding] + 1e-6)
    boundary = (np.arange(len(audio))[inner] % frame_length < 2)[sounding]
    if not boundary.any():
        return None
    return float(10 * (relative[boundary].mean() - relative[~boundary].mean()))


def _moving_mean(values: np.ndarray, size: int) -> np.ndarray:
    """The mean of `size` values around each; fewer than that at the ends."""
    return np.convolve(values, np.ones(size) / size, mode="same")
