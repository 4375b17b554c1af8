"""The baseline density: a diagonal Gaussian over the frame's samples."""

from __future__ import annotations

from torch import Tensor

from wavetts.config import GaussianConfig
from wavetts.model.density.base import NormalizingFlow
from wavetts.model.density.transforms import ConditionalAffine


class DiagonalGaussian(NormalizingFlow):
    """Independent Gaussian samples; means and log-scales linear in cond, standard normal at the start.

    Args:
        config: its options.
        frame_length: K, samples per frame.
        cond_dim: C, width of the conditioning.
    """

    def __init__(self, config: GaussianConfig, frame_length: int, cond_dim: int):
        super().__init__(frame_length, cond_dim)
        self.affine = ConditionalAffine(frame_length, cond_dim, config.affine_bound)

    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """See `NormalizingFlow.forward`."""
        return self.affine(frames, cond)

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """See `NormalizingFlow.inverse`."""
        return self.affine.inverse(noise, cond)
