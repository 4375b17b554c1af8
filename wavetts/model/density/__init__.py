"""Conditional densities of one waveform frame: the plug between the decoder and the waveform.

base         the contract, and what every normalizing flow shares
transforms   invertible layers
flow         the paper's multi-stage flow
compact      dense couplings over the frame's DCT, for CPUs
subframe     a frame's parts one after the other, each by another density
gaussian     the baseline

`config.registry` lists the kinds; each module has its section of the config beside its class.
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
