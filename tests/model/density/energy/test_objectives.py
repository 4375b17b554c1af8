"""Objectives of energies against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wavetts.model.density.energy.langevin import langevin, langevin_step, noise_space_langevin
from wavetts.model.density.energy.objectives import (
    binary_nce,
    contrastive_divergence,
    denoising_score_matching,
    flow_contrastive,
    gradients,
    ranking_nce,
    score_of,
    sliced_score_matching,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def minimise(loss, parameters: list[Tensor], steps: int = 60) -> None:
    """By L-BFGS, to convergence: what is left is the noise of the data."""
    optimizer = torch.optim.LBFGS(parameters, max_iter=steps, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


# Noise contrastive estimation

PRECISION = 1 / 0.3**2  # 11.11
LOG_Z = math.log(0.3 * math.sqrt(2 * math.pi))  # -0.2850


def normal_grid(count: int) -> Tensor:
    """Standard normal values, one in each of `count` equal parts of the probability: hardly any sampling noise."""
    return torch.special.ndtri((torch.arange(count) + 0.5) / count)


def log_ratio(values: Tensor, precision: Tensor, constant: Tensor | float) -> Tensor:
    """log p - log q of exp(constant - precision y^2 / 2) over a standard normal."""
    return constant - 0.5 * precision * values**2 + 0.5 * values**2 + 0.5 * math.log(2 * math.pi)


@pytest.mark.parametrize("count", [1, 5])
def test_binary_nce_recovers_precision_and_normaliser(count, float64):
    true, others = 0.3 * normal_grid(10_000), normal_grid(10_000 * count).view(count, 10_000).T
    precision, constant = torch.ones((), requires_grad=True), torch.zeros((), requires_grad=True)
    minimise(
        lambda: binary_nce(log_ratio(true, precision, constant), log_ratio(others, precision, constant)).mean(),
        [precision, constant],
    )
    assert precision.item() == pytest.approx(PRECISION, abs=0.03)
    assert constant.item() == pytest.approx(-LOG_Z, abs=0.003)


def test_flow_contrastive_is_binary_nce_of_the_log_ratio(float64):
    densities = [torch.randn(4), torch.randn(4), torch.randn(4, 3), torch.randn(4, 3)]
    expected = binary_nce(densities[0] - densities[1], densities[2] - densities[3])
    torch.testing.assert_close(flow_contrastive(*densities), expected)
    # Of two that are alike it is the loss of a fair guess, and its gradient by the model is 0 in expectation.
    same = torch.randn(4)
    guess = flow_contrastive(same, same, same[:, None], same[:, None])
    torch.testing.assert_close(guess, torch.full((4,), 2 * math.log(2.0)))


def test_ranking_nce_recovers_the_precision_and_the_normaliser_cancels(float64):
    true = 0.3 * normal_grid(20_000)
    others = torch.randn(20_000, 8, generator=seeded(2))
    precision = torch.ones((), requires_grad=True)

    def loss(constant: float) -> Tensor:
        return ranking_nce(log_ratio(true, precision, constant), log_ratio(others, precision, constant)).mean()

    assert loss(0.0).item() == pytest.approx(loss(7.0).item())
    minimise(lambda: loss(0.0), [precision])
    assert precision.item() == pytest.approx(PRECISION, rel=0.025)


def test_ranking_nce_of_a_score_that_knows_nothing():
    assert ranking_nce(torch.zeros(3), torch.zeros(3, 15)).tolist() == pytest.approx([math.log(16)] * 3)


# Score matching


def quadratic(precision: Tensor):
    return lambda values: -0.5 * (precision * values**2).sum(-1)


def test_denoising_score_matching_gives_the_score_of_the_noisy_values(float64):
    generator = seeded()
    values = 0.5 * torch.randn(200_000, 1, generator=generator)
    noise = torch.randn(200_000, 1, generator=generator)
    precision = torch.ones((), requires_grad=True)
    minimise(lambda: denoising_score_matching(quadratic(precision), values, 0.4, noise).mean(), [precision])
    assert precision.item() == pytest.approx(1 / (0.5**2 + 0.4**2), rel=0.01)


def test_sliced_score_matching_gives_the_score_of_the_values(float64):
    generator = seeded()
    spread = torch.tensor([0.5, 1.0, 2.0])
    values = spread * torch.randn(100_000, 3, generator=generator)
    probe = torch.randn(100_000, 3, generator=generator)
    precision = torch.ones(3, requires_grad=True)
    minimise(lambda: sliced_score_matching(quadratic(precision), values, probe).mean(), [precision])
    torch.testing.assert_close(precision.detach(), spread**-2, rtol=0.02, atol=0.0)


def score_matching_gradient(values: Tensor, precision: Tensor) -> Tensor:
    """Of Hyvarinen's objective, trace and all."""
    precision = precision.clone().requires_grad_()
    objective = -precision.sum() + 0.5 * (precision * values).square().sum(-1)
    (gradient,) = torch.autograd.grad(objective.mean(), precision)
    return gradient


