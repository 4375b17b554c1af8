"""Distances of speech from a recording of the same words: MCD and MSD as the paper reports them, F0 and voicing."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from wavetts.audio.waveform import MEL_HOP_SECONDS, NUM_MELS, log_mel, resample
from wavetts.extras import missing_extra

# Everything is measured at this rate, so that systems of different rates compare: the mel band ends at 7.6 kHz.
METRIC_RATE = 16000
NUM_MFCCS = 13
# F0 of speech, from bass voices to children. A window of 64 ms holds at least two periods of all but the lowest.
F0_BAND_HZ = (65.0, 500.0)
F0_WINDOW = 1024
# In semitones. librosa's default of 0.1 takes four times as long; the rounding is far below what is measured.
F0_RESOLUTION = 0.2


def missing_metrics() -> str | None:
    """What to install for `features` and `compare`, or None."""
    return missing_extra("evaluate", "librosa", "torchaudio")


@dataclass(frozen=True)
class Features:
    """What utterances are compared by, one row every 12.5 ms."""

    log_mel: np.ndarray  # (n, 80), natural log of magnitudes
    mfcc: np.ndarray  # (n, 13), cepstral coefficients 1 to 13
    log_f0: np.ndarray  # (n,), natural log of Hz, nan where unvoiced


def features(samples: np.ndarray, rate: int) -> Features:
    """Computes mel spectrogram, cepstrum and F0.

    The spectrogram is the paper's: 80 channels, 50 ms Hann window, 12.5 ms hop. The paper uses 13 MFCCs without saying
    whether coefficient 0, the level, is among them. As in the earlier work of the same group (Skerry-Ryan et al. 2018,
    "Towards end-to-end prosody transfer") it is not: these are coefficients 1 to 13 of an orthonormal DCT of the
    natural logarithm.

    Args:
        samples: (S,) in [-1, 1).
        rate: in Hz.
    """
    import librosa

    audio = resample(samples, rate, METRIC_RATE)
    audio = np.pad(audio, (0, max(0, F0_WINDOW - len(audio))))
    mel = log_mel(audio, METRIC_RATE)
    f0, voiced, _ = librosa.pyin(
        audio,
        fmin=F0_BAND_HZ[0],
        fmax=F0_BAND_HZ[1],
        sr=METRIC_RATE,
        frame_length=F0_WINDOW,
        hop_length=round(MEL_HOP_SECONDS * METRIC_RATE),
        resolution=F0_RESOLUTION,
    )
    log_f0 = np.log(np.where(voiced, f0, np.nan))
    return Features(mel, mel @ _dct()[:, 1:], log_f0)


@functools.cache
def _dct() -> np.ndarray:
    import torchaudio

    return torchaudio.functional.create_dct(NUM_MFCCS + 1, NUM_MELS, norm="ortho").numpy()


def distortion(reference: np.ndarray, speech: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean Euclidean distance of the rows that dynamic time warping pairs.

    The distance is in nepers of magnitude for the mel spectrogram, without a factor to decibels, as in the paper's
    tables; the mean is over the pairs.

    Args:
        reference: (n, D).
        speech: (m, D).

    Returns:
        The mean, and the path (L, 2): indices of the paired rows of both, in order of time.
    """
    from librosa.sequence import dtw

    costs, path = dtw(reference.T.astype(np.float64), speech.T.astype(np.float64), metric="euclidean")
    return float(costs[-1, -1] / len(path)), path[::-1]


def compare(reference: Features, speech: Features) -> dict[str, float | None]:
    """Distances of speech from a recording of the same words.

    Args:
        reference: of the recording.
        speech: of the speech.

    Returns:
        "mcd": mel cepstral distortion; "msd": mel spectral distortion, over the log-mel spectrograms; each after a time
        warping of its own. "f0_rmse": RMSE of the natural log of F0 over the pairs of the cepstra's warping in which
        both are voiced, None if there are none. "voicing_error": share of those pairs in which exactly one is voiced.
    """
    mcd, path = distortion(reference.mfcc, speech.mfcc)
    msd, _ = distortion(reference.log_mel, speech.log_mel)
    ours, theirs = reference.log_f0[path[:, 0]], speech.log_f0[path[:, 1]]
    voiced = np.isfinite(ours) & np.isfinite(theirs)
    rmse = float(np.sqrt(np.mean((ours - theirs)[voiced] ** 2))) if voiced.any() else None
    return {
        "mcd": mcd,
        "msd": msd,
        "f0_rmse": rmse,
        "voicing_error": float(np.mean(np.isfinite(ours) != np.isfinite(theirs))),
    }
