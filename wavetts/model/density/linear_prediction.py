"""Linear prediction: an all-pole filter predicted from the context, and another density for its residual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.all_pole import levinson, synthesise, whiten
from wavetts.model.density.base import Density, SamplingOptions
from wavetts.model.density.couplings import CouplingFlowConfig
from wavetts.model.density.transforms import bounded, network_precision, zero_linear
from wavetts.model.density.whitened_past import LOUDEST, WhitenedPast
from wavetts.model.device import float32_products
from wavetts.model.layers import module_list

# Bounds of the envelope's log power, around a level slightly below the signal's.
RANGE, LEVEL = 8.0, -2.0
# The copied period's part below this is expected more surely than the rest; the low-pass is 2 ms long.
LOW_PASS_HZ, LOW_PASS_SECONDS = 1250.0, 0.002
# White noise, relative to the envelope's mean power: the filter's poles stay away from the unit circle.
WHITE_NOISE = 3e-4
# Power of a copied period, relative to the residual's, that is not scaled up any more.
SOFTEST = 0.01


@dataclass
class LinearPredictionConfig(DensityConfig):
    """An all-pole filter, and another density for its residual of unit level; for subframes."""

    kind: Literal["linear_prediction"] = opt(
        "linear_prediction", "a filter by the context's envelope, then the residual"
    )
    order: int = opt(32, "p, of the filter", at_least=1)
    num_bins: int = opt(64, "of the log-spectrum that the filter is made from", at_least=1)
    num_cepstra: int = opt(32, "smooth functions of frequency beside the bins, learnt sooner than these", at_least=0)
    num_layers: int = opt(2, "of the network that sees the context and the residual of the past", at_least=1)
    precision: Literal["float32", "bf16"] = opt("float32", "of that network's products, in training")
    inner: DensityConfig = opt(CouplingFlowConfig, "the density of the residual")

    def check(self) -> None:
        """See `Section.check`."""
        if self.order >= 2 * self.num_bins:
            raise UserError(f"order: {self.order} is too high for a spectrum of {self.num_bins} bins")

    @property
    def tilts(self) -> bool:
        """See `DensityConfig.tilts`."""
        return self.inner.tilts

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        self.inner.check_length(length, field, f"{section}.inner")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> LinearPrediction:
        """See `DensityConfig.build`."""
        return LinearPrediction(self, length, cond_dim, audio)


class Prediction(NamedTuple):
    """The filters, levels and copied periods of N frames, from context and past."""

    hidden: Tensor  # (N, D), the context of the residual's density
    filter: Tensor  # a, (N, p + 1)
    log_gain: Tensor  # (N, 1)
    copied: Tensor  # (N, n), what the last period tells of the residual, in units of the gain


class LinearPrediction(Density):
    """x -> u = (a * x) / g - copied: samples to the residual of an all-pole filter, which another density models.

    The filter models the correlations of the formants and the ringing of the past, which a density of samples would
    have to learn; it is computed from a spectral envelope of a few dozen numbers. The map is triangular with 1 / g on
    its diagonal. The envelope, and with it the level, depends on the context alone. A network sees the past through
    `WhitenedPast` only and predicts, for each sample, the gains from 0 to 1 of the copied last period, below 1.25 kHz
    and above. The period is copied from the waveform and filtered like the samples, so that errors of the envelope are
    the same in both.

    The context is added to the output of the first layer of both networks, whose width is therefore D.

    Args:
        config: its options.
        frame_length: n, samples.
        cond_dim: D, width of the context and of the network.
        audio: for the sample rate.
    """

    low_pass: Tensor  # (n + 2 margin, n)
    cosine: Tensor  # (num_bins, order + 1)
    cepstra: Tensor  # (num_cepstra, num_bins)

    def __init__(self, config: LinearPredictionConfig, frame_length: int, cond_dim: int, audio: AudioConfig) -> None:
        self.margin = margin = round(LOW_PASS_SECONDS * audio.sample_rate / 2)
        past = WhitenedPast(config.order, frame_length, audio.sample_rate, config.order + margin, margin)
        inner = config.inner.build(frame_length, cond_dim, audio)
        assert not inner.past_dim, "the residual's density sees no samples"
        super().__init__(frame_length, cond_dim, past.past_dim, inner.noise_dim)
        self.order, self.num_cepstra, self.bf16 = config.order, config.num_cepstra, config.precision == "bf16"
        self.likelihood, self.guides = inner.likelihood, inner.guides
        self.loss_is_likelihood = inner.loss_is_likelihood
        self.past = past
        self.input = nn.Linear(2 * frame_length + past.dim, cond_dim, bias=False)
        self.layers = module_list(nn.Linear(cond_dim, cond_dim) for _ in range(config.num_layers - 1))
        self.shape = nn.Linear(cond_dim, cond_dim)
        self.envelope = zero_linear(cond_dim, config.num_cepstra + config.num_bins)
        self.gates = zero_linear(cond_dim, 2 * frame_length)
        self.inner = inner
        time = torch.arange(frame_length + 2 * margin)[:, None] - margin - torch.arange(frame_length)
        window = torch.cos(math.pi / 2 * (time / (margin + 1)).clamp(-1, 1)).square()
        low_pass = torch.sinc(2 * LOW_PASS_HZ / audio.sample_rate * time) * window
        self.register_buffer("low_pass", low_pass / low_pass.sum(0), persistent=False)
        place = (torch.arange(config.num_bins) + 0.5) / config.num_bins
        lag = torch.arange(config.order + 1)
        cosine = torch.cos(math.pi * torch.outer(place, lag)) / config.num_bins
        cosine[:, 0] *= 1 + WHITE_NOISE
        self.register_buffer("cosine", cosine, persistent=False)
        # For 8 kHz, whatever the rate, as in `ConditionalAffine`.
        mel = torch.log1p(place * 8000 / 700) / math.log1p(8000 / 700)
        cepstra = torch.cos(math.pi * torch.outer(torch.arange(config.num_cepstra), mel))
        self.register_buffer("cepstra", cepstra, persistent=False)

    def _predict(self, contexts: Tensor, samples: Tensor) -> Prediction:
        """Predicts filters, levels and copied periods, which do not depend on the samples to come.

        Args:
            contexts: (N J, D), in any precision.
            samples: (N, P + (J - 1) n), as `WhitenedPast` takes them.
        """
        bf16 = self.bf16 and self.training
        with network_precision(samples, bf16):
            # Of the context alone: where a past of its own making could change the level, speech fades out in vowels.
            shape = F.silu(contexts)
            shape = shape + F.silu(self.shape(shape))
            envelope = self.envelope(shape).to(samples)
        log_power = envelope[:, self.num_cepstra :]
        if self.num_cepstra:
            log_power = torch.addmm(log_power, envelope[:, : self.num_cepstra], self.cepstra)
        power = torch.exp(bounded(log_power, RANGE) + LEVEL)
        with float32_products("highest"):
            correlation = power @ self.cosine
        a, error = levinson(correlation)
        log_gain = 0.5 * torch.log(error)[:, None]

        seen = self.past(samples, self.frame_length, bf16)
        period = whiten(seen.period, a) * torch.exp(-log_gain)
        low = period @ self.low_pass
        level = (period.square().mean(1, keepdim=True) + SOFTEST).rsqrt()
        period = period[:, self.margin : -self.margin]
        # Without its level, as all that is seen of the past.
        features = [(part * level).clamp(-LOUDEST, LOUDEST) for part in (period, low)]
        with network_precision(samples, bf16):
            hidden = F.silu(self.input(torch.cat([*features, seen.features], 1)) + contexts)
            for layer in self.layers:
                hidden = hidden + F.silu(layer(hidden))
            gates = self.gates(hidden).to(samples)
        above, below = torch.sigmoid(gates - 1).chunk(2, 1)
        copied = above * (period - low) + below * low
        return Prediction(hidden.to(samples), a, log_gain, copied)

    def _residual(self, frames: Tensor, contexts: Tensor, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Packed frames (N J, n) to their residuals u, the contexts of these (N J, D) and log-determinants (N J,)."""
        known = self._predict(contexts, samples)
        before = samples.unfold(1, self.past_dim, self.frame_length)[..., -self.order :].flatten(0, 1)
        residual = whiten(torch.cat([before, frames], 1), known.filter)
        residual = residual * torch.exp(-known.log_gain) - known.copied
        return residual, known.hidden, -self.frame_length * known.log_gain[:, 0]

    def residual(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Packed frames (N, n) and pasts to the residuals that the inner density models, and its contexts (N, D)."""
        values, hidden, _ = self._residual(frames, *self._split(cond))
        return values, hidden

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`."""
        parts, (contexts, samples) = self._pack(frames)[:, None], self._split(cond)
        return self.log_prob_in_turn(parts, contexts[:, None], samples, generator).reshape(cond.shape[:-1])

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.loss`: the loss of the inner density, plus the log-determinant of the gain."""
        parts, (contexts, samples) = self._pack(frames)[:, None], self._split(cond)
        return self.loss_in_turn(parts, contexts[:, None], samples, generator).reshape(cond.shape[:-1])

    def _split(self, cond: Tensor) -> tuple[Tensor, Tensor]:
        """cond (..., D + P) as packed contexts (N, D) and pasts (N, P)."""
        return self._pack(cond).split([self.cond_dim, self.past_dim], 1)

    def log_prob_in_turn(
        self, parts: Tensor, contexts: Tensor, samples: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """See `Density.log_prob_in_turn`."""
        with torch.autocast(parts.device.type, enabled=False):
            residual, hidden, log_det = self._residual(parts.flatten(0, 1), contexts.flatten(0, 1), samples)
            return (self.inner.log_prob(residual, hidden, generator) + log_det).view(parts.shape[:2])

    def loss_in_turn(
        self, parts: Tensor, contexts: Tensor, samples: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """See `Density.loss_in_turn`."""
        with torch.autocast(parts.device.type, enabled=False):
            residual, hidden, log_det = self._residual(parts.flatten(0, 1), contexts.flatten(0, 1), samples)
            return (self.inner.loss(residual, hidden, generator) - log_det).view(parts.shape[:2])

    @torch.no_grad()
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`."""
        with torch.autocast(cond.device.type, enabled=False):
            noise, (contexts, past) = self.draw_noise(cond, noise), self._split(cond)
            known = self._predict(contexts, past)
            hidden = known.hidden.view(*cond.shape[:-1], -1)
            residual = self._pack(self.inner.sample(hidden, options, noise))
            residual = (residual + known.copied) * torch.exp(known.log_gain)
            frames = synthesise(residual, known.filter, past[:, -self.order :])
        return frames.reshape(*cond.shape[:-1], self.frame_length)

    @torch.no_grad()
    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """See `Density.initialize`."""
        with torch.autocast(frames.device.type, enabled=False):
            residual, hidden, _ = self._residual(self._pack(frames), *self._split(cond))
            self.inner.initialize(residual, hidden)
