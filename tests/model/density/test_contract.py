"""What every density of the registry must do, and compositions of them: `Density` says it, this holds them to it."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
from safetensors.torch import load, save
from small_densities import KINDS, SECTIONS, C, K, build, conds, make
from torch import Tensor

from wavetts.config import AudioConfig, Config
from wavetts.config.load import from_dict, to_dict
from wavetts.model.density import SamplingOptions
from wavetts.model.density.base import Flow

ONE = SamplingOptions()
DRAWABLE = [kind for kind in KINDS if make(kind).likelihood != "none"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_prob(density, x: Tensor, cond: Tensor) -> Tensor:
    """With the same noise each time, where there is any."""
    return density.log_prob(x, cond, seeded())


# Shapes


@pytest.mark.parametrize("kind", KINDS)
def test_leading_dimensions_and_batches(kind, float64):
    density = make(kind)
    cond, noise = conds(density, 2, 3), torch.randn(2, 3, density.noise_dim)
    samples = density.sample(cond, ONE, noise)
    assert samples.shape == (2, 3, K)
    temperature = torch.rand(2, 3, 1)
    mixed = density.sample(cond, SamplingOptions(temperature=temperature), noise)
    for b in range(2):
        for t in range(3):
            torch.testing.assert_close(density.sample(cond[b, t], ONE, noise[b, t]), samples[b, t])
            own = SamplingOptions(temperature=float(temperature[b, t]))
            torch.testing.assert_close(density.sample(cond[b, t], own, noise[b, t]), mixed[b, t])


@pytest.mark.parametrize("kind", DRAWABLE)
def test_log_prob_of_leading_dimensions_and_batches(kind, float64):
    density = make(kind)
    x, cond = torch.randn(2, 3, K), conds(density, 2, 3)
    value = log_prob(density, x, cond)
    assert value.shape == density.loss(x, cond).shape == (2, 3)
    torch.testing.assert_close(value.flatten(), log_prob(density, x.flatten(0, 1), cond.flatten(0, 1)))
    if density.likelihood == "exact":
        for b in range(2):
            for t in range(3):
                torch.testing.assert_close(density.log_prob(x[b, t], cond[b, t]), value[b, t])


# Noise


@pytest.mark.parametrize("kind", KINDS)
def test_noise_and_generators_decide_what_is_drawn(kind):
    density, state = make(kind), torch.get_rng_state()
    cond, noise = conds(density, 3), torch.randn(3, density.noise_dim)
    state = torch.get_rng_state()
    given, drawn = density.sample(cond, ONE, noise), density.sample(cond, ONE, seeded(1))
    assert torch.equal(given, density.sample(cond, ONE, noise))
    assert torch.equal(drawn, density.sample(cond, ONE, seeded(1)))
    assert torch.equal(drawn, density.sample(cond, ONE, torch.randn(3, density.noise_dim, generator=seeded(1))))
    assert not torch.equal(drawn, density.sample(cond, ONE, seeded(2)))
    assert not drawn.requires_grad
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is nobody's business


@pytest.mark.parametrize("kind", DRAWABLE)
def test_losses_draw_from_the_generator_they_are_given(kind):
    density = make(kind).train()
    x, cond = torch.randn(4, K), conds(density, 4)
    state = torch.get_rng_state()
    values = []
    for seed in (1, 1, 2):
        each = copy.deepcopy(density)  # a loss may leave running means behind
        values.append((each.loss(x, cond, seeded(seed)), each.log_prob(x, cond, seeded(seed))))
    assert torch.equal(torch.get_rng_state(), state)
    for same in zip(*values[:2], strict=True):
        assert torch.equal(*same)
    if density.likelihood == "exact":
        assert torch.equal(values[0][1], values[2][1])
        assert torch.equal(density.log_prob(x, cond), values[0][1])


@pytest.mark.parametrize("kind", KINDS)
def test_temperature_zero_is_deterministic(kind):
    density = make(kind)
    cond = conds(density, 3)
    cold = SamplingOptions(temperature=0.0)
    first = density.sample(cond, cold, seeded(1))
    assert torch.equal(first, density.sample(cond, cold, seeded(2)))
    assert (first - density.sample(cond, ONE, seeded(2))).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_lower_temperatures_are_nearer_to_the_coldest(kind):
    density = make(kind)
    cond, noise = conds(density, 50), torch.randn(50, density.noise_dim)
    cold, warm, hot = (density.sample(cond, SamplingOptions(temperature=t), noise) for t in (0.0, 0.3, 1.0))
    assert (warm - cold).norm() < 0.6 * (hot - cold).norm()


# Gradients


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_cond_and_every_parameter(kind):
    density = make(kind).train()
    cond = conds(density, 6).requires_grad_()
    density.loss(torch.randn(6, K), cond, seeded()).sum().backward()
    assert (cond.grad[:, :C].abs() > 0).all()
    for name, parameter in density.named_parameters():
        if not parameter.requires_grad:  # of what is frozen
            assert ".inner." in f".{name}" and density.likelihood == "estimate"
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss(kind):
    density = make(kind, std=0.02).train()
    optimizer = torch.optim.Adam(density.parameters(), 0.01)
    cond = conds(density, 64)
    x = 0.1 * torch.randn(64, K) + cond[:, :1]
    losses = []
    for _ in range(30):
        loss = density.loss(x, cond, seeded()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1, losses


@pytest.mark.parametrize("kind", DRAWABLE)
def test_cond_changes_the_density(kind):
    density, x = make(kind), torch.randn(2, K)
    values = [log_prob(density, x, cond.expand(2, -1)) for cond in conds(density, 3)]
    assert (values[0] - values[1]).abs().min() > 1e-3
    assert (values[1] - values[2]).abs().min() > 1e-3


# Precision


@pytest.mark.parametrize("kind", DRAWABLE)
def test_autocast_leaves_float32(kind):
    density = make(kind).eval()
    x, cond, noise = torch.randn(4, K), conds(density, 4).bfloat16(), torch.randn(4, density.noise_dim)
    expected = log_prob(density, x, cond.float())
    with torch.autocast("cpu", torch.bfloat16):
        value, sample = log_prob(density, x, cond), density.sample(cond, ONE, noise)
    assert value.dtype == sample.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(sample, density.sample(cond.float(), ONE, noise))


@pytest.mark.parametrize("kind", DRAWABLE)
def test_extreme_contexts_stay_finite(kind):
    density = make(kind)
    for size in (1e2, 1e4):
        x, cond = torch.randn(4, K), size * conds(density, 4)
        assert log_prob(density, x, cond).isfinite().all()


# Files and resumption


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_is_the_same(kind):
    density = make(kind).eval()
    density.initialize(torch.randn(8, K), conds(density, 8))
    other = build(SECTIONS[kind], std=0.5).eval()
    other.load_state_dict(load(save({name: value.contiguous() for name, value in density.state_dict().items()})))
    cond, noise = conds(density, 3), torch.randn(3, density.noise_dim)
    assert torch.equal(other.sample(cond, ONE, noise), density.sample(cond, ONE, noise))
    if density.likelihood != "none":
        assert torch.equal(log_prob(other, noise[:, :K], cond), log_prob(density, noise[:, :K], cond))
    config = Config(audio=AudioConfig(frame_length=K), density=SECTIONS[kind])
    assert from_dict(to_dict(config)).density == SECTIONS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_bit_for_bit_from_its_weights_and_its_optimiser(kind):
    def step(density, optimizer, number: int) -> None:
        optimizer.zero_grad()
        torch.manual_seed(number)
        x, cond = torch.randn(6, K), conds(density, 6)
        density.loss(x, cond, seeded(number)).sum().backward()
        optimizer.step()

    whole = make(kind).train()
    optimizer = torch.optim.Adam(whole.parameters(), 0.01)
    for number in range(2):
        step(whole, optimizer, number)
    again = build(SECTIONS[kind], std=0.7).train()
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    resumed = torch.optim.Adam(again.parameters(), 0.01)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for number in range(2, 4):
        step(whole, optimizer, number)
        step(again, resumed, number)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_initialise_does_something_at_most_once(kind):
    density = make(kind)
    density.initialize(torch.randn(8, K), conds(density, 8))
    before = copy.deepcopy(density.state_dict())
    density.initialize(100 * torch.randn(8, K), conds(density, 8))
    for name, value in density.state_dict().items():
        assert torch.equal(value, before[name]), name


# Exactness


EXACT = [kind for kind in KINDS if make(kind).likelihood == "exact"]
FLOWS = [kind for kind in KINDS if isinstance(make(kind), Flow)]


@pytest.mark.parametrize("kind", FLOWS)
def test_log_det_and_inverse_of_flows(kind, float64):
    density = make(kind)
    x, cond = torch.randn(4, K), conds(density, 4)
    z, log_det = density(x, cond)
    torch.testing.assert_close(density.inverse(z, cond), x)
    for n in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda v, n=n: density(v[None], cond[n : n + 1])[0][0], x[n])
        torch.testing.assert_close(log_det[n], torch.linalg.slogdet(jacobian).logabsdet, atol=1e-9, rtol=1e-9)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(density.log_prob(x, cond), normal.log_prob(z).sum(-1) + log_det)


@pytest.mark.parametrize("kind", EXACT)
def test_log_prob_is_that_of_what_sample_makes_of_noise(kind, float64):
    """By the Jacobian of the sampler itself, so that `sample` and `log_prob` cannot tell of different densities."""
    density, size = make(kind), 1e-5
    for cond, noise in zip(conds(density, 3), torch.randn(3, density.noise_dim), strict=True):
        steps = size * torch.eye(density.noise_dim)
        above, below = (density.sample(cond.expand(len(steps), -1), ONE, noise + sign * steps) for sign in (1, -1))
        jacobian = (above - below) / (2 * size)
        # A cascade has noise besides, which is used only where it is asked for.
        used = jacobian.abs().amax(1) > 0
        assert used.sum() == K
        jacobian = jacobian[used]
        expected = -0.5 * noise[used].square().sum() - 0.5 * math.log(2 * math.pi) * K
        expected = expected - torch.linalg.slogdet(jacobian).logabsdet
        drawn = density.sample(cond, ONE, noise)
        torch.testing.assert_close(density.log_prob(drawn, cond), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", EXACT)
def test_density_integrates_to_one(kind):
    # E over samples of r(x) / p(x) is the integral of r; r a Gaussian inside p's support.
    density = make(kind, std=0.05)
    cond = conds(density, 1).expand(20000, -1)
    samples = density.sample(cond, ONE, seeded(1))
    proposal = torch.distributions.Normal(samples.mean(0), 0.8 * samples.std(0))
    ratio = (proposal.log_prob(samples).sum(-1) - density.log_prob(samples, cond)).exp()
    assert ratio.mean().item() == pytest.approx(1.0, abs=0.1)


def test_sampling_options_are_values():
    assert dataclasses.replace(SamplingOptions(), temperature=0.5) == SamplingOptions(temperature=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        SamplingOptions().temperature = 0.5
