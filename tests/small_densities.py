"""Densities of a few parameters, and conditions for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig
from wavetts.config.registry import KINDS as REGISTRY
from wavetts.model.density import Density
from wavetts.model.density.cascade import CascadeConfig
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.couplings import CouplingFlowConfig
from wavetts.model.density.diffusion.density import DiffusionConfig
from wavetts.model.density.diffusion.guidance import GuidedConfig
from wavetts.model.density.diffusion.student import StudentConfig
from wavetts.model.density.energy.recovery import RecoveryConfig
from wavetts.model.density.energy.tilt import TiltConfig
from wavetts.model.density.flow import FlowConfig
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.linear_prediction import LinearPredictionConfig
from wavetts.model.density.subframe import SubframeConfig

K, C = 16, 5
_SIZES = {"hidden_dim": 8, "num_layers": 2, "gamma_min": -6.0, "gamma_max": 5.0}


def diffusion(**fields) -> DiffusionConfig:
    return DiffusionConfig(**{**_SIZES, "sampler_steps": 4, **fields})


SMALL_COUPLINGS = CouplingFlowConfig(num_couplings=2, hidden_dim=8, code_dim=3)
SMALL_TILT = {"hidden_dim": 8, "num_layers": 1, "num_negatives": 4, "num_candidates": 4, "langevin_steps": 3}

SMALL_RECOVERY = {
    "hidden_dim": 8,
    "num_layers": 1,
    "num_levels": 3,
    "chain_steps": 4,
    "annealing_steps": 6,
    "least_sample_size": 1.0,
}


def tilt(inner: DensityConfig = SMALL_COUPLINGS, **fields) -> TiltConfig:
    return TiltConfig(**{**SMALL_TILT, "inner": inner, **fields})


# Of every kind in the registry a small one; and compositions of them.
SECTIONS: dict[str, DensityConfig] = {
    "flow": FlowConfig(squeeze=4, num_stages=2, num_steps=2, hidden_dim=8, position_dim=4),
    "compact": CompactFlowConfig(num_couplings=4, hidden_dim=8, num_cepstra=3),
    "subframe": SubframeConfig(
        subframe_length=4, context_dim=6, inner=CompactFlowConfig(num_couplings=4, hidden_dim=8, num_cepstra=3)
    ),
    "gaussian": GaussianConfig(),
    "couplings": CouplingFlowConfig(num_couplings=4, hidden_dim=8, code_dim=3),
    "linear_prediction": LinearPredictionConfig(order=4, num_bins=8, num_cepstra=3, inner=SMALL_COUPLINGS),
    "subframe of linear prediction": SubframeConfig(
        subframe_length=4, context_dim=6, inner=LinearPredictionConfig(order=4, num_bins=8, inner=SMALL_COUPLINGS)
    ),
    "linear prediction of diffusion": LinearPredictionConfig(order=4, num_bins=8, inner=diffusion()),
    "diffusion": diffusion(),
    "guided": GuidedConfig(dropout=0.4, inner=diffusion()),
    "student": StudentConfig(**_SIZES, sampler_steps=2, largest_guidance=1.0),
    "cascade": CascadeConfig(low_length=6, low=diffusion(), high=CompactFlowConfig(num_couplings=2, hidden_dim=8)),
    "cascade of flows": CascadeConfig(
        low_length=6, low=GaussianConfig(), high=CompactFlowConfig(num_couplings=2, hidden_dim=8)
    ),
    "learned diffusion": diffusion(schedule="learned", prediction="eps", sampler="ancestral"),
    "weighted diffusion": diffusion(weighting="sigmoid", adaptive=True, sampler="predictor_corrector"),
    "whole-frame diffusion": diffusion(network="conv", squeeze=4, transform="none", prediction="x", sampler="ddim"),
    "diffusion by its ODE": diffusion(likelihood="ode", likelihood_steps=4),
    "guided subframes of diffusion": GuidedConfig(
        dropout=0.4, inner=SubframeConfig(subframe_length=8, context_dim=6, inner=diffusion())
    ),
    "subframe of student": SubframeConfig(
        subframe_length=8, context_dim=6, inner=StudentConfig(**_SIZES, sampler_steps=2, largest_guidance=1.0)
    ),
    "tilt": tilt(),
    "tilt by dot product": tilt(score="dot", num_features=4),
    "tilt by squared features": tilt(score="dot", num_features=4, augmentation="squared", objective="binary"),
    "tilt by denoising": tilt(objective="denoising", noise=1.0),
    "tilt by sliced score matching": tilt(score="dot", augmentation="nonnegative", objective="sliced"),
    "tilt by short chains": tilt(objective="langevin", sampler="langevin"),
    "tilt by persistent chains": tilt(objective="langevin", num_chains=4),
    "subframe of tilt": SubframeConfig(subframe_length=4, context_dim=6, inner=tilt()),
    "recovery": RecoveryConfig(**SMALL_RECOVERY),
    "subframe of recovery": SubframeConfig(
        subframe_length=8, context_dim=6, inner=RecoveryConfig(transform="none", **SMALL_RECOVERY)
    ),
    "linear prediction of tilt": LinearPredictionConfig(order=4, num_bins=8, inner=tilt()),
    "subframe of gaussian": SubframeConfig(subframe_length=4, context_dim=6, inner=GaussianConfig()),
    "subframe of flow": SubframeConfig(
        subframe_length=8,
        context_dim=6,
        inner=FlowConfig(squeeze=2, num_stages=2, num_steps=1, hidden_dim=8, position_dim=4),
    ),
}
assert set(REGISTRY["density"]) <= set(SECTIONS), "a kind that no test knows"
KINDS = tuple(SECTIONS)


def perturb(module: nn.Module, std: float) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return module


def build(section: DensityConfig, std: float = 0.0, length: int = K, cond_dim: int = C) -> Density:
    """The density of a section, `std` away from its initial values."""
    torch.manual_seed(0)
    audio = AudioConfig(sample_rate=16000, frame_length=length)
    section.check_length(length, "audio.frame_length", "density")
    return perturb(section.build(length, cond_dim, audio), std)


def make(kind: str, std: float = 0.2) -> Density:
    """A small density, away from its initial identity."""
    return build(SECTIONS[kind], std)


def conds(density: Density, *shape: int) -> Tensor:
    """Random cond, with the samples before the frame for a density that looks back."""
    return torch.randn(*shape, density.cond_dim + density.past_dim)
