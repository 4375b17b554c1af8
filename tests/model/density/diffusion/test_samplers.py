"""Samplers and the probability-flow ODE on a mixture whose score is known at every level."""

from __future__ import annotations

import functools

import pytest
import torch
from closed_forms import MIXTURE, Gaussian, Mixture, wasserstein
from torch import Tensor

from wavetts.model.density.diffusion import likelihood
from wavetts.model.density.diffusion.bound import continuous_term, decoder_term, prior_kl
from wavetts.model.density.diffusion.prediction import noised, scales
from wavetts.model.density.diffusion.samplers import METHODS, Known, Path, langevin_step, run, spaced_levels
from wavetts.model.density.diffusion.schedule import LinearSchedule, stratified_times

pytestmark = pytest.mark.usefixtures("float64")
LOW, HIGH = torch.tensor(-10.0), torch.tensor(8.0)


@pytest.fixture
def mixture(float64) -> Mixture:
    torch.manual_seed(0)
    return Mixture(*MIXTURE)


def path(model, steps: int, shape: tuple[int, ...], **options) -> Path:
    return Path(model, spaced_levels(LOW, HIGH, steps), lambda: torch.randn(shape), **options)


@pytest.mark.parametrize(
    ("method", "steps"),
    [("ancestral", 100), ("ddim", 100), ("heun", 40), ("euler_maruyama", 150), ("predictor_corrector", 60)],
)
def test_every_sampler_draws_the_mixture(method, steps, mixture):
    shape = (300, 32)
    drawn = run(method, path(mixture.eps, steps, shape), torch.randn(shape))
    # Two samples of the truth of that size are 0.01 apart; its standard deviation is 1.
    assert wasserstein(drawn, mixture.sample(*shape)) < 0.04


@pytest.mark.parametrize("method", METHODS)
def test_evaluations_and_draws_are_as_declared(method, mixture):
    counts = {"model": 0, "draw": 0}

    def model(z: Tensor, gamma: Tensor) -> Tensor:
        counts["model"] += 1
        return mixture.eps(z, gamma)

    def draw() -> Tensor:
        counts["draw"] += 1
        return torch.zeros(3, 4)

    run(method, Path(model, spaced_levels(LOW, HIGH, 5), draw), torch.randn(3, 4))
    assert counts == {"model": 5 * METHODS[method].evaluations, "draw": 5 * METHODS[method].draws}


def test_heun_follows_the_ode_better_than_ddim_for_as_many_evaluations(mixture):
    z = torch.randn(100, 4)
    exact = run("heun", path(mixture.eps, 300, (100, 4)), z)
    heun = run("heun", path(mixture.eps, 40, (100, 4)), z)
    ddim = run("ddim", path(mixture.eps, 80, (100, 4)), z)
    assert (heun - exact).abs().mean() < 0.5 * (ddim - exact).abs().mean()


def test_ddim_is_exact_in_one_step_where_the_denoiser_does_not_depend_on_z():
    point = torch.tensor([0.3, -1.2])

    def model(z: Tensor, gamma: Tensor) -> Tensor:
        alpha, sigma = scales(gamma)
        return (z - alpha * point) / sigma

    drawn = run("ddim", path(model, 1, (5, 2)), torch.randn(5, 2))
    assert (drawn - point).abs().max() < 5 * torch.exp(0.5 * LOW)


@pytest.mark.parametrize("method", METHODS)
def test_temperature_scales_the_spread_of_gaussian_data(method):
    torch.manual_seed(0)
    data, shape = Gaussian([1.0] * 16), (500, 16)
    drawn = run(method, path(data.eps, 100, shape, temperature=0.5), 0.5 * torch.randn(shape))
    assert drawn.std().item() == pytest.approx(0.5, abs=0.03)
    cold = run(method, path(data.eps, 20, shape, temperature=0.0), torch.zeros(shape))
    assert cold.abs().max() < 1e-9


