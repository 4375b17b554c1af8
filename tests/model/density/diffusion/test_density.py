"""The density of the registry: what it starts as, what it learns, what it reports, what it draws."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from closed_forms import Gaussian
from torch import Tensor

from wavetts.config import AudioConfig
from wavetts.errors import UserError
from wavetts.model.density import SamplingOptions
from wavetts.model.density.diffusion.density import DiffusionConfig, report
from wavetts.model.density.diffusion.guidance import GuidedConfig
from wavetts.model.density.diffusion.prediction import scales
from wavetts.model.density.diffusion.samplers import Path, run, spaced_levels
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.subframe import SubframeConfig

SMALL = DiffusionConfig(hidden_dim=32, num_layers=2, gamma_min=-8.0, gamma_max=8.0, sampler_steps=20)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("prediction", ["eps", "x", "v"])
@pytest.mark.parametrize("weighting", ["elbo", "sigmoid"])
def test_starts_as_the_standard_normal_and_its_bound_is_tight(prediction, weighting):
    density = dataclasses.replace(SMALL, prediction=prediction, weighting=weighting).build(6, 3, AudioConfig()).eval()
    density.draws = 32
    x, cond = torch.randn(40, 6), torch.randn(40, 3)
    with torch.no_grad():
        values = torch.stack([density.log_prob(x, cond, seeded(seed)).mean() for seed in range(8)])
    error = values.std() / 8**0.5
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(-1)
    assert error < 0.3
    assert abs(values.mean() - expected.mean()) < 5 * error
    report(density, "ode")
    assert density.likelihood == "estimate"
    torch.testing.assert_close(density.log_prob(x[:5], cond[:5]), expected[:5], atol=2e-2, rtol=0)


def data_rows(count: int) -> tuple[Tensor, Tensor]:
    """Four values whose first two are the same up to a little noise, around a mean that the context tells."""
    cond = torch.randn(count, 1)
    x = torch.randn(count, 4)
    x[:, 1] = x[:, 0] + 0.3 * torch.randn(count)
    return x + cond, cond


# Nats of `data_rows` given their contexts.
ENTROPY = 4 * 0.5 * math.log(2 * math.pi * math.e) + math.log(0.3)


def fit(section, steps: int, length: int = 4, rate: float = 4e-3, null: float | None = None):
    torch.manual_seed(0)
    density = section.build(length, 1, AudioConfig()).train()
    if null is not None:
        torch.nn.init.constant_(density.null, null)
    optimizer = torch.optim.Adam(density.parameters(), rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        loss = density.loss(*data_rows(256)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return density.eval()


@pytest.mark.parametrize(
    "fields",
    [{}, {"schedule": "learned"}, {"weighting": "sigmoid", "adaptive": True}],
    ids=["elbo", "learned schedule", "sigmoid"],
)
def test_learns_correlated_values(fields):
    """More than a diagonal Gaussian can; its samples are the data's, whatever the weighting."""
    density = fit(dataclasses.replace(SMALL, transform="none", **fields), 500)
    torch.manual_seed(1)
    x, cond = data_rows(2000)
    density.draws = 16
    with torch.no_grad():
        value = -density.log_prob(x, cond, seeded()).mean().item()
    diagonal = 3 * 0.5 * math.log(2 * math.pi * math.e) + 0.5 * math.log(2 * math.pi * math.e * 1.09)
    assert ENTROPY - 0.1 < value < ENTROPY + 0.45 * (diagonal - ENTROPY)
    drawn = density.sample(cond, SamplingOptions(), seeded()) - cond
    covariance = torch.cov(drawn.T)
    assert covariance[0, 1].item() == pytest.approx(1.0, abs=0.15)
    assert covariance[2, 3].item() == pytest.approx(0.0, abs=0.15)
    assert (drawn[:, 1] - drawn[:, 0]).std().item() == pytest.approx(0.3, abs=0.12)


def test_finite_steps_bound_from_above_with_the_same_weights():
    density = fit(dataclasses.replace(SMALL, transform="none"), 100)
    torch.manual_seed(1)
    x, cond = data_rows(1000)
    density.draws = 8
    values = {}
    with torch.no_grad():
        for steps in (4, 16, 0):
            density.num_steps = steps
            values[steps] = -density.log_prob(x, cond, seeded()).mean().item()
    assert values[4] > values[16] > values[0]


def test_the_ode_density_and_the_bound_agree_for_a_trained_density():
    density = fit(dataclasses.replace(SMALL, transform="none"), 400)
    torch.manual_seed(1)
    x, cond = data_rows(60)
    density.draws = 64
    with torch.no_grad():
        bound = density.log_prob(x, cond, seeded()).mean().item()
        report(density, "ode")
        estimate = density.log_prob(x, cond, seeded()).mean().item()
    assert estimate == pytest.approx(bound, abs=0.35)


@pytest.mark.parametrize("transform", ["none", "dct"])
def test_inpainting_in_the_domain_of_the_samples(transform):
    """What is given comes back, through DCT and affine layer; what is not is drawn given it."""
    density = fit(dataclasses.replace(SMALL, transform=transform), 400)
    torch.manual_seed(1)
    x, cond = data_rows(600)
    given = torch.tensor([True, False, True, False])
    drawn = density.inpaint(cond, SamplingOptions(steps=40), seeded(), x, given)
    assert torch.equal(drawn[:, given], x[:, given])
    pair = torch.corrcoef(torch.stack([drawn[:, 1] - cond[:, 0], x[:, 0] - cond[:, 0]]))[0, 1]
    assert pair > 0.75  # 0.96 in the data, 0 if nothing were given
    assert not torch.equal(drawn, density.inpaint(cond, SamplingOptions(steps=40), seeded(1), x, given))


