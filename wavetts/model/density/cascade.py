"""A cascade: a density of the lower band, and one of the upper band given the lower (Ho et al. 2022, 2106.15282).

The split is orthonormal, so that log p = log p(low) + log p(high | low) is exact, on the scale of every other density.
In training the upper stage sees the lower band with noise of any strength on it, and is told how strong it is
(noise-conditioning augmentation): it learns not to trust too much what a lower stage has drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Density, SamplingOptions
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.transforms import DCT

# From the most to the least that is known of a likelihood: two together are as good as the worse of them.
TAGS = ("exact", "bound", "estimate", "none")


@dataclass
class CascadeConfig(DensityConfig):
    """A lower and an upper band, a density each; the upper one is given the lower."""

    kind: Literal["cascade"] = opt("cascade", "two bands, the upper one given the lower")
    low_length: int = opt(0, "values of the lower band; 0: half of them", at_least=0)
    augmentation: float = opt(
        0.5,
        "most noise on the lower band that the upper stage is shown in training, from 0 to 1",
        at_least=0,
        at_most=1,
    )
    low: DensityConfig = opt(GaussianConfig, "the density of the lower band")
    high: DensityConfig = opt(GaussianConfig, "the density of the upper band")

    def _lengths(self, length: int) -> tuple[int, int]:
        low = self.low_length or length // 2
        return low, length - low

    @property
    def tilts(self) -> bool:
        """See `DensityConfig.tilts`."""
        return self.low.tilts or self.high.tilts

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        low, high = self._lengths(length)
        if low < 1 or high < 1:
            raise UserError(f"{section}.low_length: {self.low_length} of {length} values leave no band")
        self.low.check_length(low, f"{section}.low_length", f"{section}.low")
        self.high.check_length(high, f"{section}.low_length: the upper band's", f"{section}.high")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> Cascade:
        """See `DensityConfig.build`."""
        return Cascade(self, *self._lengths(length), cond_dim, audio)


class BandSplit(nn.Module):
    """An orthonormal split of values into two bands, each in its own time order.

    The DCT's coefficients are parted, and each part is taken back to time by a DCT of its own length: the lower band is
    the signal at a lower rate.

    Args:
        low: values of the lower band.
        high: values of the upper band.
    """

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.whole, self.lower, self.upper = DCT(low + high), DCT(low), DCT(high)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values (..., n) to bands (..., low) and (..., high)."""
        low, high = (x @ self.whole.basis).split([self.low, self.high], -1)
        # The upper band's coefficients count down, so that its time runs as that of the lower one.
        return self.lower.inverse(low), self.upper.inverse(high.flip(-1))

    def inverse(self, low: Tensor, high: Tensor) -> Tensor:
        """Bands to values."""
        coefficients = torch.cat([low @ self.lower.basis, (high @ self.upper.basis).flip(-1)], -1)
        return self.whole.inverse(coefficients)


class Cascade(Density):
    """The densities of two bands.

    Args:
        config: its options.
        low: values of the lower band.
        high: values of the upper band.
        cond_dim: C.
        audio: for the densities inside.
    """

    def __init__(self, config: CascadeConfig, low: int, high: int, cond_dim: int, audio: AudioConfig) -> None:
        lower = config.low.build(low, cond_dim, audio)
        # Of its context: cond, the lower band, how noisy that is.
        upper = config.high.build(high, cond_dim + low + 1, audio)
        assert not lower.past_dim + upper.past_dim, "bands look at cond alone"
        super().__init__(low + high, cond_dim, noise_dim=lower.noise_dim + upper.noise_dim + low)
        self.split, self.lower, self.upper = BandSplit(low, high), lower, upper
        self.augmentation = config.augmentation
        self.loss_is_likelihood = lower.loss_is_likelihood and upper.loss_is_likelihood
        self.likelihood = max(lower.likelihood, upper.likelihood, key=TAGS.index)

    def _upper_context(self, cond: Tensor, low: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        """The upper stage's context from the lower band (..., low), with noise of strength `level` (..., 1) on it."""
        angle = 0.5 * math.pi * level
        return torch.cat([cond, torch.cos(angle) * low + torch.sin(angle) * noise, level], -1)

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`: the upper stage is given the lower band as it is."""
        with torch.autocast(frames.device.type, enabled=False):
            cond, low, high = self._bands(frames, cond)
            context = self._upper_context(cond, low, torch.zeros_like(low[:, :1]), torch.zeros_like(low))
            value = self.lower.log_prob(low, cond, generator) + self.upper.log_prob(high, context, generator)
        return value.reshape(frames.shape[:-1])

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.loss`: in training the upper stage is given the lower band with noise on it."""
        with torch.autocast(frames.device.type, enabled=False):
            cond, low, high = self._bands(frames, cond)
            level, noise = torch.zeros_like(low[:, :1]), torch.zeros_like(low)
            if self.training:
                device = low.device if generator is None else generator.device
                level = self.augmentation * torch.rand(level.shape, generator=generator, device=device).to(low)
                noise = torch.randn(low.shape, generator=generator, device=device).to(low)
            context = self._upper_context(cond, low, level, noise)
            value = self.lower.loss(low, cond, generator) + self.upper.loss(high, context, generator)
        return value.reshape(frames.shape[:-1])

    @torch.no_grad()
    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`; `options.augmentation` is the noise on the lower band that the upper stage is shown."""
        with torch.autocast(cond.device.type, enabled=False):
            sizes = [self.lower.noise_dim, self.upper.noise_dim, self.split.low]
            first, second, disturbance = self.draw_noise(cond, noise).split(sizes, -1)
            low = self.lower.sample(cond, options, first)
            level = low.new_full((*low.shape[:-1], 1), options.augmentation)
            context = self._upper_context(cond.to(low), low, level, options.temperature * disturbance)
            return self.split.inverse(low, self.upper.sample(context, options, second))

    @torch.no_grad()
    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """See `Density.initialize`."""
        with torch.autocast(frames.device.type, enabled=False):
            cond, low, high = self._bands(frames, cond)
            context = self._upper_context(cond, low, torch.zeros_like(low[:, :1]), torch.zeros_like(low))
            self.lower.initialize(low, cond)
            self.upper.initialize(high, context)

    def _bands(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Packed contexts (N, C), and the lower and the upper bands of packed frames."""
        return (self._pack(cond), *self.split(self._pack(frames)))