@pytest.mark.parametrize("level", [-4.0, -2.0, 0.0])
def test_the_corrector_leaves_an_exact_marginal_alone(level, mixture):
    shape, gamma = (500, 64), torch.tensor(level)
    corrector = path(mixture.eps, 1, shape)
    marginal = noised(mixture.sample(*shape), torch.randn(shape), gamma)
    other = noised(mixture.sample(*shape), torch.randn(shape), gamma)
    z, wrong, mended = marginal, marginal, 1.2 * marginal
    mirrored = path(lambda z, gamma: -mixture.eps(-z, gamma), 1, shape)
    for _ in range(8):
        z, wrong = langevin_step(corrector, z, gamma), langevin_step(mirrored, wrong, gamma)
        mended = langevin_step(corrector, mended, gamma)
    assert (z - marginal).abs().mean() > 0.15  # it moves the samples
    apart = wasserstein(marginal, other)
    assert wasserstein(z, other) < apart + 0.007  # and not their distribution,
    assert wasserstein(wrong, other) > apart + 0.02  # as it would with another score;
    assert wasserstein(mended, other) < 0.85 * wasserstein(1.2 * marginal, other)  # a wrong one it mends


def test_ode_density_of_a_mixture():
    """To 1e-4 nats with 256 steps, and on average not below the bound."""
    torch.manual_seed(0)
    mixture = Mixture([0.6, 0.4], [-1.2, 0.6], [0.3, 0.5])
    x = torch.linspace(-2.5, 2.5, 61)[:, None]
    levels = likelihood.ode_levels(LOW, HIGH, 256)
    estimate = likelihood.log_prob(mixture.eps, x, levels, mixture.mean, mixture.variance)
    alpha, _ = scales(LOW)
    truth = mixture.log_prob(alpha * x, LOW) + alpha.log()
    assert (estimate - truth).abs().max() < 1e-4
    # The bound with the decoder of z_0 alone, averaged over the data, which the grid's weights stand for.
    share = torch.softmax(mixture.log_prob(x, torch.tensor(-60.0)), 0)
    count, schedule = 400, LinearSchedule(float(LOW), float(HIGH))
    rows, eps = x.repeat(count, 1), torch.randn(count // 2 * len(x), 1)
    eps, t = torch.cat([eps, -eps]), stratified_times(count, x).repeat_interleave(len(x))
    losses = continuous_term(mixture.eps, rows, schedule, t, eps) + prior_kl(rows, HIGH)
    losses = losses + decoder_term(rows, noised(rows, eps, LOW) / alpha, LOW.expand(1))
    bounds = -(losses.view(count, len(x)) * share).sum(1)
    error = bounds.std() / count**0.5
    average = (share * estimate).sum()
    assert error < 0.3
    assert average > bounds.mean() - 3 * error
    assert (average - bounds.mean()).abs() < 4 * error  # the denoiser is exact: hardly above it either


def test_encode_and_decode_round_trip(mixture):
    x, levels = mixture.sample(20, 3), likelihood.ode_levels(LOW, HIGH, 128)
    z, _ = likelihood.encode(mixture.eps, x, levels)
    torch.testing.assert_close(likelihood.decode(mixture.eps, z, levels), x, atol=1e-3, rtol=0)
    # What data are encoded as is noise.
    z, _ = likelihood.encode(mixture.eps, mixture.sample(1000, 2), likelihood.ode_levels(LOW, HIGH, 48), exact=False)
    assert wasserstein(z, torch.randn(1000, 2)) < 0.08


def test_hutchinsons_divergence_is_right_on_average(mixture):
    matrix = torch.randn(6, 6) / 6

    def model(z: Tensor, gamma: Tensor) -> Tensor:  # values that depend on each other
        return mixture.eps(z @ matrix, gamma)

    x = mixture.sample(1, 6)
    levels = likelihood.ode_levels(LOW, HIGH, 32)
    exact = likelihood.encode(model, x, levels)
    estimates = likelihood.encode(model, x.expand(1000, 6), levels, torch.Generator().manual_seed(0), exact=False)
    torch.testing.assert_close(estimates.z[0], exact.z[0])
    spread = estimates.log_det.std()
    assert spread > 1e-3
    assert (estimates.log_det.mean() - exact.log_det[0]).abs() < 4 * spread / 1000**0.5
    again = likelihood.encode(model, x, levels, torch.Generator().manual_seed(0), exact=False)
    assert torch.equal(
        again.log_det, likelihood.encode(model, x, levels, torch.Generator().manual_seed(0), exact=False).log_det
    )


def test_large_frames_take_hutchinsons_estimate(mixture):
    x, levels = mixture.sample(2, likelihood.MOST_EXACT + 1), likelihood.ode_levels(LOW, HIGH, 4)
    # Independent values have a diagonal Jacobian, of which every probe gives the trace.
    torch.testing.assert_close(
        likelihood.encode(mixture.eps, x, levels).log_det, likelihood.encode(mixture.eps, x, levels, exact=True).log_det
    )


def test_heun_agrees_with_an_adaptive_solver(mixture):
    torchdiffeq = pytest.importorskip("torchdiffeq")
    x, levels = mixture.sample(5, 2), likelihood.ode_levels(LOW, HIGH, 128)
    expected = torchdiffeq.odeint(
        lambda gamma, z: likelihood._flow(mixture.eps, z, gamma),
        x * scales(LOW)[0],
        levels[[0, -1]],
        atol=1e-6,
        rtol=1e-6,
    )[-1]
    torch.testing.assert_close(likelihood.encode(mixture.eps, x, levels).z, expected, atol=1e-3, rtol=0)


def correlated(rho: float):
    """Pairs of neighbours of correlation rho: their exact denoiser."""
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]])

    def model(z: Tensor, gamma: Tensor) -> Tensor:
        alpha, sigma = scales(gamma)
        pairs = z.reshape(-1, 2).T
        return sigma * torch.linalg.solve(alpha**2 * covariance + sigma**2 * torch.eye(2), pairs).T.reshape(z.shape)

    return model


