"""Denoisers: what they start as, that levels and contexts broadcast, and what Fourier features resolve."""

from __future__ import annotations

import math

import pytest
import torch

from wavetts.model.density.diffusion.denoiser import ConvNetwork, Denoiser, FourierFeatures, MLPNetwork, guided_eps

SIZES = (12, 5, 16, 2, -8.0, 6.0)


def network(kind: str, num_extras: int = 0, std: float = 0.2):
    torch.manual_seed(0)
    made = MLPNetwork(*SIZES, num_extras, octaves=2) if kind == "mlp" else ConvNetwork(*SIZES, num_extras, squeeze=4)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_one_level_is_that_level_for_each_row(kind):
    denoiser = Denoiser(network(kind), "v")
    z, cond = torch.randn(3, 12), torch.randn(3, 5)
    context = denoiser.prepare(cond)
    one = denoiser.eps(z, torch.tensor(-1.0), context)
    torch.testing.assert_close(one, denoiser.eps(z, torch.full((3,), -1.0), context))
    each = torch.stack([denoiser.eps(z[i], torch.tensor(-1.0), denoiser.prepare(cond[i])) for i in range(3)])
    torch.testing.assert_close(one, each, atol=1e-5, rtol=1e-5)
    assert (denoiser.eps(z, torch.tensor(2.0), context) - one).abs().max() > 1e-3
    assert (denoiser.eps(z, torch.tensor(-1.0), denoiser.prepare(cond + 1)) - one).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("prediction", ["eps", "x", "v"])
def test_at_the_start_it_is_that_of_standard_normal_data(kind, prediction):
    fresh = MLPNetwork(*SIZES) if kind == "mlp" else ConvNetwork(*SIZES, squeeze=4)
    denoiser = Denoiser(fresh, prediction)
    z, gamma = torch.randn(3, 12), torch.tensor([-5.0, 0.0, 3.0])
    eps = denoiser.eps(z, gamma, denoiser.prepare(torch.randn(3, 5)))
    torch.testing.assert_close(eps, torch.sigmoid(gamma).sqrt()[:, None] * z, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_further_numbers_are_seen(kind):
    made = network(kind, num_extras=1)
    z, context = torch.randn(3, 12), made.prepare(torch.randn(3, 5))
    first = made(z, torch.tensor(0.0), context, torch.zeros(3, 1))
    assert (made(z, torch.tensor(0.0), context, torch.ones(3, 1)) - first).abs().max() > 1e-3


def test_guidance_is_the_extrapolation_and_none_is_the_model():
    denoiser = Denoiser(network("mlp"), "v")
    z, cond, null, gamma = torch.randn(3, 12), torch.randn(3, 5), torch.randn(3, 5), torch.tensor(0.0)
    told, untold = (denoiser.x(z, gamma, denoiser.prepare(context)) for context in (cond, null))
    sigma = alpha = 0.5**0.5
    for w in (0.0, 1.5, torch.tensor([[0.0], [1.0], [2.0]])):
        x = (z - sigma * guided_eps(denoiser, cond, null, w)(z, gamma)) / alpha
        torch.testing.assert_close(x, (1 + w) * told - w * untold, atol=1e-4, rtol=1e-4)


def test_fourier_features_tell_values_apart_that_differ_by_the_floor():
    features = FourierFeatures(octaves=3, gamma_min=-12.0)
    floor = math.exp(-6.0)
    z = torch.tensor([[0.7], [0.7 + floor]])
    plain, fourier = z.diff(dim=0).norm(), features(z).diff(dim=0).norm()
    assert plain == pytest.approx(floor, rel=1e-3)
    assert fourier > 0.5
    assert features(torch.randn(4, 5)).shape == (4, 5 * features.width)
    assert FourierFeatures(0, -12.0)(z) is z
