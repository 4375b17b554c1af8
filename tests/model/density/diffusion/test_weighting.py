"""Weighted losses: the identity that makes them mixtures of bounds, and levels drawn where the loss is large."""

from __future__ import annotations

import math

import pytest
import torch
from closed_forms import Gaussian
from torch import Tensor

from wavetts.model.density.diffusion.bound import noise_error
from wavetts.model.density.diffusion.schedule import stratified_times
from wavetts.model.density.diffusion.weighting import WEIGHTINGS, AdaptiveLevels, mean_weight

pytestmark = pytest.mark.usefixtures("float64")
LOW, HIGH = -8.0, 7.0


def mean_errors(gamma: Tensor) -> Tensor:
    """E|eps - eps_hat|^2 at levels (M,), of a denoiser that is not exact."""
    data, believed = Gaussian([1.0, 0.2]), Gaussian([0.6, 0.5])
    x, eps = data.moments()
    rows = len(gamma)
    return sum(noise_error(believed.eps, x[i].expand(rows, 2), gamma, eps[i].expand(rows, 2)) for i in range(4)) / 4


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_the_weighted_loss_is_a_mixture_of_bounds(name):
    """L_w = int dw/dt L(t) dt + w(lambda_max) L(0), L(t) being the bound from t on (Kingma and Gao 2023, theorem 1)."""
    gamma = torch.linspace(LOW, HIGH, 20001, requires_grad=True)  # the linear schedule's levels, over time
    errors = mean_errors(gamma.detach())
    weights = WEIGHTINGS[name](-gamma)
    (rising,) = torch.autograd.grad((weights + 0 * gamma).sum(), gamma)  # dw/dgamma
    weights, grid = weights.detach(), gamma.detach()
    weighted = torch.trapezoid(0.5 * weights * errors, grid)
    # L(t), without the constant KL at the noise's end: 1/2 int_t^1 gamma' E|eps - eps_hat|^2.
    steps = 0.25 * (errors[1:] + errors[:-1]) * grid.diff()
    from_here = torch.cat([steps.flip(0).cumsum(0).flip(0), torch.zeros(1)])
    mixture = torch.trapezoid(rising * from_here, grid) + weights[0] * from_here[0]
    assert float(mixture) == pytest.approx(float(weighted), rel=1e-5)
    if name != "elbo":
        assert float(weights[0] * from_here[0]) != pytest.approx(float(weighted), rel=0.01)


def test_mean_weight():
    assert mean_weight("elbo", LOW, HIGH) == pytest.approx(1.0)
    expected = 2 * (math.exp(HIGH / 2) - math.exp(LOW / 2)) / (HIGH - LOW)
    assert mean_weight("v_mse", LOW, HIGH) == pytest.approx(expected, rel=1e-5)


def test_adaptive_levels_give_the_same_mean_with_less_variance():
    torch.manual_seed(0)
    weight = WEIGHTINGS["eps_mse"]
    levels = AdaptiveLevels(LOW, HIGH, num_bins=50)
    data = Gaussian([1.0, 0.2])

    def losses(count: int, adapt: bool) -> Tensor:
        t = stratified_times(count, torch.zeros(()))
        gamma, rate = levels(t)
        weighted = weight(-gamma) * noise_error(data.eps, data.sample(count), gamma, torch.randn(count, 2))
        if adapt:
            levels.update(gamma, weighted)
        return 0.5 * rate * weighted

    gamma, rate = levels(torch.linspace(0, 1, 101)[:-1])
    torch.testing.assert_close(gamma, torch.linspace(LOW, HIGH, 101)[:-1])  # uniform before it has seen anything
    torch.testing.assert_close(rate, torch.full((100,), HIGH - LOW))
    uniform = losses(40000, adapt=False)
    for _ in range(300):
        losses(512, adapt=True)
    adapted = losses(40000, adapt=False)
    error = math.sqrt((uniform.var() + adapted.var()) / 40000)
    assert adapted.mean().item() == pytest.approx(uniform.mean().item(), abs=4 * error)
    assert adapted.var() < 0.5 * uniform.var()
    # Its density integrates to 1: the mean of 1 / density is the range.
    _, rate = levels(stratified_times(100000, torch.zeros(())))
    assert rate.mean().item() == pytest.approx(HIGH - LOW, rel=1e-3)


def test_adaptive_levels_are_kept_with_the_weights():
    levels, other = AdaptiveLevels(LOW, HIGH, 10), AdaptiveLevels(LOW, HIGH, 10)
    levels.update(torch.tensor([-7.9, 6.9]), torch.tensor([5.0, 9.0]))
    assert levels.means[0] > 1
    assert (levels.means[1:-1] == 1).all()
    other.load_state_dict(levels.state_dict())
    assert torch.equal(other.means, levels.means)
