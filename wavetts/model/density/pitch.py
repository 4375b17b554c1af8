"""Periodicity and period of a signal, from its autocorrelation below 1.5 kHz, where formants do not disturb it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.model.density.all_pole import fast_length

# Hz: contains harmonics of every voice; the gain falls to 0 over the next 500 Hz.
LOW_PASS_HZ, ROLL_OFF_HZ = 1000.0, 500.0
SHORTEST_LAG, LONGEST_LAG = 0.002, 0.025
# Power added to a signal of unit variance: that of the dither in training.
NOISE_FLOOR = 0.02**2
# The correlations are computed at about this rate, of which the low-pass leaves nothing out.
SEARCH_HZ = 4000


def low_pass(length: int, sample_rate: int) -> Tensor:
    """A zero-phase low-pass filter, 0 above 1.5 kHz, as a matrix (L, L): x @ matrix for L samples."""
    size = fast_length(2 * length)
    hz = torch.arange(size // 2 + 1, dtype=torch.float64) * sample_rate / size
    response = torch.fft.irfft(((LOW_PASS_HZ + ROLL_OFF_HZ - hz) / ROLL_OFF_HZ).clamp(0, 1), size)
    lag = torch.arange(length)
    return response[(lag[:, None] - lag).abs()].to(torch.get_default_dtype())


class PitchSearch(nn.Module):
    """Finds the lag with the largest autocorrelation at the end of a low-passed signal.

    Args:
        length: L, samples of the signal.
        query: number of the last samples that are correlated with earlier ones.
        sample_rate: in Hz. The lags are 2 to 25 ms, or as many as the signal has.
        floor: power added to that of the signal: correlations of much softer signals are near 0.
    """

    def __init__(self, length: int, query: int, sample_rate: int, floor: float) -> None:
        super().__init__()
        self.step = max(1, sample_rate // SEARCH_HZ)
        self.start, size = (length - 1) % self.step, -(-length // self.step)
        self.query = query // self.step
        # A lag more at either end, for the parabola.
        self.first = max(2, math.ceil(SHORTEST_LAG * sample_rate / self.step)) - 1
        self.last = min(math.floor(LONGEST_LAG * sample_rate / self.step) + 1, size - self.query)
        self.shortest, self.longest = (self.first + 1) * self.step, (self.last - 1) * self.step
        assert self.last - self.first >= 2, "too few samples to seek a period in"
        self.size, self.floor = fast_length(size), floor * self.query

    def forward(self, low: Tensor) -> tuple[Tensor, Tensor]:
        """Correlation and lag.

        Args:
            low: (N, L), the signal after `low_pass`.

        Returns:
            (N,), the best normalised correlation, at most about 1; (N,), its lag in samples.
        """
        low = low[:, self.start :: self.step]
        query, size = low[:, -self.query :], low.shape[1]
        spectrum = torch.fft.rfft(low, self.size) * torch.fft.rfft(query, self.size).conj()
        # The longest lag comes first.
        places = slice(size - self.query - self.last, size - self.query - self.first + 1)
        products = torch.fft.irfft(spectrum, self.size)[:, places]
        total = F.pad(low.square().cumsum(1), (1, 0))
        energy = (total[:, self.query :] - total[:, : -self.query])[:, places]
        scores = products / (energy * query.square().sum(1, keepdim=True) + self.floor**2).sqrt()
        _, place = scores[:, 1:-1].max(1)
        near = scores.gather(1, place[:, None] + torch.arange(3, device=low.device))
        # The parabola through the best one and its neighbours.
        slope, bend = near[:, 2] - near[:, 0], (near[:, 0] - 2 * near[:, 1] + near[:, 2]).clamp(max=-1e-6)
        offset = (-0.5 * slope / bend).clamp(-0.5, 0.5)
        lag = self.step * (self.last - 1 - place - offset)
        return near[:, 1] + 0.25 * slope * offset, lag.clamp(self.shortest, self.longest)


# Length of the signal's end that a period is fitted to, in s, and its fastest change, in samples a sample.
FIT_SECONDS, FASTEST_GLIDE = 0.015, 0.05
# Largest change of the lag in one step, in samples; damping of the step, relative to the curvature.
LONGEST_STEP, DAMPING = 1.5, 0.05


def _cubic(signal: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The sample before each place, the part of a sample after it, and the coefficients of the polynomial in it."""
    places = places.clamp(1, signal.shape[1] - 2.001)
    before = places.floor()
    part, before = places - before, before.long()
    a, b, c, d = (signal.gather(1, before + step) for step in (-1, 0, 1, 2))
    third = 0.5 * (d - a) + 1.5 * (b - c)
    return b, part, 0.5 * (c - a), a - 2.5 * b + 2 * c - 0.5 * d, third