def test_contrastive_divergence_of_one_small_step_is_score_matching(float64):
    """Hyvarinen 2007: CD-1 with a step of size e has the gradient of score matching times e^2 / 2."""
    values = torch.tensor([0.7, 1.5]) * torch.randn(400_000, 2, generator=seeded(3))
    noise = torch.randn(400_000, 2, generator=seeded(4))
    precision = torch.tensor([1.0, 1.2])
    expected, errors = score_matching_gradient(values, precision), []
    for size in (0.5, 0.25, 0.125):
        free = precision.clone().requires_grad_()
        # Noise and its mirror image: what is odd in it cancels.
        found = []
        for sign in (1, -1):
            with gradients():
                score = score_of(quadratic(precision), values)
            negatives = langevin_step(values, score, size, sign * noise)
            found.append(contrastive_divergence(quadratic(free)(values), quadratic(free)(negatives)).mean())
        (gradient,) = torch.autograd.grad(sum(found) / 2, free)
        errors.append((gradient / (0.5 * size**2) - expected).abs().max().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.02


# Langevin dynamics


def test_a_chain_of_langevin_steps_has_its_density(float64):
    generator = seeded()
    precision = torch.tensor([0.5, 2.0])
    noises = (torch.randn(20_000, 2, generator=generator) for _ in range(400))
    drawn = langevin(quadratic(precision), torch.zeros(20_000, 2), 0.15, noises)
    # The Euler step's own law: variance 1 / (p (1 - e^2 p / 4)).
    expected = 1 / (precision * (1 - 0.15**2 * precision / 4))
    torch.testing.assert_close(drawn.var(0), expected, rtol=0.03, atol=0.0)


def test_a_chain_in_noise_space_is_exact_without_a_score_and_right_with_one(float64):
    generator = seeded()
    start = torch.randn(50_000, 1, generator=generator)

    def draw(size: float, steps: int, slope: float, curvature: float) -> Tensor:
        noises = (torch.randn(50_000, 1, generator=generator) for _ in range(steps))
        return noise_space_langevin(lambda z: (slope * z - 0.5 * curvature * z**2).sum(-1), start, size, noises)

    # However large its steps are.
    drawn = draw(1.5, 5, 0.0, 0.0)
    assert drawn.mean().item() == pytest.approx(0.0, abs=0.02)
    assert drawn.var().item() == pytest.approx(1.0, rel=0.02)
    # A Gaussian tilt of a Gaussian is a Gaussian: precision 1 + 1, mean 1 / 2.
    drawn = draw(0.02, 200, 1.0, 1.0)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.var().item() == pytest.approx(0.5, rel=0.03)


def test_gradients_are_to_be_had_in_inference_mode():
    log_density = quadratic(torch.ones(2))
    with torch.inference_mode():
        values = torch.randn(3, 2)
        drawn = langevin(log_density, values, 0.1, [0.0])
    torch.testing.assert_close(drawn, values * (1 - 0.005))
