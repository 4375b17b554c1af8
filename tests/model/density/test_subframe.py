"""The subframe flow: what each subframe sees, and how the past is disturbed in training."""

from __future__ import annotations

import pytest
import torch
from small_densities import C, K, conds, perturb

from wavetts.config import Config, SubframeFlowConfig
from wavetts.model.density import FrameDensity, build_density


def subframe_flow(**options: float) -> FrameDensity:
    torch.manual_seed(0)
    config = Config()
    config.audio.frame_length = K
    config.density = SubframeFlowConfig(subframe_length=4, context_dim=6, num_couplings=2, hidden_dim=8, **options)
    return perturb(build_density(config, C), 0.2)


def test_a_subframe_sees_what_was_before_it_and_nothing_else(float64):
    density = subframe_flow()
    x, cond = torch.randn(1, K), conds(density, 1)
    jacobian = torch.autograd.functional.jacobian(lambda v: density(v, cond)[0], x)[0, :, 0].view(4, 4, 4, 4)
    for drawn in range(4):
        for seen in range(4):
            depends = jacobian[drawn, :, seen].any()
            assert bool(depends) == (seen <= drawn), (drawn, seen)
    # The last K samples: all of the frame before for the first subframe, its last quarter for the last one.
    past = torch.autograd.functional.jacobian(lambda c: density(x, c)[0], cond)[0, :, 0, C:].view(4, 4, 4, 4)
    for drawn in range(4):
        for seen in range(4):
            assert bool(past[drawn, :, seen].any()) == (seen >= drawn), (drawn, seen)


def test_subframes_go_on_from_the_drawn_samples(float64):
    density = subframe_flow()
    frames, cond = torch.randn(2, K), conds(density, 2)
    once = density.sample(cond, 1.0, frames)
    changed = frames.clone()
    changed[:, 9] += 1.0  # of the third subframe
    again = density.sample(cond, 1.0, changed)
    assert torch.equal(once[:, :8], again[:, :8])
    assert (once[:, 12:] - again[:, 12:]).abs().amax(1).min() > 1e-6


@pytest.mark.parametrize("options", [{"past_noise": 0.1}, {"past_gain": 0.3}, {"past_filter": 0.3}], ids=str)
def test_the_past_is_disturbed_in_the_training_loss_alone(options, float64):
    density = subframe_flow(**options)
    x, cond = torch.randn(3, K), conds(density, 3)
    exact = -density.log_prob(x, cond)
    assert torch.equal(-density.log_prob(x, cond), exact)
    assert (density.loss(x, cond) - exact).abs().min() > 1e-6
    assert not torch.equal(density.loss(x, cond), density.loss(x, cond))
    assert torch.equal(density.eval().loss(x, cond), exact)
    # Nothing of the samples to come leaks in.
    torch.manual_seed(1)
    density.train()
    first = density._disturbed_forward(x, cond)[0]
    torch.manual_seed(1)
    x[:, 12:] += 1.0
    torch.testing.assert_close(density._disturbed_forward(x, cond)[0][:, :12], first[:, :12], rtol=0, atol=1e-9)


def test_random_filters_bend_the_envelope_smoothly_and_see_nothing_ahead(float64):
    density = subframe_flow(past_filter=0.3)
    torch.manual_seed(0)
    impulse = torch.zeros(200, 1280)
    impulse[:, 100] = 1.0
    response = density._filtered(impulse)
    assert response[:, :100].abs().max() < 1e-12
    torch.testing.assert_close(response[:, 100], torch.ones(200))
    # Real parts of 8 waves: variance 8 / 2 times that of a coefficient.
    gain = torch.fft.rfft(response).abs().log()[:, 1:-1]
    assert 0.85 < float(gain.std()) / (0.3 * 4**0.5) < 1.15
    assert gain.diff(dim=1).std() < 0.02
    # The last sample's response does not come round.
    late = torch.zeros(200, 1280)
    late[:, -1] = 1.0
    assert density._filtered(late)[:, :-1].abs().max() < 1e-12


def test_subframe_flow_inverts_in_float32():
    torch.manual_seed(0)
    config = Config()
    config.audio.frame_length, config.density = 640, SubframeFlowConfig(subframe_length=80, hidden_dim=192)
    density = perturb(build_density(config, 512), 0.02)
    x, cond = torch.randn(4, 640), torch.randn(4, 512 + 640)
    with torch.no_grad():
        assert (density.inverse(density(x, cond)[0], cond) - x).abs().max() < 1e-3
