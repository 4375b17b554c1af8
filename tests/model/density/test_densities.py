"""What single densities promise beyond the contract."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_densities import C, K, build, conds, make, perturb

from wavetts.config import AudioConfig, Config
from wavetts.model.density import SamplingOptions, build_density
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.flow import FlowConfig
from wavetts.model.density.transforms import AffineCoupling


def test_flow_whose_last_stage_has_an_odd_number_of_positions(float64):
    section = FlowConfig(squeeze=4, num_stages=2, num_steps=2, hidden_dim=8, position_dim=4)
    density = build(section, std=0.2, length=24)
    assert [len(stage.positions) for stage in density.stages] == [6, 3]
    x, cond = torch.randn(4, 24), torch.randn(4, C)
    torch.testing.assert_close(density.inverse(density(x, cond)[0], cond), x)


@pytest.mark.parametrize("kind", ["flow", "compact", "subframe", "gaussian"])
def test_starts_as_the_standard_normal(kind):
    density = make(kind, std=0.0)
    x, cond = torch.randn(64, K), conds(density, 64)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(-1)
    torch.testing.assert_close(density.log_prob(x, cond), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(density.loss(x, cond), -density.log_prob(x, cond))


def test_gaussian_scores_its_samples_by_its_entropy():
    density = make("gaussian")
    cond = torch.randn(1, C)
    samples = density.sample(cond.expand(20000, C), SamplingOptions(), torch.Generator().manual_seed(1))
    _, negative_log_scale_sum = density(torch.zeros(1, K), cond)
    entropy = K / 2 * (1 + math.log(2 * math.pi)) - negative_log_scale_sum.item()
    assert density.log_prob(samples, cond.expand(20000, C)).mean().item() == pytest.approx(-entropy, abs=0.1)


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
        density.sample(cond, SamplingOptions(), torch.Generator())
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
    density = build(CompactFlowConfig(), std=0.02, length=640, cond_dim=512)
    x, cond = torch.randn(4, 640), torch.randn(4, 512)
    with torch.no_grad():
        assert (density.inverse(density(x, cond)[0], cond) - x).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["compact", "flow"])
def test_bf16_networks_round_in_training_alone(kind):
    exact = make(kind)
    rounded = copy.deepcopy(exact)
    for coupling in couplings(rounded):
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


def couplings(density):
    return [module for module in density.modules() if isinstance(module, AffineCoupling)]


def test_config_asks_for_bf16():
    small = FlowConfig(squeeze=4, num_stages=2, num_steps=2, hidden_dim=8, position_dim=4, precision="bf16")
    for config in (CompactFlowConfig(precision="bf16"), small):
        found = couplings(build(config))
        assert found and all(coupling.bf16 for coupling in found)


def test_compact_permutations_are_the_same_in_every_model():
    first, second = make("compact"), make("compact")
    torch.manual_seed(5)
    third = CompactFlowConfig(num_couplings=4, hidden_dim=8).build(K, C, AudioConfig())
    for a, b, c in zip(first.permutations, second.permutations, third.permutations, strict=True):
        assert torch.equal(a.order, b.order)
        assert torch.equal(a.order, c.order)
    assert first.permutations[0].order[: K // 2].tolist() == list(range(0, K, 2))


def test_flow_without_positions():
    density = build(FlowConfig(squeeze=4, num_stages=2, num_steps=2, hidden_dim=8, position_dim=0))
    x, cond = torch.randn(3, K), torch.randn(3, C)
    torch.testing.assert_close(density.inverse(density(x, cond)[0], cond), x, atol=1e-5, rtol=1e-5)
