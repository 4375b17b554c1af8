"""Subframes: what each of them sees, and how the past is disturbed in training."""

from __future__ import annotations

import pytest
import torch
from small_densities import K, build, conds

from wavetts.model.density import Density, SamplingOptions
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.subframe import SubframeConfig


def subframes(**options: float) -> Density:
    inner = CompactFlowConfig(num_couplings=2, hidden_dim=8)
    return build(SubframeConfig(subframe_length=4, context_dim=6, inner=inner, **options), std=0.2)


def test_a_subframe_sees_what_was_before_it_and_nothing_else(float64):
    density = subframes()
    x, cond = torch.randn(1, K), conds(density, 1)

    def log_probs(x, cond):
        return density.flow.log_prob(*density.subframes(x, cond))

    jacobian = torch.autograd.functional.jacobian(lambda v: log_probs(v, cond), x)[0, :, 0].view(4, 4, 4)
    for drawn in range(4):
        for seen in range(4):
            assert bool(jacobian[drawn, seen].any()) == (seen <= drawn), (drawn, seen)
    # The last K samples: all of the frame before for the first subframe, its last quarter for the last one.
    past = torch.autograd.functional.jacobian(lambda c: log_probs(x, c), cond)[0, :, 0, density.cond_dim :]
    for drawn in range(4):
        for seen in range(4):
            assert bool(past.view(4, 4, 4)[drawn, seen].any()) == (seen >= drawn), (drawn, seen)


def test_subframes_go_on_from_the_drawn_samples(float64):
    density = subframes()
    frames, cond = torch.randn(2, K), conds(density, 2)
    once = density.sample(cond, SamplingOptions(), frames)
    changed = frames.clone()
    changed[:, 9] += 1.0  # of the third subframe
    again = density.sample(cond, SamplingOptions(), changed)
    assert torch.equal(once[:, :8], again[:, :8])
    assert (once[:, 12:] - again[:, 12:]).abs().amax(1).min() > 1e-6


@pytest.mark.parametrize("options", [{"past_noise": 0.1}, {"past_gain": 0.3}, {"past_filter": 0.3}], ids=str)
def test_the_past_is_disturbed_in_the_training_loss_alone(options, float64):
    density = subframes(**options)
    x, cond = torch.randn(3, K), conds(density, 3)
    exact = -density.log_prob(x, cond)
    assert torch.equal(-density.log_prob(x, cond), exact)
    assert (density.loss(x, cond) - exact).abs().min() > 1e-6
    assert not torch.equal(density.loss(x, cond), density.loss(x, cond))
    assert torch.equal(density.eval().loss(x, cond), exact)
    # Nothing of the samples to come leaks in.
    density.train()
    first = density.subframes(x, cond, True, torch.Generator().manual_seed(1))[1]
    x[:, 12:] += 1.0
    again = density.subframes(x, cond, True, torch.Generator().manual_seed(1))[1]
    torch.testing.assert_close(again, first, rtol=0, atol=1e-9)


def test_random_filters_bend_the_envelope_smoothly_and_see_nothing_ahead(float64):
    density = subframes(past_filter=0.3)
    generator = torch.Generator().manual_seed(0)
    impulse = torch.zeros(200, 1280)
    impulse[:, 100] = 1.0
    response = density._filtered(impulse, generator)
    assert response[:, :100].abs().max() < 1e-12
    torch.testing.assert_close(response[:, 100], torch.ones(200))
    # Real parts of 8 waves: variance 8 / 2 times that of a coefficient.
    gain = torch.fft.rfft(response).abs().log()[:, 1:-1]
    assert 0.85 < float(gain.std()) / (0.3 * 4**0.5) < 1.15
    assert gain.diff(dim=1).std() < 0.02
    # The last sample's response does not come round.
    late = torch.zeros(200, 1280)
    late[:, -1] = 1.0
    assert density._filtered(late, generator)[:, :-1].abs().max() < 1e-12


def test_drawn_frames_have_the_density_of_their_noise_in_float32():
    section = SubframeConfig(subframe_length=80, inner=CompactFlowConfig(hidden_dim=192))
    density = build(section, std=0.02, length=640, cond_dim=512)
    cond, noise = torch.randn(4, 512 + 640), torch.randn(4, 640)
    frames = density.sample(cond, SamplingOptions(), noise)
    with torch.no_grad():
        parts, contexts = density.subframes(frames, cond)
        again, _ = density.flow(parts.flatten(0, 1), contexts.flatten(0, 1))
    assert (again.view(4, 640) - noise).abs().max() < 1e-3
