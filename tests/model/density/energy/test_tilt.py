"""Tilts: nothing at the start, and known tilts of Gaussians."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_densities import SECTIONS, SMALL_COUPLINGS, build, conds, diffusion, tilt
from torch import Tensor, nn

from wavetts.config import AudioConfig
from wavetts.errors import UserError
from wavetts.model.density import SamplingOptions
from wavetts.model.density.energy.heads import DotProduct, dot_product
from wavetts.model.density.energy.importance import normaliser, resample, sample_sizes
from wavetts.model.density.energy.tilt import Tilt, TiltConfig, onto_tilts, train_tilts_alone
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.linear_prediction import LinearPredictionConfig
from wavetts.model.density.subframe import SubframeConfig

ONE = SamplingOptions()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Quadratic(nn.Module):
    """s(y, c) = a . y - b |y|^2 / 2."""

    def __init__(self, slope: Tensor, curvature: float) -> None:
        super().__init__()
        self.slope, self.curvature = slope, curvature

    def prepare(self, cond: Tensor) -> Tensor:
        return cond[..., :1]

    def forward(self, values: Tensor, context: Tensor) -> Tensor:
        return values @ self.slope - 0.5 * self.curvature * values.square().sum(-1) + 0 * context[..., 0]


def tilted_gaussian(slope: list[float], curvature: float, **fields) -> Tilt:
    """A standard normal, tilted: a Gaussian of precision 1 + b and mean a / (1 + b)."""
    density = build(TiltConfig(inner=GaussianConfig(), **fields), length=len(slope))
    density.score = Quadratic(torch.tensor(slope), curvature)
    return density


def true_log_z(density: Tilt) -> float:
    slope, precision = density.score.slope, 1 + density.score.curvature
    return float(0.5 * slope.square().sum() / precision - 0.5 * len(slope) * math.log(precision))


# Without a score


@pytest.mark.parametrize("score", ["network", "dot"])
def test_without_a_score_it_is_the_flow_exactly(score):
    section = tilt(score=score, num_features=4)
    inner = build(SMALL_COUPLINGS, std=0.2)
    density = build(section)
    density.inner.load_state_dict(inner.state_dict())
    x, cond = torch.randn(5, 16), conds(density, 5)
    assert torch.equal(density.log_prob(x, cond, seeded()), inner.log_prob(x, cond))
    torch.testing.assert_close(density.sample_size, torch.full((5,), 256.0))
    # Every draw is one of the flow's own, of some part of the noise.
    noise = torch.randn(5, density.noise_dim)
    drawn = density.sample(cond, ONE, noise)
    parts = noise[:, :-1].unflatten(1, (4, 16))
    candidates = inner.sample(cond[:, None].expand(-1, 4, -1), ONE, parts)
    assert torch.equal((candidates == drawn[:, None]).all(-1).sum(1), torch.ones(5, dtype=torch.long))
    # And each of them as often.
    same = cond[:1].expand(20_000, -1)
    moments = [part.sample(same, ONE, seeded(1)) for part in (density, inner)]
    torch.testing.assert_close(moments[0].mean(0), moments[1].mean(0), atol=0.05, rtol=0.0)
    torch.testing.assert_close(moments[0].std(0), moments[1].std(0), atol=0.03, rtol=0.03)


def test_chains_without_a_score_keep_the_flows_law():
    density = build(tilt(GaussianConfig(), sampler="langevin", langevin_size=1.0))
    drawn = density.sample(torch.zeros(20_000, 5), ONE, seeded())
    torch.testing.assert_close(drawn.std(0), torch.ones(16), atol=0.03, rtol=0.0)


# Known tilts


def test_the_normaliser_of_a_known_tilt_is_within_its_error(float64):
    density = tilted_gaussian([0.5, -0.3, 0.2], 0.4, likelihood_draws=512)
    found = density.log_normaliser(torch.zeros(400, 5), seeded())
    errors = (found.log_mean - true_log_z(density)) / found.standard_error
    # The error that is stated is the error that is made.
    assert errors.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.12)
    assert errors.mean().abs() < 0.2
    assert (found.sample_size < 512).all() and (found.sample_size > 200).all()
    x = torch.randn(400, 3)
    mean, precision = density.score.slope / 1.4, 1.4
    expected = torch.distributions.Normal(mean, precision**-0.5).log_prob(x).sum(-1)
    value = density.log_prob(x, torch.zeros(400, 5), seeded())
    torch.testing.assert_close(value, expected, atol=0.2, rtol=0.0)
    # The mean of so many normalisers is too low by half of the variance that is stated.
    bias = 0.5 * (1 / density.sample_size - 1 / 512).mean()
    assert (value - expected).mean().item() == pytest.approx(bias.item(), abs=0.01)


@pytest.mark.parametrize("options", [{"num_candidates": 64}, {"sampler": "langevin", "langevin_steps": 60}])
def test_draws_of_a_known_tilt_have_its_moments(options):
    density = tilted_gaussian([1.0, 0.0], 1.0, langevin_size=0.05, **options)
    drawn = density.sample(torch.zeros(20_000, 5), ONE, seeded())
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.5, 0.0]), atol=0.03, rtol=0.0)
    torch.testing.assert_close(drawn.var(0), torch.full((2,), 0.5), atol=0.03, rtol=0.0)


@pytest.mark.parametrize("objective", ["ranking", "binary", "denoising", "sliced", "langevin"])
def test_every_objective_finds_a_known_tilt(objective):
    """Data of another mean and variance than q's; the score is a linear function of y and y^2."""
    section = TiltConfig(
        inner=GaussianConfig(), objective=objective, noise=0.3, num_chains=512, langevin_size=0.05, likelihood_draws=512
    )
    density = build(section, length=2, cond_dim=3)
    f = nn.Linear(2, 2, bias=False)
    nn.init.eye_(f.weight)
    density.score = DotProduct(f.requires_grad_(False), nn.Linear(3, 4), "squared")
    nn.init.zeros_(density.score.g.weight)
    nn.init.zeros_(density.score.g.bias)
    optimizer = torch.optim.Adam([p for p in density.parameters() if p.requires_grad], 0.03, betas=(0.9, 0.99))
    cond = torch.zeros(512, 3)
    mean, std = torch.tensor([0.4, -0.2]), torch.tensor([0.7, 0.9])
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 0.03 * (1 - step / 300)
        values = mean + std * torch.randn(512, 2, generator=seeded(step))
        loss = density.loss(values, cond, seeded(1000 + step)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if objective == "denoising":
        std = (std.square() + 0.3**2).sqrt()
    slope, curvature = density.score.g.bias.detach().view(2, 2)
    precision = 1 - 2 * curvature
    torch.testing.assert_close(precision, std**-2, rtol=0.12, atol=0.0)
    torch.testing.assert_close(slope / precision, mean, rtol=0.0, atol=0.06)
    if objective == "binary":
        found = density.log_normaliser(cond[:1], seeded())
        assert density.log_z.bias.item() == pytest.approx(found.log_mean.item(), abs=0.1)


# Importance sampling


def test_sample_sizes_and_resampling():
    even = normaliser(torch.zeros(3, 100))
    assert even.sample_size.tolist() == [100.0] * 3 and even.standard_error.tolist() == [0.0] * 3
    assert even.log_mean.tolist() == [0.0] * 3
    one = normaliser(torch.tensor([1000.0, *[-1000.0] * 9]))
    assert one.sample_size.item() == 1.0
    assert one.log_mean.item() == pytest.approx(1000 - math.log(10), rel=1e-6)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    uniform = ((torch.arange(1000) + 0.5) / 1000)[:, None]
    drawn = resample(torch.arange(4.0)[:, None].expand(1000, 4, 1), weights.log().expand(1000, 4), uniform)
    counts = torch.bincount(drawn[:, 0].long(), minlength=4) / 1000
    torch.testing.assert_close(counts, weights, atol=0.002, rtol=0.0)


def test_an_estimate_from_too_few_draws_is_refused_in_one_line():
    density = tilted_gaussian([4.0] * 4, 0.0)
    with pytest.raises(UserError, match=r"effective sample size of its normaliser is .* of 256 draws") as error:
        density.log_prob(torch.zeros(3, 4), torch.zeros(3, 5), seeded())
    assert "\n" not in str(error.value)


def test_sample_sizes_of_frames_of_subframes():
    density = build(SubframeConfig(subframe_length=4, context_dim=6, inner=tilt()), std=0.2)
    density.log_prob(torch.randn(3, 16), conds(density, 3), seeded())
    sizes = sample_sizes(density, 3)
    expected = 4 / (1 / density.flow.sample_size.view(3, 4)).sum(1)
    torch.testing.assert_close(sizes, expected)


@pytest.mark.parametrize("inner", [GaussianConfig(), SMALL_COUPLINGS, SECTIONS["compact"], SECTIONS["flow"]])
def test_draws_of_a_context_are_the_frozen_densitys_own(inner, float64):
    density = build(tilt(inner), std=0.2)
    cond = conds(density, 3)
    noise = torch.randn(3, 5, 16, generator=seeded(4))
    expected = density.inner.sample(cond[:, None].expand(-1, 5, -1), ONE, noise)
    torch.testing.assert_close(density.draw(cond, 5, seeded(4)), expected)


# What is frozen


def test_the_frozen_density_gets_no_gradients_and_stays_in_evaluation_mode():
    section = SubframeConfig(subframe_length=4, context_dim=6, past_noise=0.5, inner=tilt())
    density = build(section, std=0.2).train()
    assert not density.flow.inner.training
    train_tilts_alone(density)
    assert not density.training and density.flow.training and density.flow.score.training
    density.loss(torch.randn(3, 16), conds(density, 3)).sum().backward()
    trained = {name for name, parameter in density.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, _ in density.named_parameters() if name.startswith("flow.score.")}


def test_weights_of_a_density_become_those_of_what_is_tilted():
    plain = build(SubframeConfig(subframe_length=4, context_dim=6, inner=SMALL_COUPLINGS), std=0.3)
    tilted = build(SubframeConfig(subframe_length=4, context_dim=6, inner=tilt()))
    tilted.load_state_dict(onto_tilts(tilted, plain.state_dict()))
    x, cond = torch.randn(3, 16), conds(plain, 3)
    torch.testing.assert_close(tilted.log_prob(x, cond, seeded()), plain.log_prob(x, cond))


def test_a_tilt_of_a_density_that_looks_back():
    section = tilt(LinearPredictionConfig(order=4, num_bins=8, inner=SMALL_COUPLINGS))
    density = build(SubframeConfig(subframe_length=4, context_dim=6, inner=section), std=0.05, length=8)
    x, cond = torch.randn(2, 8), conds(density, 2)
    assert density.flow.past_dim > 0
    assert density.log_prob(x, cond, seeded()).isfinite().all()
    assert density.loss(x, cond).shape == (2,)
    assert density.sample(cond, ONE, seeded()).shape == (2, 8)


def test_persistent_chains_go_on_in_training_alone():
    density = build(tilt(objective="langevin", num_chains=4), std=0.1)
    x, cond = torch.randn(6, 16), conds(density, 6)
    before = density.chains.clone()
    density.eval().loss(x, cond, seeded())
    assert torch.equal(density.chains, before)
    density.train().loss(x, cond, seeded())
    assert not torch.equal(density.chains, before)
    assert (density.chains != before).any(1).all()


def test_losses_can_be_had_where_nothing_is_differentiated():
    for objective in ("ranking", "binary", "denoising", "sliced", "langevin"):
        density = build(tilt(objective=objective, sampler="langevin"), std=0.1).eval()
        with torch.inference_mode():
            x, cond = torch.randn(3, 16), conds(density, 3)
            assert density.loss(x, cond).isfinite().all()
            assert density.sample(cond, ONE, seeded()).isfinite().all()


def test_what_cannot_be_tilted():
    audio = AudioConfig(frame_length=16)
    with pytest.raises(UserError, match="an exact density; diffusion's"):
        tilt(diffusion()).build(16, 5, audio)
    looking_back = LinearPredictionConfig(order=4, num_bins=8, inner=SMALL_COUPLINGS)
    with pytest.raises(UserError, match="noise space of a flow, which linear_prediction is not"):
        tilt(looking_back, sampler="langevin").build(16, 5, audio)
    with pytest.raises(UserError, match="subframe_length: 320 values are too many for a tilt; the most is 160"):
        SubframeConfig(subframe_length=320, inner=tilt()).check_length(640, "audio.frame_length", "density")


# Dot products


def test_features_of_dot_products():
    head = dot_product(5, 3, 4, 8, 1, "squared")
    nn.init.normal_(head.g.output.weight)
    values, cond = torch.randn(7, 5), torch.randn(7, 3)
    f = head.f(values)
    torch.testing.assert_close(head.features(values), torch.cat([f, f**2], -1))
    torch.testing.assert_close(head(values, head.prepare(cond)), (head.features(values) * head.g(cond)).sum(-1))
    assert (dot_product(5, 3, 4, 8, 1, "nonnegative").features(values) >= 0).all()
    # Contexts are prepared once for many values.
    many = torch.randn(7, 6, 5)
    torch.testing.assert_close(head(many, head.prepare(cond)[:, None])[:, 2], head(many[:, 2], head.prepare(cond)))
    assert copy.deepcopy(head).augmentation == "squared"
