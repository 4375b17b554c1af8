"""The bound against entropies of Gaussian data, for which the exact denoiser is known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from closed_forms import Gaussian
from torch import Tensor

from wavetts.model.density.diffusion.bound import continuous_term, decoder_term, finite_term, prior_kl
from wavetts.model.density.diffusion.prediction import noised, to_x
from wavetts.model.density.diffusion.schedule import LinearSchedule, Schedule, VarianceGate

pytestmark = pytest.mark.usefixtures("float64")
DATA = [1.0, 0.3, 2.0]


class CubicSchedule(Schedule):
    """gamma moves as the cube of t, and a little linearly."""

    def forward(self, t: Tensor, gate: VarianceGate | None = None) -> tuple[Tensor, Tensor]:
        span = self.gamma_max - self.gamma_min
        return self.gamma_min + span * (0.9 * t**3 + 0.1 * t), span * (2.7 * t**2 + 0.1)


def mean_over_noise(data: Gaussian, term) -> float:
    """The mean over x and eps of a quadratic function of them, and over t by the midpoint rule."""
    x, eps = data.moments()
    times = (torch.arange(20000) + 0.5) / 20000
    return float(sum(term(x[i].expand(20000, -1), times, eps[i].expand(20000, -1)).mean() for i in range(4)) / 4)


def ends_term(data: Gaussian, gamma_min: float, gamma_max: float, log_variance: Tensor | None) -> float:
    """KL at the noise's end and decoder term at the data's; without a variance the decoder is that of z_0 alone."""
    x, eps = data.moments()
    gamma = torch.tensor(gamma_min)
    z = noised(x, eps, gamma)
    if log_variance is None:
        decoder = decoder_term(x, z / torch.sigmoid(-gamma).sqrt(), gamma.expand(3))
    else:
        decoder = decoder_term(x, to_x(data.eps(z, gamma), z, gamma, "eps"), log_variance)
    return float((prior_kl(x, torch.tensor(gamma_max)) + decoder).mean())


@pytest.mark.parametrize("gamma_min", [-10.0, -4.0, -1.0])
def test_bound_is_the_entropy_of_the_data_with_the_floors_noise(gamma_min):
    data, schedule = Gaussian(DATA), LinearSchedule(gamma_min, 16.0)
    bound = mean_over_noise(data, lambda x, t, eps: continuous_term(data.eps, x, schedule, t, eps))
    bound += ends_term(data, gamma_min, 16.0, None)
    assert bound == pytest.approx(data.entropy(noise=math.exp(gamma_min)), abs=1e-4)


@pytest.mark.parametrize("gamma_min", [-10.0, -4.0, -1.0, 2.0])
def test_a_learned_decoder_variance_makes_the_bound_tight_at_any_floor(gamma_min):
    data, schedule = Gaussian(DATA), LinearSchedule(gamma_min, 16.0)
    x, eps = data.moments()
    gamma = torch.tensor(gamma_min)
    z = noised(x, eps, gamma)
    mean = to_x(data.eps(z, gamma), z, gamma, "eps")
    log_variance = torch.full((3,), gamma_min, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_variance], max_iter=60, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = decoder_term(x, mean, log_variance).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    bound = mean_over_noise(data, lambda x, t, eps: continuous_term(data.eps, x, schedule, t, eps))
    bound += ends_term(data, gamma_min, 16.0, log_variance.detach())
    assert bound == pytest.approx(data.entropy(), abs=1e-4)
    # And it is the variance that makes it so.
    if gamma_min > -2:
        assert ends_term(data, gamma_min, 16.0, None) > ends_term(data, gamma_min, 16.0, log_variance.detach()) + 0.1


def test_linear_and_cubic_schedules_give_the_same_bound_with_different_variance():
    # Three values whose entropy is 3.796 nats.
    rest = math.exp(2 * 3.796) / (2 * math.pi * math.e) ** 3
    data = Gaussian([2.0, 0.5, rest])
    assert data.entropy() == pytest.approx(3.796, abs=1e-12)
    torch.manual_seed(0)
    count, gamma_min, gamma_max = 400_000, -4.0, 8.0
    floor = torch.tensor(gamma_min)
    odds = math.exp(gamma_min)
    posterior = torch.log(data.variances * odds / (data.variances + odds))
    estimates, spreads = [], []
    for schedule in (LinearSchedule(gamma_min, gamma_max), CubicSchedule(gamma_min, gamma_max)):
        x, eps, t = data.sample(count), torch.randn(count, 3), torch.rand(count)
        z = noised(x, torch.randn(count, 3), floor)
        losses = continuous_term(data.eps, x, schedule, t, eps) + prior_kl(x, torch.tensor(gamma_max))
        losses = losses + decoder_term(x, to_x(data.eps(z, floor), z, floor, "eps"), posterior)
        estimates.append(losses.mean().item())
        spreads.append(losses.std().item())
    for estimate, spread in zip(estimates, spreads, strict=True):
        assert spread / math.sqrt(count) < 0.02
        assert estimate == pytest.approx(3.796, abs=3 * spread / math.sqrt(count))
    assert max(spreads) / min(spreads) > 1.2


def test_a_finite_number_of_steps_approaches_the_bound_from_above():
    data, schedule = Gaussian(DATA), LinearSchedule(-10.0, 16.0)
    limit = mean_over_noise(data, lambda x, t, eps: continuous_term(data.eps, x, schedule, t, eps))
    finite = [
        mean_over_noise(data, lambda x, t, eps, steps=steps: finite_term(data.eps, x, schedule, steps, t, eps))
        for steps in (4, 16, 64, 256, 1000)
    ]
    assert all(first > second > limit for first, second in pairwise(finite))
    # What is missing is of the order of 1 / T.
    assert finite[-1] - limit < 0.2
    assert (finite[-1] - limit) / (finite[-2] - limit) == pytest.approx(256 / 1000, rel=0.05)


def test_an_inexact_denoiser_gives_a_looser_bound():
    data, schedule = Gaussian(DATA), LinearSchedule(-10.0, 16.0)
    exact = mean_over_noise(data, lambda x, t, eps: continuous_term(data.eps, x, schedule, t, eps))
    wrong = Gaussian([1.0, 0.5, 2.0])
    assert mean_over_noise(data, lambda x, t, eps: continuous_term(wrong.eps, x, schedule, t, eps)) == pytest.approx(
        exact + 0.5 * (0.3 / 0.5 - 1 - math.log(0.3 / 0.5)), abs=1e-3
    )  # by the Kullback-Leibler divergence of the two
