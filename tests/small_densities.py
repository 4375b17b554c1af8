"""Densities of a few parameters, and conditions for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wavetts.config import CompactFlowConfig, Config, FlowConfig, GaussianConfig, SubframeFlowConfig
from wavetts.model.density import FrameDensity, build_density

K, C = 16, 5
KINDS = ("flow", "compact", "subframe", "gaussian")


def perturb(module: nn.Module, std: float) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return module


def make(kind: str, std: float = 0.2) -> FrameDensity:
    """A small density, away from its initial identity."""
    torch.manual_seed(0)
    config = Config()
    config.audio.frame_length = K
    config.density = {
        "flow": FlowConfig(squeeze=4, num_stages=2, num_steps=2, hidden_dim=8, position_dim=4),
        "compact": CompactFlowConfig(num_couplings=4, hidden_dim=8, num_cepstra=3),
        "subframe": SubframeFlowConfig(subframe_length=4, context_dim=6, num_couplings=4, hidden_dim=8, num_cepstra=3),
        "gaussian": GaussianConfig(),
    }[kind]
    return perturb(build_density(config, C), std)


def conds(density: FrameDensity, *shape: int) -> Tensor:
    """Random cond, with the samples before the frame for a density that looks back."""
    return torch.randn(*shape, C + density.past_dim)