def test_guidance_extrapolates_as_exact_denoisers_do():
    """x^w = (1 + w) x(cond) - w x(null), against the same combination of the two Gaussians' own denoisers."""
    inner = dataclasses.replace(SMALL, transform="none", sampler="ddim", standardise="overall")
    # A context of one value: the null begins beyond those that the data have, or it would be one of them.
    density = fit(GuidedConfig(dropout=0.3, inner=inner), 700, null=5.0)
    told = torch.eye(4)
    told[:2, :2] = torch.tensor([[1.0, 1.0], [1.0, 1.09]])
    null = told + 1  # the mean is not known, and varies by 1
    mean, log_scale = (part[0] for part in density.inner.affine._mean_log_scale(torch.ones(1, 1)))
    scale = log_scale.exp().detach()

    def eps(z: Tensor, gamma: Tensor, covariance: Tensor, centre: Tensor) -> Tensor:
        alpha, sigma = scales(gamma)
        spread = alpha**2 * covariance / torch.outer(scale, scale) + sigma**2 * torch.eye(4)
        return sigma * torch.linalg.solve(spread, (z - alpha * (centre - mean.detach()) / scale).T).T

    def exact(z: Tensor, gamma: Tensor) -> Tensor:
        with_text, without = eps(z, gamma, told, torch.ones(4)), eps(z, gamma, null, torch.zeros(4))
        return with_text + 1.0 * (with_text - without)

    cond, noise = torch.ones(2000, 1), torch.randn(2000, 4, generator=seeded())
    schedule = density.inner.schedule
    path = Path(exact, spaced_levels(schedule.gamma_min, schedule.gamma_max, 20), torch.Tensor)
    expected = run("ddim", path, noise) * scale + mean.detach()
    plain = density.sample(cond, SamplingOptions(), noise)
    pushed = density.sample(cond, SamplingOptions(guidance=1.0), noise)
    each = density.sample(cond, SamplingOptions(guidance=torch.ones(2000, 1)), noise)
    assert plain.mean().item() == pytest.approx(1.0, abs=0.15)
    assert expected.mean() > 1.2  # further from the mean without text than the text says
    assert pushed.mean().item() == pytest.approx(expected.mean().item(), abs=0.15)
    assert (pushed - expected).abs().mean() < 0.5 * (plain - expected).abs().mean()
    torch.testing.assert_close(each, pushed)


def test_values_are_standardised_alike_with_the_text_and_without():
    """So that the two predictions are in one space: what is shown to the denoiser changes no log-determinant."""
    density = fit(dataclasses.replace(SMALL, transform="none"), 60)
    x, cond = data_rows(200)
    plain, shown = (density.loss(x, cond, seeded(), other) for other in (None, cond + 3))
    assert torch.equal(plain, density.loss(x, cond, seeded(), cond))
    assert not torch.equal(plain, shown)
    gradients = torch.autograd.grad(plain.sum(), density.affine.linear.bias, retain_graph=True)
    torch.testing.assert_close(gradients, torch.autograd.grad(shown.sum(), density.affine.linear.bias))
    overall = dataclasses.replace(SMALL, standardise="overall").build(4, 1, AudioConfig())
    first, second = (overall.standardise(x, context) for context in (cond, cond + 3))
    assert torch.equal(first[0], second[0])


def test_dropping_leaves_the_past():
    section = GuidedConfig(
        dropout=0.5, inner=SubframeConfig(subframe_length=8, context_dim=6, inner=dataclasses.replace(SMALL))
    )
    density = section.build(16, 3, AudioConfig())
    cond = torch.randn(4, 3 + density.past_dim)
    untold = density.without_context(cond)
    assert torch.equal(untold[:, 3:], cond[:, 3:])
    assert torch.equal(untold[:, :3], density.null.expand(4, 3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weighting": "v_mse", "schedule": "learned"}, "trained on the bound"),
        ({"adaptive": True, "num_steps": 10}, "in continuous time"),
        ({"num_steps": 10, "weighting": "v_mse"}, "in discrete time"),
    ],
)
def test_options_that_do_not_go_together(fields, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **fields)


def test_dither_is_not_removed_by_a_bound():
    density = SMALL.build(4, 2, AudioConfig())
    with pytest.raises(UserError, match="remove_dither: needs an exact likelihood; this density's is bound"):
        density.remove_dither(torch.zeros(2, 4), torch.zeros(2, 2), 0.1)


def test_only_what_can_be_guided_is():
    with pytest.raises(UserError, match="gaussian cannot be guided"):
        GuidedConfig(inner=GaussianConfig())


def test_more_steps_than_noise_are_refused():
    density = dataclasses.replace(SMALL, sampler="ancestral", sampler_steps=3).build(4, 2, AudioConfig())
    assert density.sample(torch.zeros(2, 2), SamplingOptions(steps=2), seeded()).shape == (2, 4)
    with pytest.raises(UserError, match="more than the 3"):
        density.sample(torch.zeros(2, 2), SamplingOptions(steps=4), seeded())


def test_decoder_variance_learns_the_posterior_of_gaussian_data():
    """At a floor as high as e^0 the bound is tight only with it."""
    torch.manual_seed(0)
    data = Gaussian([1.0, 1.0])
    density = dataclasses.replace(SMALL, gamma_min=-0.5, transform="none").build(2, 1, AudioConfig()).train()
    optimizer = torch.optim.Adam(density.parameters(), 1e-2)
    for _ in range(200):
        loss = density.loss(data.sample(256), torch.zeros(256, 1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    density.eval().draws = 32
    with torch.no_grad():
        value = -density.log_prob(data.sample(4000), torch.zeros(4000, 1), seeded()).mean().item()
    assert value == pytest.approx(data.entropy(), abs=0.06)
