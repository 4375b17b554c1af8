"""Conditional densities of one waveform frame: the plug between the decoder and the waveform.

base         the interface, and what every normalizing flow shares
transforms   invertible layers
flow         the paper's multi-stage flow
compact      dense couplings over the frame's DCT, for CPUs
subframe     compact flows of a frame's parts, one after the other
gaussian     the baseline
"""

from __future__ import annotations

from wavetts.config import CompactFlowConfig, Config, FlowConfig, SubframeFlowConfig
from wavetts.model.density.base import FrameDensity
from wavetts.model.density.compact import CompactFlow
from wavetts.model.density.flow import MultiStageFlow
from wavetts.model.density.gaussian import DiagonalGaussian
from wavetts.model.density.subframe import SubframeFlow

__all__ = ["FrameDensity", "build_density"]


def build_density(config: Config, cond_dim: int) -> FrameDensity:
    """Build the density that `config.density` names, over frames of `config.audio.frame_length` samples.

    Args:
        config: a checked config.
        cond_dim: C, width of the decoder's output.
    """
    frame_length = config.audio.frame_length
    if isinstance(config.density, FlowConfig):
        return MultiStageFlow(config.density, frame_length, cond_dim)
    if isinstance(config.density, SubframeFlowConfig):
        return SubframeFlow(config.density, frame_length, cond_dim)
    if isinstance(config.density, CompactFlowConfig):
        return CompactFlow(config.density, frame_length, cond_dim)
    return DiagonalGaussian(config.density, frame_length, cond_dim)
