"""Bands are orthonormal, and two densities of them are one of the whole."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from small_densities import C, K, build
from torch import Tensor

from wavetts.config import AudioConfig
from wavetts.errors import UserError
from wavetts.model.density import SamplingOptions
from wavetts.model.density.cascade import BandSplit, CascadeConfig
from wavetts.model.density.diffusion.density import DiffusionConfig
from wavetts.model.density.gaussian import GaussianConfig


@pytest.mark.parametrize(("low", "high"), [(8, 8), (3, 13), (15, 1)])
def test_bands_are_orthonormal(low, high, float64):
    split = BandSplit(low, high)
    matrix = torch.cat(split(torch.eye(low + high)), -1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(low + high))
    x = torch.randn(5, low + high)
    torch.testing.assert_close(split.inverse(*split(x)), x)


def test_the_lower_band_is_the_signal_at_a_lower_rate(float64):
    time = (torch.arange(64) + 0.5) / 64
    slow, fast = torch.cos(3 * torch.pi * time), torch.cos(50 * torch.pi * time)
    low, high = BandSplit(32, 32)(slow + fast)
    expected = torch.cos(3 * torch.pi * (torch.arange(32) + 0.5) / 32) * 2**0.5
    torch.testing.assert_close(low, expected)
    assert high.norm().item() == pytest.approx(fast.norm().item())


def test_factored_gaussian_equals_the_joint(float64):
    """p(low) p(high | low), with the upper mean linear in the lower band, is the Gaussian of the whole."""
    torch.manual_seed(0)
    density = build(CascadeConfig(low_length=2), length=5, cond_dim=1)
    factor = torch.randn(5, 5)
    covariance = factor @ factor.T + torch.eye(5)  # of the bands
    # Diagonal given what came before: both stages are diagonal Gaussians.
    covariance[:2, :2] = torch.diag(covariance[:2, :2].diagonal())
    gain = covariance[2:, :2] @ torch.linalg.inv(covariance[:2, :2])
    rest = torch.rand(3) + 0.5
    covariance[2:, 2:] = gain @ covariance[:2, :2] @ gain.T + torch.diag(rest)
    bound = GaussianConfig().affine_bound
    with torch.no_grad():
        for affine, variances in ((density.lower.affine, covariance.diagonal()[:2]), (density.upper.affine, rest)):
            scale = bound * torch.atanh(0.5 * variances.log() / bound)
            affine.linear.bias[len(variances) :] = scale
        density.upper.affine.linear.weight[:3, 1:3] = gain
    basis = torch.cat(density.split(torch.eye(5)), -1)  # rows: values, columns: bands
    joint = torch.distributions.MultivariateNormal(torch.zeros(5), basis @ covariance @ basis.T)
    x = torch.randn(20, 5)
    torch.testing.assert_close(density.log_prob(x, torch.randn(20, 1)), joint.log_prob(x))
    drawn = density.sample(torch.zeros(20000, 1), SamplingOptions(), torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cov(drawn.T), joint.covariance_matrix, atol=0.25, rtol=0.1)


def test_the_upper_stage_is_trained_on_noise_and_evaluated_without():
    seen: list[Tensor] = []
    density = build(CascadeConfig(low_length=6, augmentation=0.5)).train()
    log_prob = density.upper.log_prob
    density.upper.log_prob = lambda x, context, generator=None: seen.append(context) or log_prob(x, context)
    x, cond = torch.randn(400, K), torch.randn(400, C)
    low, _ = density.split(x)
    density.loss(x, cond, torch.Generator().manual_seed(0))
    noised, level = seen[-1][:, C : C + 6], seen[-1][:, -1:]
    assert 0 <= level.min() < 0.05
    assert 0.45 < level.max() <= 0.5
    # Of the declared strength: what is left of the signal and what is not have the squares' sum 1.
    rest = noised - torch.cos(0.5 * torch.pi * level) * low
    assert (rest / torch.sin(0.5 * torch.pi * level)).std().item() == pytest.approx(1.0, abs=0.05)
    density.log_prob(x, cond)
    assert torch.equal(seen[-1][:, C : C + 6], low)
    assert not seen[-1][:, -1].any()
    density.eval().loss(x, cond)
    assert torch.equal(seen[-1][:, C : C + 6], low)


def test_the_level_in_synthesis_is_an_option():
    density = build(CascadeConfig(low_length=6), std=0.2)
    cond, noise = torch.randn(3, C), torch.randn(3, density.noise_dim)
    clean, noised = (density.sample(cond, SamplingOptions(augmentation=level), noise) for level in (0.0, 0.3))
    (clean_low, clean_high), (noised_low, noised_high) = density.split(clean), density.split(noised)
    torch.testing.assert_close(clean_low, noised_low, atol=1e-5, rtol=0)
    assert (clean_high - noised_high).abs().max() > 1e-3


def test_two_are_as_good_as_the_worse():
    small = DiffusionConfig(hidden_dim=8, num_layers=1)
    exact, bound, estimate = GaussianConfig(), small, dataclasses.replace(small, likelihood="ode")
    tags = {("exact", "exact"): "exact", ("exact", "bound"): "bound", ("bound", "estimate"): "estimate"}
    sections = {"exact": exact, "bound": bound, "estimate": estimate}
    for (low, high), tag in tags.items():
        section = CascadeConfig(low_length=6, low=sections[low], high=sections[high])
        assert section.build(K, C, AudioConfig()).likelihood == tag


def test_mistakes_are_told():
    with pytest.raises(UserError, match="leave no band"):
        CascadeConfig(low_length=16).check_length(16, "audio.frame_length", "density")
