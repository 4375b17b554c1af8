"""Failures of synthesis: skipped and repeated tokens, clipping, bursts of noise, clicks at frame boundaries."""

from __future__ import annotations

import numpy as np

# A token counts as read in a frame if it has this weight, or the largest (as in `model.alignment.alignment_scores`).
READ_WEIGHT = 0.1
# A peak that is further than this behind the furthest peak so far repeats a token. One or two are jitter.
JITTER_TOKENS = 2
LARGEST_SAMPLE = 1 - 2.0**-15
NOISE_WINDOW_SECONDS = 0.05
# A burst of noise has the level of loud vowels and a spectrum as flat as no vowel's (white noise: 0.56).
NOISE_LEVEL_DBFS = -20.0
NOISE_FLATNESS = 0.2
# Below this level there is silence, whose steps are rounding.
SILENCE_DBFS = -60.0


def token_health(alignment: np.ndarray) -> dict[str, int]:
    """Counts skipped and repeated tokens.

    Args:
        alignment: (T, I).

    Returns:
        "tokens": I. "skipped": tokens that were read in no frame. "longest_skip": length of the longest run of skipped
        tokens; three are about a syllable. "repeated": tokens that had the peak of the attention again after it had
        been more than two tokens further on.
    """
    peaks = alignment.argmax(axis=1)
    read = alignment.max(axis=0) >= READ_WEIGHT
    read[peaks] = True
    # Lengths of the runs of unread tokens, from the distances between read ones.
    gaps = np.diff(np.flatnonzero(np.concatenate([[True], read, [True]]))) - 1
    back = peaks[peaks < np.maximum.accumulate(peaks) - JITTER_TOKENS]
    return {
        "tokens": len(read),
        "skipped": int((~read).sum()),
        "longest_skip": int(gaps.max()),
        "repeated": len(np.unique(back)),
    }


def clipped_samples(samples: np.ndarray) -> int:
    """Number of clipped samples of (S,): two or more in a row at the same end of the 16-bit range.

    A single one may be the peak of a signal that was scaled to full range.
    """
    ends = np.where(samples >= LARGEST_SAMPLE, 1, np.where(samples <= -1, -1, 0))
    same = (ends[1:] == ends[:-1]) & (ends[1:] != 0)
    return int(np.count_nonzero(np.append(same, False) | np.append(False, same)))


def noise_seconds(samples: np.ndarray, rate: int) -> float:
    """Seconds of loud noise: 50 ms windows above -20 dBFS (RMS) whose spectral flatness is above 0.2.

    Flatness is the geometric divided by the arithmetic mean of the power spectrum: about 0.56 for white noise, a few
    hundredths for vowels. Fricatives are as flat as noise, but far below this level.

    Args:
        samples: (S,) in [-1, 1).
        rate: in Hz.
    """
    size = round(NOISE_WINDOW_SECONDS * rate)
    windows = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    loud = np.sqrt(np.mean(windows**2, axis=1)) > 10 ** (NOISE_LEVEL_DBFS / 20)
    # The lowest bins hold the mean and its spectral leakage.
    power = np.abs(np.fft.rfft(windows[loud] * np.hanning(size), axis=1))[:, 3:] ** 2 + 1e-20
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    return float(np.count_nonzero(flatness > NOISE_FLATNESS) * NOISE_WINDOW_SECONDS)


def boundary_decibels(samples: np.ndarray, frame_length: int) -> float | None:
    """Energy at frame boundaries relative to that within frames, in dB: 0 without clicks.

    A step or a bend of the waveform at a boundary raises the energy of the second difference in the first two samples
    of the new frame. The mean log-energy of those samples is compared with that of all others. Energies are relative to
    their mean over one frame length around the sample, so that quiet and loud places count alike; silence is left out.

    Args:
        samples: (S,), the first of them at a boundary.
        frame_length: K, above 4.

    Returns:
        The ratio in dB, or None if there is no boundary outside silence.
    """
    if len(samples) < 2 * frame_length:
        return None
    audio = samples.astype(np.float64)
    # x[n] - 2 x[n-1] + x[n-2]; the ends are left out, where half of the surrounding frame length is missing.
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
    """The mean of `size` values around each value, zeros beyond the ends."""
    return np.convolve(values, np.ones(size) / size, mode="same")