def interpolate(signal: Tensor, places: Tensor) -> Tensor:
    """A signal between its samples, by Catmull and Rom's cubic (1974).

    Args:
        signal: (N, L).
        places: (N, M), in samples; those too near to an end are moved.

    Returns:
        (N, M).
    """
    before, part, first, second, third = _cubic(signal, places)
    return before + part * (first + part * (second + part * third))


class Period(NamedTuple):
    """The period of each of N signals: T(t) = lag + glide (t - L), in samples, at time t of L samples."""

    lag: Tensor  # (N, 1)
    glide: Tensor  # (N, 1)

    def before(self, places: Tensor, length: int) -> Tensor:
        """The places one period before `places` (N, M), in signals of `length` samples."""
        return places - (self.lag + self.glide * (places - length))


def fit_period(signal: Tensor, period: Period, size: int, step: int) -> Period:
    """A Gauss-Newton step towards the period that best predicts the end of a signal from a period before.

    Voices glide: by the tenth harmonic a copy with a whole or constant lag is out of phase within 5 ms.

    Args:
        signal: (N, L), low-passed enough for the lag's error to be a small part of its shortest wave.
        period: the guess.
        size: Q, number of samples at the signal's end that are compared.
        step: distance of the compared samples, as the low-pass allows.
    """
    length = signal.shape[1]
    time = torch.arange(length - size, length, step, device=signal.device, dtype=signal.dtype)
    end = signal[:, -size::step]
    before, part, first, second, third = _cubic(signal, period.before(time, length))
    copied = before + part * (first + part * (second + part * third))
    slope = first + part * (2 * second + 3 * part * third)
    # How much louder the end is than what is copied.
    gain = ((copied * end).sum(1) / (copied.square().sum(1) + 1e-6)).clamp(0.2, 2)[:, None]
    error = end - gain * copied
    # By the lag, and by the change of the lag over the Q samples.
    by_lag = -gain * slope
    by_glide = by_lag * ((time - length) / size)
    aa, ab, bb = ((x * y).sum(1) for x, y in ((by_lag, by_lag), (by_lag, by_glide), (by_glide, by_glide)))
    ae, be = (by_lag * error).sum(1), (by_glide * error).sum(1)
    aa, bb = aa * (1 + DAMPING) + 1e-6, bb * (1 + DAMPING) + 1e-6
    determinant = aa * bb - ab * ab
    lag = ((bb * ae - ab * be) / determinant).clamp(-LONGEST_STEP, LONGEST_STEP)
    glide = ((aa * be - ab * ae) / determinant / size).clamp(-FASTEST_GLIDE / 2, FASTEST_GLIDE / 2)
    glide = (period.glide + glide[:, None]).clamp(-FASTEST_GLIDE, FASTEST_GLIDE)
    return Period(period.lag + lag[:, None], glide)


class Voicing(nn.Module):
    """Scale of the base noise from the periodicity of the past: less noise in voiced sounds.

    In voiced sounds base noise of full standard deviation is heard as roughness, in unvoiced sounds it is part of the
    sound.

    Args:
        sample_rate: in Hz.
    """

    # Correlation of the last 15 ms below which a sound counts as unvoiced, and above which as voiced.
    UNVOICED, VOICED = 0.35, 0.75
    LENGTH, QUERY = 0.04, 0.015
    low_pass: Tensor  # (length, samples)

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.length = round(self.LENGTH * sample_rate)
        self.register_buffer("low_pass", low_pass(self.length, sample_rate), persistent=False)
        self.search = PitchSearch(self.length, round(self.QUERY * sample_rate), sample_rate, NOISE_FLOOR)

    def forward(self, past: Tensor, voiced_scale: float | Tensor) -> Tensor:
        """Factors of the noise (..., 1), from 1 (unvoiced) to `voiced_scale` (voiced).

        Args:
            past: (..., S), the samples before, at least 40 ms of them.
            voiced_scale: the factor in fully voiced sounds, a number or (..., 1).
        """
        shape = past.shape[:-1]
        periodic, _ = self.search(past[..., -self.length :].reshape(-1, self.length) @ self.low_pass)
        voiced = ((periodic - self.UNVOICED) / (self.VOICED - self.UNVOICED)).clamp(0, 1)
        return 1 + (voiced_scale - 1) * voiced.view(*shape, 1)
