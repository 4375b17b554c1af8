"""Diffusion recovery likelihood: levels, chains, annealing, and a mixture whose normaliser a grid gives."""

from __future__ import annotations

import math

import pytest
import torch
from small_densities import SMALL_RECOVERY, build, conds
from torch import Tensor

from wavetts.errors import UserError
from wavetts.model.density import SamplingOptions
from wavetts.model.density.energy.annealing import annealed_log_weights, mala_step
from wavetts.model.density.energy.importance import normaliser
from wavetts.model.density.energy.langevin import langevin
from wavetts.model.density.energy.levels import Levels, recovery_chain, recovery_log_density
from wavetts.model.density.energy.objectives import contrastive_divergence, gradients
from wavetts.model.density.energy.recovery import Recovery, RecoveryConfig, spectrally_normed
from wavetts.model.density.subframe import SubframeConfig


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quadratic(precision: Tensor | float):
    return lambda values: -0.5 * (precision * values**2).sum(-1)


def noises(like: Tensor, count: int, seed: int = 7):
    generator = seeded(seed)
    return (torch.randn(like.shape, generator=generator) for _ in range(count))


# Levels


def test_levels_lead_from_data_to_noise(float64):
    levels = Levels(6, -4.0, 5.0)
    assert len(levels) == 6
    torch.testing.assert_close(levels.scale**2 + levels.std**2, torch.ones(6))
    torch.testing.assert_close(levels.signal[1:], levels.signal[0] * levels.scale.cumprod(0))
    gammas = torch.log((1 - levels.signal[1:] ** 2) / levels.signal[1:] ** 2)
    torch.testing.assert_close(gammas, torch.linspace(-4, 5, 6))
    # Data of unit variance keep it; y and the noisy value are s apart.
    x, first, second = (torch.randn(50_000, 1, generator=seeded(seed)) for seed in range(3))
    for t in range(6):
        y, noisy = levels.pair(x, torch.full((50_000,), t), first, second)
        assert noisy.var().item() == pytest.approx(1.0, rel=0.03)
        assert y.var().item() == pytest.approx(float(levels.scale[t] ** 2), rel=0.03)
        torch.testing.assert_close((noisy - y) / levels.std[t], second)
    y, noisy = levels.pair(x, torch.zeros(50_000, dtype=torch.long), first, second)
    torch.testing.assert_close(y, levels.scale[0] * x)


# Chains


def test_the_chain_matches_the_exact_conditional_of_a_gaussian(float64):
    precision, std, size = 1.7, 0.6, 0.15
    noisy = torch.full((40_000, 1), 1.3)
    drawn = recovery_chain(quadratic(precision), noisy, std, size, noises(noisy, 400))
    total = precision + std**-2
    assert drawn.mean().item() == pytest.approx(1.3 / std**2 / total, abs=0.01)
    assert drawn.var().item() == pytest.approx(1 / total, rel=0.03)


def test_a_quadratic_energy_is_best_at_the_marginal_precision(float64):
    """The gradient of the recovery likelihood of Gaussian data changes its sign at 1 / (their variance)."""
    variance, std, count = 0.6, 0.5, 40_000
    y = math.sqrt(variance) * torch.randn(count, 1, generator=seeded(1))
    noisy = y + std * torch.randn(count, 1, generator=seeded(2))

    def gradient(precision: float) -> float:
        free = torch.tensor(precision, requires_grad=True)
        drawn = recovery_chain(quadratic(precision), noisy, std, 0.15, noises(noisy, 300))
        loss = contrastive_divergence(quadratic(free)(y), quadratic(free)(drawn)).mean()
        return float(torch.autograd.grad(loss, free)[0])

    best = 1 / variance
    below, at, above = (gradient(share * best) for share in (0.8, 1.0, 1.25))
    assert below < -0.01 and above > 0.01
    assert abs(at) < 0.2 * min(-below, above)

    # And the likelihood itself, whose normaliser is known here, is highest there.
    def likelihood(precision: float) -> float:
        total = precision + std**-2
        log_z = 0.5 * math.log(2 * math.pi / total) + 0.5 * (noisy / std**2).square()[:, 0] / total
        exponent = recovery_log_density(quadratic(precision), noisy, std)(y)
        return float((exponent + 0.5 * (noisy / std).square()[:, 0] - log_z).mean())

    assert likelihood(best) > max(likelihood(0.85 * best), likelihood(1.18 * best))


# Annealed importance sampling


def test_metropolis_steps_keep_a_density(float64):
    precision = torch.tensor([0.5, 3.0])
    values = torch.randn(20_000, 2, generator=seeded(1)) / precision.sqrt()
    generator = seeded(2)
    before = values
    with gradients():
        for _ in range(20):
            values = mala_step(
                quadratic(precision),
                values,
                0.9,
                lambda like: torch.randn(like.shape, generator=generator),
                lambda like: torch.rand(like.shape, generator=generator),
            )
    torch.testing.assert_close(values.var(0), 1 / precision, rtol=0.04, atol=0.0)
    assert ((values * before).mean(0) * precision < 0.5).all()  # it moves


