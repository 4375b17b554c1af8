"""The interface of a frame density, and what every normalizing flow shares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn


class FrameDensity(nn.Module, ABC):
    """Conditional density p(frame | cond) over one waveform frame; frames are independent given cond.

    Leading dimensions are free: packed valid frames (N, K) in training, (B, K) in synthesis.

    Args:
        frame_length: K, samples per frame.
        cond_dim: C, width of the conditioning; a density with a `past_dim` gets so many values more.
    """

    likelihood: ClassVar[Literal["exact", "bound", "estimate", "none"]] = "exact"

    def __init__(self, frame_length: int, cond_dim: int):
        super().__init__()
        self.frame_length = frame_length
        self.cond_dim = cond_dim

    @property
    def noise_dim(self) -> int:
        """How many standard normal values one frame is made from."""
        return self.frame_length

    @property
    def past_dim(self) -> int:
        """How many samples before the frame it wants to see; they are appended to cond, the newest last."""
        return 0

    @abstractmethod
    def log_prob(self, frames: Tensor, cond: Tensor) -> Tensor:
        """Log-density of frames, in nats summed over the frame.

        Args:
            frames: (..., K).
            cond: (..., C), the same leading dimensions.

        Returns:
            (...), in the parameters' precision (float32), under autocast too.
        """

    @abstractmethod
    def sample(self, cond: Tensor, temperature: float | Tensor = 1.0, noise: Tensor | None = None) -> Tensor:
        """Draw one frame for each cond, without gradients.

        Args:
            cond: (..., C).
            temperature: scales the standard deviation of the base noise; 0 is deterministic. One for all frames, or
                (..., 1) for each.
            noise: (..., noise_dim) standard normal values; drawn from the global generator if None.

        Returns:
            (..., K).
        """

    def loss(self, frames: Tensor, cond: Tensor) -> Tensor:
        """What training minimises, in nats: (..., K), (..., C) -> (...)."""
        return -self.log_prob(frames, cond)

    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """Set what is initialised from data, from packed frames (N, K) and cond (N, C); a second call does nothing."""
        return  # Most densities have nothing of the kind.


class NormalizingFlow(FrameDensity):
    """A density whose frames are an invertible function, given cond, of standard normal noise.

    A subclass has `forward` and `inverse` over packed frames.
    """

    @abstractmethod
    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Data to noise: (N, K), (N, C) -> (N, K) and the log-determinants (N,)."""

    @abstractmethod
    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """Noise to data: (N, K), (N, C) -> (N, K)."""

    def _pack(self, values: Tensor) -> Tensor:
        """(..., D) in any precision as (N, D) in the parameters' precision."""
        return values.reshape(-1, values.shape[-1]).to(next(self.parameters()).dtype)

    def log_prob(self, frames: Tensor, cond: Tensor) -> Tensor:
        """See `FrameDensity.log_prob`."""
        return self._log_prob(frames, cond, self.forward)

    def _log_prob(
        self, frames: Tensor, cond: Tensor, forward: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Log-density by a map from data to noise, which in training may see a disturbed past."""
        assert frames.shape == (*cond.shape[:-1], self.frame_length), (frames.shape, cond.shape)
        # Log-determinants sum thousands of terms: bf16 would lose them.
        with torch.autocast(frames.device.type, enabled=False):
            noise, log_det = forward(self._pack(frames), self._pack(cond))
            log_prob = log_det - 0.5 * noise.square().sum(-1) - 0.5 * math.log(2 * math.pi) * self.frame_length
        return log_prob.reshape(cond.shape[:-1])

    @torch.no_grad()
    def sample(self, cond: Tensor, temperature: float | Tensor = 1.0, noise: Tensor | None = None) -> Tensor:
        """See `FrameDensity.sample`."""
        shape = (*cond.shape[:-1], self.noise_dim)
        if noise is None:
            noise = torch.randn(shape, dtype=next(self.parameters()).dtype, device=cond.device)
        assert noise.shape == shape, (noise.shape, shape)
        with torch.autocast(cond.device.type, enabled=False):
            frames = self.inverse(self._pack(noise) * temperature, self._pack(cond))
        return frames.reshape(*cond.shape[:-1], self.frame_length)
