"""Schedules end where they shall, slopes are derivatives, and learning one changes the estimate's variance alone."""

from __future__ import annotations

import math

import pytest
import torch
from closed_forms import Gaussian

from wavetts.model.density.diffusion.bound import continuous_term
from wavetts.model.density.diffusion.schedule import (
    SCHEDULES,
    CosineSchedule,
    LearnedSchedule,
    VarianceGate,
    alpha_sigma,
    stratified_times,
)

pytestmark = pytest.mark.usefixtures("float64")


def learned() -> LearnedSchedule:
    schedule = LearnedSchedule(-9.0, 6.0, hidden_dim=8)
    torch.manual_seed(0)
    with torch.no_grad():
        schedule.heights.add_(4 + torch.randn(8))
        schedule.slopes.add_(5 * torch.randn(8))
    return schedule


@pytest.mark.parametrize("name", [*SCHEDULES, "perturbed"])
def test_ends_rises_and_has_the_slope_of_its_derivative(name):
    schedule = learned() if name == "perturbed" else SCHEDULES[name](-9.0, 6.0)
    gamma, _ = schedule(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(gamma, torch.tensor([-9.0, 6.0]))
    t = torch.linspace(0, 1, 101).requires_grad_()
    gamma, slope = schedule(t)
    assert (gamma.diff() > 0).all()
    torch.testing.assert_close(slope, torch.autograd.grad(gamma.sum(), t)[0])
    alpha, sigma = alpha_sigma(gamma)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(101))
    torch.testing.assert_close(torch.log(sigma**2 / alpha**2), gamma)


def test_the_learned_schedule_starts_nearly_linear():
    gamma, _ = LearnedSchedule(-9.0, 6.0)(torch.linspace(0, 1, 11))
    assert (gamma - torch.linspace(-9, 6, 11)).abs().max() < 0.5


def test_cosine_schedule_is_a_cosine():
    schedule = CosineSchedule(-30.0, 30.0)  # so far out that u = t
    alpha, _ = alpha_sigma(schedule(torch.linspace(0, 1, 11))[0])
    torch.testing.assert_close(alpha, torch.cos(0.5 * math.pi * torch.linspace(0, 1, 11)), atol=1e-6, rtol=0)


def test_times_are_uniform_and_one_is_in_each_interval():
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([stratified_times(10, torch.zeros(()), generator) for _ in range(2000)])
    assert ((draws * 10).floor().sort(1).values == torch.arange(10)).all()
    assert draws.min() >= 0
    assert draws.max() < 1
    # Each row alone is uniform: moments of its time, within four standard errors.
    assert (draws.mean(0) - 0.5).abs().max() < 4 / math.sqrt(12 * 2000)
    assert (draws.var(0) - 1 / 12).abs().max() < 0.01
    assert torch.equal(
        stratified_times(5, torch.zeros(()), torch.Generator().manual_seed(3)),
        stratified_times(5, torch.zeros(()), torch.Generator().manual_seed(3)),
    )


def test_the_gate_gives_the_interior_the_squares_gradient_and_the_ends_their_own():
    data, schedule = Gaussian([0.5, 2.0]), learned()
    torch.manual_seed(1)
    x, eps, t = data.sample(16), torch.randn(16, 2), torch.rand(16)
    plain = continuous_term(data.eps, x, schedule, t, eps)
    expected_ends = torch.autograd.grad(plain.mean(), [schedule.gamma_min, schedule.gamma_max], retain_graph=True)
    interior = [schedule.linear, schedule.heights, schedule.slopes, schedule.offsets]
    expected_interior = torch.autograd.grad(plain.square().mean(), interior)
    gated = continuous_term(data.eps, x, schedule, t, eps, VarianceGate())
    torch.testing.assert_close(gated, plain)
    gradients = torch.autograd.grad(gated.mean(), [schedule.gamma_min, schedule.gamma_max, *interior])
    torch.testing.assert_close(gradients, (*expected_ends, *expected_interior))


def test_training_the_interior_lowers_the_variance_and_keeps_the_mean():
    data, schedule = Gaussian([0.05, 1.0]), LearnedSchedule(-9.0, 6.0, hidden_dim=16)
    optimizer = torch.optim.Adam([schedule.linear, schedule.heights, schedule.slopes, schedule.offsets], 0.05)
    torch.manual_seed(0)
    x, eps = data.sample(4000), torch.randn(4000, 2)
    t = stratified_times(4000, x)
    before = continuous_term(data.eps, x, schedule, t, eps).detach()
    for _ in range(150):
        index = torch.randint(0, 4000, (256,))
        losses = continuous_term(data.eps, x[index], schedule, torch.rand(256), eps[index], VarianceGate())
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    after = continuous_term(data.eps, x, schedule, t, eps).detach()
    assert after.var() < 0.6 * before.var()
    assert (after.mean() - before.mean()).abs() < 4 * (before.std() + after.std()) / math.sqrt(4000)