@pytest.mark.parametrize(
    ("method", "corrections", "slope_error"), [("ancestral", 1, 0.4), ("predictor_corrector", 4, 0.1)]
)
def test_inpainting_draws_the_lost_values_given_the_others(method, corrections, slope_error):
    torch.manual_seed(0)
    rho, shape = 0.8, (150, 32)
    values, mask = torch.randn(shape), torch.tensor([1.0, 0.0]).repeat(16)
    known = Known(values * mask, functools.partial(torch.mul, mask))
    options = {"known": known, "corrections": corrections}
    drawn = run(method, path(correlated(rho), 60, shape, **options), torch.randn(shape))
    given, lost = drawn[:, ::2], drawn[:, 1::2]
    torch.testing.assert_close(given, values[:, ::2])
    slope = (lost * given).mean() / given.square().mean()
    assert slope.item() == pytest.approx(rho, abs=slope_error)
    assert slope > 0.3
    assert (lost - rho * given).std().item() == pytest.approx((1 - rho**2) ** 0.5, abs=0.2)


def test_inpainting_of_a_linear_combination():
    torch.manual_seed(0)
    direction = torch.tensor([0.6, -0.8])
    value = torch.randn(3000, 1)
    known = Known(value * direction, lambda v: (v @ direction)[:, None] * direction)
    drawn = run("ancestral", path(Gaussian([1.0, 1.0]).eps, 50, (3000, 2), known=known), torch.randn(3000, 2))
    torch.testing.assert_close(drawn @ direction, value[:, 0])
    across = drawn @ torch.tensor([0.8, 0.6])
    assert across.std().item() == pytest.approx(1.0, abs=0.05)
    assert abs((across * value[:, 0]).mean().item()) < 0.1
