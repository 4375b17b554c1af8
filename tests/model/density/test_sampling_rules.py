"""Temperature by voicing, and what is heard without the noise that training added."""

from __future__ import annotations

import math

import pytest
import torch
from small_densities import build, conds
from torch import Tensor

from wavetts.model.density import SamplingOptions
from wavetts.model.density.base import Density
from wavetts.model.density.couplings import CouplingFlowConfig
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.linear_prediction import LinearPredictionConfig
from wavetts.model.density.pitch import Voicing
from wavetts.model.density.subframe import SubframeConfig

RATE, LENGTH = 16000, 640


def harmonics(f0: float, rows: int = 1) -> Tensor:
    time = (torch.arange(LENGTH) + 53 * torch.arange(rows)[:, None]) / RATE
    return sum(torch.cos(2 * math.pi * number * f0 * time + number) for number in range(1, 8)) / 2


# Voicing


@pytest.mark.parametrize("f0", [80.0, 150.0, 300.0])
def test_harmonics_are_voiced_and_noise_is_not(f0):
    torch.manual_seed(0)
    voicing = Voicing(RATE)
    voiced = voicing(harmonics(f0, 8), 0.5)
    noise = voicing(torch.randn(8, LENGTH), 0.5)
    silence = voicing(0.02 * torch.randn(8, LENGTH), 0.5)
    assert voiced.shape == (8, 1)
    torch.testing.assert_close(voiced, torch.full((8, 1), 0.5))
    assert noise.mean() > 0.85
    assert silence.mean() > 0.85


def test_the_scale_falls_linearly_between_its_bounds():
    voicing = Voicing(RATE)
    voicing.search.forward = lambda low: (torch.tensor([0.0, 0.35, 0.55, 0.75, 1.0]), torch.zeros(5))
    scale = voicing(torch.randn(5, LENGTH), 0.6)[:, 0]
    torch.testing.assert_close(scale, torch.tensor([1.0, 1.0, 0.8, 0.6, 0.6]))


def frames(**options: object) -> Density:
    section = SubframeConfig(subframe_length=160, context_dim=6, inner=GaussianConfig())
    return build(section, std=0.1, length=LENGTH)


def test_voiced_subframes_are_drawn_cooler_and_others_as_before():
    torch.manual_seed(0)
    density = frames()
    cond = conds(density, 2)
    cond[0, density.cond_dim :] = harmonics(120.0)
    cond[1, density.cond_dim :] = torch.randn(LENGTH)
    noise = torch.randn(2, LENGTH)
    usual, cooler = (density.sample(cond, SamplingOptions(0.8, voiced_scale=scale), noise) for scale in (1.0, 0.5))
    # The first subframe after harmonics has half of the noise; what follows is no longer voiced.
    first = slice(0, 160)
    expected = density.sample(cond, SamplingOptions(0.4), noise)
    torch.testing.assert_close(cooler[0, first], expected[0, first])
    warm = (cooler[1, first] - usual[1, first]).norm() / usual[1, first].norm()
    assert warm < 0.2
    # In every row its own, whoever is beside it, and a tensor of scales.
    rows = torch.tensor([[0.5], [1.0]])
    mixed = density.sample(cond, SamplingOptions(torch.full((2, 1), 0.8), voiced_scale=rows), noise)
    torch.testing.assert_close(mixed[0], cooler[0])
    torch.testing.assert_close(mixed[1], usual[1])


def test_temperature_zero_stays_deterministic():
    density = frames()
    cond = conds(density, 3)
    cold = SamplingOptions(0.0, voiced_scale=0.5)
    first = density.sample(cond, cold, torch.Generator().manual_seed(1))
    assert torch.equal(first, density.sample(cond, cold, torch.Generator().manual_seed(2)))


# Dither


def test_removing_dither_is_wieners_filter_for_a_gaussian(float64):
    """A signal of known variances with white noise: what is expected of it is shrunk towards the mean, exactly."""
    torch.manual_seed(0)
    density = build(GaussianConfig(), length=6, cond_dim=2)
    clean, noise = torch.tensor([0.0, 0.1, 0.3, 1.0, 2.0, 5.0]), 0.5
    with torch.no_grad():
        density.affine.linear.bias[:6] = torch.arange(6.0)
        density.affine.linear.bias[6:] = 6.0 * torch.atanh(0.5 * torch.log(clean**2 + noise**2) / 6.0)
    cond, drawn = torch.zeros(20000, 2), None
    drawn = density.sample(cond, SamplingOptions(), torch.Generator().manual_seed(1))
    heard = density.remove_dither(drawn, cond, noise)
    mean = torch.arange(6.0)
    torch.testing.assert_close(heard, mean + (drawn - mean) * clean**2 / (clean**2 + noise**2))
    # It is the least-squares estimate of the clean signal.
    signal = mean + clean * torch.randn(20000, 6)
    noisy = signal + noise * torch.randn(20000, 6)
    errors = (density.remove_dither(noisy, cond, noise) - signal).square().mean(0)
    assert (errors <= (noisy - signal).square().mean(0)).all()
    torch.testing.assert_close(errors, clean**2 * noise**2 / (clean**2 + noise**2), atol=0.02, rtol=0.05)


def test_removing_dither_of_a_filter_uses_the_samples_on_both_sides(float64):
    """White noise under a resonance: the estimate is closer to the resonance than what is drawn is."""
    torch.manual_seed(0)
    inner = LinearPredictionConfig(order=12, num_bins=16, num_cepstra=0, inner=GaussianConfig())
    density = build(inner, length=320, cond_dim=4)
    with torch.no_grad():
        # Log power: a peak in the fifth bin, and the noise's floor.
        power = torch.full((16,), 0.3)
        power[4] = 20.0
        density.envelope.bias.copy_(8.0 * torch.atanh((power.log() + 2.0) / 8.0))
        density.gates.bias.fill_(-30.0)  # nothing is copied
    cond = torch.zeros(50, 4 + density.past_dim)
    drawn = density.sample(cond, SamplingOptions(), torch.Generator().manual_seed(1))
    heard = density.remove_dither(drawn, cond, 0.5)
    before, after = (torch.fft.rfft(x).abs().square().mean(0) for x in (drawn, heard))
    peak, floor = slice(42, 50), slice(100, 161)
    assert after[peak].sum() > 0.8 * before[peak].sum()
    assert after[floor].sum() < 0.3 * before[floor].sum()


def test_removing_dither_works_where_nothing_is_differentiated():
    inner = CouplingFlowConfig(num_couplings=2, hidden_dim=8, code_dim=3)
    section = SubframeConfig(
        subframe_length=4, context_dim=6, inner=LinearPredictionConfig(order=3, num_bins=8, inner=inner)
    )
    density = build(section, std=0.2, length=16)
    with torch.inference_mode():
        cond = conds(density, 3)
        drawn = density.sample(cond, SamplingOptions(), torch.Generator().manual_seed(1))
        heard = density.remove_dither(drawn, cond, 0.1)
    assert heard.shape == drawn.shape
    assert not heard.requires_grad
    assert all(parameter.grad is None for parameter in density.parameters())
    assert 0 < (heard - drawn).abs().max() < 1.0
    assert torch.equal(density.remove_dither(drawn, cond, 0.0), drawn)
