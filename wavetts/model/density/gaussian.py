"""The baseline density: a diagonal Gaussian over the frame's samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.model.density.base import Flow, Layer
from wavetts.model.density.transforms import ConditionalAffine


@dataclass
class GaussianConfig(DensityConfig):
    """The baseline: a diagonal Gaussian over the frame's samples."""

    kind: Literal["gaussian"] = opt("gaussian", "mean and log-scale of every sample, linear in cond")
    affine_bound: float = opt(6.0, "bound of the log-scale", above=0)

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> DiagonalGaussian:
        """See `DensityConfig.build`."""
        return DiagonalGaussian(self, length, cond_dim)


class DiagonalGaussian(Flow):
    """Independent Gaussian samples; means and log-scales linear in cond, standard normal at the start.

    Args:
        config: the options of the density.
        frame_length: K, samples per frame.
        cond_dim: C, width of the conditioning.
    """

    broadcasts = True

    def __init__(self, config: GaussianConfig, frame_length: int, cond_dim: int):
        super().__init__(frame_length, cond_dim)
        self.affine = ConditionalAffine(frame_length, cond_dim, config.affine_bound)

    def layers(self, cond: Tensor) -> Iterator[tuple[Layer, Any]]:
        """See `Flow.layers`."""
        yield self.affine, cond
