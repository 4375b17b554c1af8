"""Classifier-free guidance (Ho and Salimans 2022): x^w = (1 + w) x(cond) - w x(null).

`Guided` replaces the context of random frames by a learned null in training, so that the inner density also learns the
distribution without the text. The samples of the past, which follow the context in `cond`, are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Density, SamplingOptions
from wavetts.model.density.diffusion.density import DiffusionConfig


@dataclass
class GuidedConfig(DensityConfig):
    """A density whose context is dropped for random frames in training, for guidance in synthesis."""

    kind: Literal["guided"] = opt("guided", "contexts dropped in training, guided sampling")
    dropout: float = opt(
        0.1, "share of the frames whose context is replaced by a learned one in training", above=0, below=1
    )
    inner: DensityConfig = opt(DiffusionConfig, "the inner density: diffusion, or subframes of diffusion")

    def check(self) -> None:
        """See `Section.check`."""
        if not self.inner.guidable:
            raise UserError(
                f"inner.kind: {self.inner.kind} cannot be guided; use diffusion, or subframe with a diffusion inside"
            )

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        self.inner.check_length(length, field, f"{section}.inner")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> Guided:
        """See `DensityConfig.build`."""
        return Guided(self, length, cond_dim, audio)


class Guided(Density):
    """A density that also models frames without their context.

    Only the denoiser's context is dropped: both predictions must be of values standardised by the same context to be
    combined. The affine layer's mean and scale are not guided; with the diffusion's `standardise=overall` they do not
    depend on the context.

    Args:
        config: its options.
        length: K.
        cond_dim: C.
        audio: passed to the inner density.
    """

    def __init__(self, config: GuidedConfig, length: int, cond_dim: int, audio: AudioConfig) -> None:
        inner = config.inner.build(length, cond_dim, audio)
        super().__init__(length, cond_dim, inner.past_dim, inner.noise_dim)
        self.inner, self.dropout, self.likelihood = inner, config.dropout, inner.likelihood
        self.guides, self.loss_is_likelihood = True, inner.loss_is_likelihood
        self.null = nn.Parameter(0.1 * torch.randn(cond_dim))

    def without_context(self, cond: Tensor) -> Tensor:
        """cond (..., C + P) with the learned null in place of the context; the past stays."""
        null = self.null.to(cond.dtype).expand(*cond.shape[:-1], -1)
        return torch.cat([null, cond[..., self.cond_dim :]], -1)

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`."""
        return self.inner.log_prob(frames, cond, generator)

    def loss(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.loss`; in training some frames' contexts are dropped."""
        if self.training:
            device = cond.device if generator is None else generator.device
            drawn = torch.rand((*cond.shape[:-1], 1), generator=generator, device=device).to(cond.device)
            shown = torch.where(drawn < self.dropout, self.without_context(cond), cond)
            return self.inner.loss(frames, cond, generator, shown)
        return self.inner.loss(frames, cond, generator)

    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`; guided if `options.guidance` is not 0."""
        return self.inner.sample(cond, options, noise, *self._null(cond, options))

    def inpaint(
        self, cond: Tensor, options: SamplingOptions, generator: torch.Generator, frames: Tensor, given: Tensor
    ) -> Tensor:
        """See `Sampler.inpaint`; guided as `sample`."""
        return self.inner.inpaint(cond, options, generator, frames, given, *self._null(cond, options))

    def _null(self, cond: Tensor, options: SamplingOptions) -> list[Tensor]:
        """The argument `null` of a guided call; empty without guidance."""
        unguided = not isinstance(options.guidance, Tensor) and not options.guidance
        return [] if unguided else [self.without_context(cond)]

    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """See `Density.initialize`."""
        self.inner.initialize(frames, cond)
