"""The past as a density sees it: its residual, which has pitch and phase but neither spectral envelope nor level."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wavetts.model.density.all_pole import fast_length, levinson, whiten
from wavetts.model.density.pitch import (
    FASTEST_GLIDE,
    FIT_SECONDS,
    NOISE_FLOOR,
    Period,
    PitchSearch,
    fit_period,
    interpolate,
    low_pass,
)
from wavetts.model.density.transforms import network_precision
from wavetts.model.device import float32_products

# Width in Hz of the spectral smoothing by a Gaussian lag window, and the relative increase of lag 0.
LAG_WINDOW_HZ, WHITE_NOISE = 40.0, 1.0001
# So long the past is, the part of its residual that is seen, and the part that is compared with what was before it.
PAST, VIEW, QUERY = 0.04, 0.03, 0.0125
# Bound of the residual in standard deviations, above all pulses.
LOUDEST = 6.0
# Rows that a CPU analyses at once: what is computed of them stays in a core's cache.
ROWS = 512


class Seen(NamedTuple):
    """The features of N pasts."""

    features: Tensor  # (N, dim): the residual's end, how periodic it is, the log of its period, how that changes
    period: Tensor  # (N, before + n + after): the last period, repeated, in place of the samples to come


class WhitenedPast(nn.Module):
    """The past through its own filter (Atal and Schroeder 1979), of unit power; without parameters or gradients.

    A density that sees envelope or level of the past learns to continue them and drifts in synthesis, when the past is
    its own output; they should depend on the text alone. The residual shows the positions of the glottal pulses; the
    copy of the waveform's last period is a prediction of the samples to come.

    Args:
        order: p, order of the filter of the past.
        length: n, number of samples to come.
        sample_rate: in Hz.
        before: samples before those to come for which the last period is copied, too.
        after: samples after them.
    """

    window: Tensor  # (past,)
    cosine: Tensor  # (bins, p + 1)
    lag_window: Tensor  # (p + 1,), which is in `cosine`
    filters: Tensor  # (samples, 2 samples), the low-pass and the smoothing

    def __init__(self, order: int, length: int, sample_rate: int, before: int = 0, after: int = 0) -> None:
        super().__init__()
        self.past_dim = past = round(PAST * sample_rate)
        self.order, self.view = order, round(VIEW * sample_rate)
        residual = past - order
        # The window rises slowly and ends with a short fade.
        window = torch.sin(math.pi * (torch.arange(past) + 0.5) / (2 * past))
        end = past // 16
        window[-end:] *= torch.cos(math.pi * (torch.arange(end) + 0.5) / (2 * end)).sqrt()
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        # Power spectrum to autocorrelation, (bins, p + 1), with the lag window.
        self.size = fast_length(past + order)
        lag = torch.arange(order + 1)
        cosine = torch.cos(2 * math.pi / self.size * torch.outer(torch.arange(self.size // 2 + 1), lag)) * 2 / self.size
        cosine[0], cosine[-1] = cosine[0] / 2, cosine[-1] / 2
        smooth = torch.exp(-0.5 * (2 * math.pi * LAG_WINDOW_HZ * lag / sample_rate) ** 2)
        smooth[0] = WHITE_NOISE
        self.register_buffer("cosine", cosine * smooth, persistent=False)
        self.register_buffer("lag_window", smooth, persistent=False)
        # Half at 3 kHz of 16 and nearly nothing at 6: the period is fitted to what is above the pitch search, too.
        lag = (torch.arange(residual)[:, None] - torch.arange(residual)).abs()
        smoothing = torch.tensor([6.0, 4.0, 1.0])[lag.clamp(max=2)] * (lag <= 2) / 16
        self.register_buffer("filters", torch.cat([low_pass(residual, sample_rate), smoothing], 1), persistent=False)
        self.search = PitchSearch(residual, round(QUERY * sample_rate), sample_rate, NOISE_FLOOR)
        self.fitted = round(FIT_SECONDS * sample_rate)
        self.before, self.length = before, before + length + after
        # A lag may become a little shorter than any that is searched for.
        self.periods = (length + after) // (self.search.shortest // 2) + 1
        self.dim = self.view + 3

    @torch.no_grad()
    def forward(self, samples: Tensor, step: int = 1, bf16: bool = False) -> Seen:
        """Computes the features of pasts.

        Args:
            samples: (N, past_dim + (J - 1) step): J overlapping pasts in each row.
            step: n, distance of two pasts.
            bf16: compute the low-pass filter's product in bfloat16.

        Returns:
            The features of N J pasts: all of the first row, then all of the second, and so on.
        """
        # The recursion works on all rows; a GPU, which waits for launches, does the rest on all as well.
        together = max(1, ROWS * step // self.past_dim) if samples.device.type == "cpu" else len(samples)
        rows = [part.unfold(1, self.past_dim, step) for part in samples.split(together)]
        a, power = levinson(torch.cat([self._correlation(part.flatten(0, 1)) for part in rows]))
        sizes = [part.shape[0] * part.shape[1] for part in rows]
        filters = zip(rows, a.split(sizes), power.split(sizes), strict=True)
        parts = [self._see(part.flatten(0, 1), *solved, bf16) for part, *solved in filters]
        return Seen(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def _correlation(self, past: Tensor) -> Tensor:
        """(N, p + 1), smoothed, with the noise floor."""
        spectrum = torch.fft.rfft(past * self.window, self.size)
        power = spectrum.real.square() + spectrum.imag.square()
        with float32_products("highest"):
            correlation = power @ self.cosine
        correlation[:, 0] += NOISE_FLOOR
        return correlation

    def _see(self, past: Tensor, a: Tensor, power: Tensor, bf16: bool) -> Seen:
        residual = whiten(past, a) * power.rsqrt()[:, None]
        with network_precision(past, bf16):
            low, smooth = (residual @ self.filters).to(residual).chunk(2, 1)
        periodic, lag = self.search(low)
        period = Period(lag[:, None], torch.zeros_like(lag[:, None]))
        period = fit_period(low, period, self.fitted, self.search.step)
        period = fit_period(smooth, period, self.fitted, max(1, self.search.step // 2))
        parts = [residual[:, -self.view :].clamp(-LOUDEST, LOUDEST), periodic[:, None]]
        parts += [torch.log(period.lag.clamp(min=1) / self.search.shortest) - 1.5, period.glide / FASTEST_GLIDE]
        return Seen(torch.cat(parts, 1), interpolate(past, self._last_period(period)))

    def _last_period(self, period: Period) -> Tensor:
        """Where in the past the samples around those to come were, one period before or as many as it takes."""
        lag, end = period.lag, self.past_dim
        places = torch.arange(end - self.before, end - self.before + self.length, device=lag.device, dtype=lag.dtype)
        places = period.before(places, end)
        for _ in range(self.periods):
            # The last samples have none after them to interpolate with.
            places = torch.where(places > end - 3, period.before(places, end), places)
        return places