def test_annealing_finds_the_normaliser_of_a_gaussian_within_its_error(float64):
    generator = seeded(3)
    start = torch.randn(4000, 3, generator=generator)
    weights = annealed_log_weights(
        [quadratic(1.0), lambda x: quadratic(2.0)(x - 0.3), lambda x: 1.5 + quadratic(6.0)(x - 0.6)],
        start,
        [0.6, 0.4],
        8,
        lambda like: torch.randn(like.shape, generator=generator),
        lambda like: torch.rand(like.shape, generator=generator),
    )
    found = normaliser(weights)
    truth = 1.5 - 1.5 * math.log(6.0)
    assert abs(found.log_mean.item() - truth) < 3 * found.standard_error.item() < 0.15
    assert found.sample_size > 1000


# The density


def test_untrained_it_is_the_standard_normal_exactly():
    density = build(RecoveryConfig(**{**SMALL_RECOVERY, "chain_steps": 30}))
    x, cond = torch.randn(5, 16), conds(density, 5)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(density.log_prob(x, cond, seeded()), expected)
    torch.testing.assert_close(density.sample_size, torch.full((5,), 64.0))
    drawn = density.sample(torch.zeros(4000, 5), SamplingOptions(), seeded())
    assert drawn.std().item() == pytest.approx(1.0, abs=0.03)


def test_matrices_have_spectral_norm_one():
    torch.manual_seed(0)
    for shape in ((30, 8), (30, 30)):
        normed = spectrally_normed(torch.randn(shape))
        assert torch.linalg.matrix_norm(normed, 2).item() == pytest.approx(1.0, abs=0.06)


def test_an_estimate_from_too_few_draws_is_refused():
    section = RecoveryConfig(**{**SMALL_RECOVERY, "annealing_steps": 1, "least_sample_size": 40.0})
    density = build(section, std=0.4)
    with pytest.raises(UserError, match="of 64 draws, below 40"):
        density.log_prob(torch.randn(3, 16), conds(density, 3), seeded())


def test_too_many_values_are_refused():
    with pytest.raises(UserError, match="320 values are too many"):
        SubframeConfig(subframe_length=320, inner=RecoveryConfig()).check_length(640, "audio.frame_length", "density")


def test_it_works_where_nothing_is_differentiated():
    density = build(RecoveryConfig(**SMALL_RECOVERY), std=0.1).eval()
    with torch.inference_mode():
        x, cond = torch.randn(3, 16), conds(density, 3)
        assert density.loss(x, cond).isfinite().all()
        assert density.log_prob(x, cond).isfinite().all()
        assert density.sample(cond, SamplingOptions(), seeded()).isfinite().all()


# A mixture

MEANS, STD = torch.tensor([[1.5, 0.0], [-1.0, 1.2], [-0.5, -1.5]]), 0.3


def mixture(count: int, seed: int) -> Tensor:
    generator = seeded(seed)
    which = torch.randint(3, (count,), generator=generator)
    return MEANS[which] + STD * torch.randn(count, 2, generator=generator)


def off_support(values: Tensor) -> float:
    """The share of the values that are more than 4 standard deviations from every mean."""
    return ((values[:, None] - MEANS).norm(dim=-1).amin(1) > 4 * STD).float().mean().item()


@pytest.fixture(scope="module")
def trained() -> Recovery:
    section = RecoveryConfig(
        hidden_dim=64,
        num_layers=2,
        num_levels=5,
        gamma_max=4.0,
        chain_steps=20,
        transform="none",
        likelihood_draws=4000,
        annealing_steps=20,
    )
    density = build(section, length=2, cond_dim=1).train()
    optimizer = torch.optim.Adam(density.parameters(), 3e-3, betas=(0.9, 0.99))
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, 2 * (1 - step / 300))
        loss = density.loss(mixture(256, step), torch.zeros(256, 1), seeded(10_000 + step)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return density.eval().requires_grad_(False)


@pytest.mark.slow
def test_the_annealed_density_of_a_mixture_is_that_of_a_grid(trained):
    axis = torch.linspace(-5, 5, 300)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    test = mixture(2000, 99)

    def unnormalised(values: Tensor) -> Tensor:
        x, log_det = trained.affine(values, torch.zeros(len(values), 1))
        return trained._marginal(0, trained.network.prepare(torch.zeros(1, 1)))(x) + log_det

    log_z = torch.logsumexp(unnormalised(grid), 0) + 2 * torch.log(axis[1] - axis[0])
    expected = unnormalised(test) - log_z
    found = trained.log_prob(test[:1], torch.zeros(1, 1), seeded())
    assert abs(found.item() - expected[0].item()) < 0.05
    # It has learnt something: the best Gaussian has -3.0, the mixture itself -1.5.
    assert -2.2 < expected.mean() < -1.4


@pytest.mark.slow
def test_draws_of_a_mixture_and_long_chains_stay_on_its_support(trained):
    drawn = trained.sample(torch.zeros(600, 1), SamplingOptions(), seeded())
    assert off_support(drawn) < 0.03
    nearest = (drawn[:, None] - MEANS).norm(dim=-1).argmin(1)
    assert (torch.bincount(nearest, minlength=3) / 600 - 1 / 3).abs().max() < 0.12
    # 2,000 steps of the chain of the last level, by the energy alone.
    start, _ = trained.affine(mixture(200, 5), torch.zeros(200, 1))
    energy = trained._marginal(0, trained.network.prepare(torch.zeros(1, 1)))
    last = langevin(energy, start, 0.4 * float(trained.levels.std[0]), noises(start, 2000))
    assert off_support(trained.affine.inverse(last, torch.zeros(200, 1))) < 0.05
