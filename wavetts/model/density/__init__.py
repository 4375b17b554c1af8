"""Conditional densities of one waveform frame given the decoder's output.

base         the interface, and what all normalizing flows share
transforms   invertible layers
flow         the paper's multi-stage flow
compact      dense couplings over the frame's DCT, for CPUs
subframe     the parts of a frame one after the other, each by another density
gaussian     the baseline

`config.registry` lists the kinds; each module holds its section of the config beside its class.
"""

from __future__ import annotations

from wavetts.config import Config
from wavetts.model.density.base import Density, Sampler, SamplingOptions

__all__ = ["Density", "Sampler", "SamplingOptions", "build_density"]


def build_density(config: Config, cond_dim: int) -> Density:
    """Builds the density that `config.density` names, over frames of `config.audio.frame_length` samples.

    Args:
        config: a checked config.
        cond_dim: C, width of the decoder's output.
    """
    return config.density.build(config.audio.frame_length, cond_dim, config.audio)
