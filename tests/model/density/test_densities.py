"""What every density must do: normalised and invertible, conditional, reproducible; and what single ones promise."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_densities import KINDS, C, K, conds, make, perturb

from wavetts.config import CompactFlowConfig, Config, FlowConfig
from wavetts.model.density import FrameDensity, build_density


@pytest.mark.parametrize("kind", KINDS)
def test_log_det_and_inverse(kind, float64):
    density = make(kind)
    x, cond = torch.randn(4, K), conds(density, 4)
    z, log_det = density(x, cond)
    torch.testing.assert_close(density.inverse(z, cond), x)
    for n in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda v, n=n: density(v[None], cond[n : n + 1])[0][0], x[n])
        torch.testing.assert_close(log_det[n], torch.linalg.slogdet(jacobian).logabsdet, atol=1e-9, rtol=1e-9)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(density.log_prob(x, cond), normal.log_prob(z).sum(-1) + log_det)


def test_flow_whose_last_stage_has_an_odd_number_of_positions(float64):
    config = Config()
    config.audio.frame_length = 24
    config.density = FlowConfig(squeeze=4, num_stages=2, num_steps=2, hidden_dim=8, position_dim=4)
    density = perturb(build_density(config, C), 0.2)
    assert [len(stage.positions) for stage in density.stages] == [6, 3]
    x, cond = torch.randn(4, 24), torch.randn(4, C)
    torch.testing.assert_close(density.inverse(density(x, cond)[0], cond), x)


@pytest.mark.parametrize("kind", KINDS)
def test_starts_as_the_standard_normal(kind):
    density = make(kind, std=0.0)
    x, cond = torch.randn(64, K), conds(density, 64)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(density.log_prob(x, cond), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(density.loss(x, cond), -density.log_prob(x, cond))


def test_gaussian_scores_its_samples_by_its_entropy():
    density = make("gaussian")
    cond = torch.randn(1, C)
    torch.manual_seed(1)
    samples = density.sample(cond.expand(20000, C))
    _, negative_log_scale_sum = density(torch.zeros(1, K), cond)
    entropy = K / 2 * (1 + math.log(2 * math.pi)) - negative_log_scale_sum.item()
    assert density.log_prob(samples, cond.expand(20000, C)).mean().item() == pytest.approx(-entropy, abs=0.1)


@pytest.mark.parametrize("kind", ["flow", "compact", "subframe"])
def test_density_integrates_to_one(kind):
    # E over samples of r(x) / p(x) is the integral of r; r a Gaussian inside p's support.
    density = make(kind, std=0.05)
    torch.manual_seed(1)
    cond = conds(density, 1).expand(20000, -1)
    samples = density.sample(cond)
    proposal = torch.distributions.Normal(samples.mean(0), 0.8 * samples.std(0))
    ratio = (proposal.log_prob(samples).sum(-1) - density.log_prob(samples, cond)).exp()
    assert ratio.mean().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_temperature_and_noise(kind):
    density = make(kind)
    cond, noise = conds(density, 3), torch.randn(3, density.noise_dim)
    sample = density.sample(cond, 0.7, noise)
    torch.testing.assert_close(density(sample, cond)[0], 0.7 * noise, atol=1e-5, rtol=1e-5)
    assert torch.equal(sample, density.sample(cond, 0.7, noise))
    assert torch.equal(density.sample(cond, 0.0), density.sample(cond, 0.0, noise))
    assert not torch.equal(density.sample(cond), density.sample(cond))
    torch.manual_seed(3)
    first = density.sample(cond)
    torch.manual_seed(3)
    assert torch.equal(first, density.sample(cond))
    assert not sample.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_leading_dimensions_and_batches(kind, float64):
    density = make(kind)
    x, cond, noise = torch.randn(2, 3, K), conds(density, 2, 3), torch.randn(2, 3, K)
    packed = density.log_prob(x.flatten(0, 1), cond.flatten(0, 1))
    assert density.log_prob(x, cond).shape == (2, 3)
    torch.testing.assert_close(density.log_prob(x, cond).flatten(), packed)
    samples = density.sample(cond, 1.0, noise)
    assert samples.shape == (2, 3, K)
    for b in range(2):
        for t in range(3):
            torch.testing.assert_close(density.log_prob(x[b, t], cond[b, t]), density.log_prob(x, cond)[b, t])
            torch.testing.assert_close(density.sample(cond[b, t], 1.0, noise[b, t]), samples[b, t])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_cond_and_every_parameter(kind):
    density = make(kind)
    cond = conds(density, 6).requires_grad_()
    density.loss(torch.randn(6, K), cond).sum().backward()
    assert cond.grad.abs().min() > 0
    for name, parameter in density.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("kind", KINDS)
def test_cond_changes_the_density(kind):
    density, x = make(kind), torch.randn(2, K)
    values = [density.log_prob(x, cond.expand(2, -1)) for cond in conds(density, 3)]
    assert (values[0] - values[1]).abs().min() > 1e-3
    assert (values[1] - values[2]).abs().min() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_leaves_float32(kind):
    density = make(kind)
    x, cond, noise = torch.randn(4, K), conds(density, 4).bfloat16(), torch.randn(4, K)
    expected = density.log_prob(x, cond.float())
    with torch.autocast("cpu", torch.bfloat16):
        value, sample = density.log_prob(x, cond), density.sample(cond, 1.0, noise)
    assert value.dtype == sample.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(sample, density.sample(cond.float(), 1.0, noise))


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_cond_stays_finite(kind):
    density = make(kind)
    x, cond = torch.randn(4, K), 1e4 * conds(density, 4)
    assert density(x, cond)[1].isfinite().all()


@pytest.mark.parametrize("kind", ["compact", "subframe", "gaussian"])
def test_initialize_is_nothing_without_actnorm(kind):
    density = make(kind)
    before = copy.deepcopy(density.state_dict())
    density.initialize(torch.randn(8, K), conds(density, 8))
    for name, value in density.state_dict().items():
        assert torch.equal(value, before[name])


def test_flow_initialises_every_actnorm_once():
    density = make("flow")
    frames, cond = 5 * torch.randn(100, K) + 1, torch.randn(100, C)
    with torch.autocast("cpu", torch.bfloat16):
        density.initialize(frames, cond)
    assert all(value for name, value in density.named_buffers() if name.endswith("initialized"))
    outputs = []
    for stage in density.stages:
        stage.actnorm.register_forward_hook(lambda _, inputs, output: outputs.append(output[0]))
    noise, _ = density(frames, cond)
    for output in (*outputs, noise):
        assert output.mean().abs() < 1e-4
        assert output.var().item() == pytest.approx(1.0, abs=1e-2)
    restored = make("flow", std=0.0)
    restored.load_state_dict(density.state_dict())
    restored.initialize(100 * frames, cond)
    assert torch.equal(restored(frames, cond)[0], noise)


def test_kept_inverses_are_never_stale():
    density = make("flow")
    x, cond = torch.randn(8, K), torch.randn(8, C)

    def check() -> None:
        torch.testing.assert_close(density.inverse(density(x, cond)[0].detach(), cond), x, atol=1e-4, rtol=1e-4)

    check()
    kept = density._inverted_steps()
    check()
    assert density._inverted_steps() is kept
    optimizer = torch.optim.Adam(density.parameters(), 0.05)
    density.loss(x, cond).sum().backward()
    optimizer.step()
    check()
    with torch.no_grad():
        density.stages[0].steps[1].conv.weight.mul_(1.5)
    check()
    density.stages[1].steps[0].actnorm.log_scale.data.add_(0.3)
    check()
    density.stages[0].steps[0].conv.weight.data = torch.randn(4, 4)
    check()
    density.load_state_dict(make("flow", std=0.1).state_dict())
    check()
    density.initialize(3 * x, cond)
    check()
    assert density._inverted_steps() is not kept
    with torch.inference_mode():
        density.sample(cond)
    check()


def test_paper_flow_inverts_in_float32():
    torch.manual_seed(0)
    density = build_density(Config(), 256)
    x, cond = torch.randn(4, 960), torch.randn(4, 256)
    with torch.no_grad():
        assert (density.inverse(density(x, cond)[0], cond) - x).abs().max() < 1e-4
        perturb(density, 0.015)
        density.initialize(x, cond)
        noise, log_det = density(x, cond)
        assert log_det.isfinite().all()
        assert (density.inverse(noise, cond) - x).abs().max() < 1e-4


def test_compact_flow_inverts_in_float32():
    torch.manual_seed(0)
    config = Config()
    config.audio.frame_length, config.density = 640, CompactFlowConfig()
    density = perturb(build_density(config, 512), 0.02)
    x, cond = torch.randn(4, 640), torch.randn(4, 512)
    with torch.no_grad():
        assert (density.inverse(density(x, cond)[0], cond) - x).abs().max() < 1e-4


def test_bf16_networks_round_in_training_alone():
    exact = make("compact")
    rounded = copy.deepcopy(exact)
    for coupling in rounded.couplings:
        coupling.bf16 = True
    frames, cond = torch.randn(6, K), torch.randn(6, C)
    expected = exact.log_prob(frames, cond)
    assert torch.equal(rounded.eval().log_prob(frames, cond), expected)
    in_training = rounded.train().log_prob(frames, cond)
    assert in_training.dtype == torch.float32
    assert not torch.equal(in_training, expected)
    torch.testing.assert_close(in_training, expected, rtol=0.05, atol=0.5)
    # Still a flow: what it maps to noise comes back.
    noise, _ = rounded(frames, cond)
    torch.testing.assert_close(rounded.inverse(noise, cond), frames, rtol=1e-3, atol=1e-3)


def test_config_asks_for_bf16():
    config = Config()
    config.audio.frame_length, config.density = K, CompactFlowConfig(precision="bf16")
    assert all(coupling.bf16 for coupling in build_density(config, C).couplings)


def test_compact_permutations_are_the_same_in_every_model():
    first, second = make("compact"), make("compact")
    torch.manual_seed(5)
    third = build_density_like_compact()
    for a, b, c in zip(first.permutations, second.permutations, third.permutations, strict=True):
        assert torch.equal(a.order, b.order)
        assert torch.equal(a.order, c.order)
    assert first.permutations[0].order[: K // 2].tolist() == list(range(0, K, 2))


def build_density_like_compact() -> FrameDensity:
    config = Config()
    config.audio.frame_length, config.density = K, CompactFlowConfig(num_couplings=4, hidden_dim=8)
    return build_density(config, C)


def test_flow_without_positions():
    torch.manual_seed(0)
    config = Config()
    config.audio.frame_length = K
    config.density = FlowConfig(squeeze=4, num_stages=2, num_steps=2, hidden_dim=8, position_dim=0)
    density = build_density(config, C)
    x, cond = torch.randn(3, K), torch.randn(3, C)
    torch.testing.assert_close(density.inverse(density(x, cond)[0], cond), x, atol=1e-5, rtol=1e-5)
