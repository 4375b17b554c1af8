from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from small_models import ATTENTIONS, DENSITIES, ENCODERS

from wavetts.config import TrainConfig
from wavetts.corpus.batches import Batch
from wavetts.model.alignment import alignment_scores, diagonal_prior
from wavetts.model.layers import length_mask
from wavetts.training.objective import bits_per_sample, loss_sums


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)  # the loss itself is float32


def rows(batch: Batch, first: int, last: int) -> Batch:
    """A micro-batch, padded to its own longest."""
    part = slice(first, last)
    tokens, frames = int(batch.token_lengths[part].max()), int(batch.frame_lengths[part].max())
    return Batch(
        batch.ids[part],
        batch.tokens[part, :tokens],
        batch.token_lengths[part],
        batch.waveform[part, : frames * 16],
        batch.frame_lengths[part],
    )


@pytest.fixture
def calls(monkeypatch):
    """What loss_sums hands to a model: `calls(model)` -> list of (frames, history, prior)."""

    def spy(model):
        seen, forward = [], model.forward

        def record(tokens, token_lengths, frames, history=None, prior=None):
            seen.append((frames, history, prior))
            return forward(tokens, token_lengths, frames, history, prior)

        monkeypatch.setattr(model, "forward", record)
        return seen

    return spy


# Sums


@pytest.mark.parametrize("density", DENSITIES)
def test_sums_are_loops_over_valid_frames(density, small_model, small_batch):
    model, batch = small_model(density=density), small_batch()
    sums = loss_sums(model, batch, noise=False)
    frames = model.to_frames(batch.waveform, noise=False)
    nll = bce = 0.0
    for b, length in enumerate(batch.frame_lengths.tolist()):
        for t in range(length):
            nll -= model.density.log_prob(frames[b, t], sums.output.cond[b, t]).item()
            p, last = torch.sigmoid(sums.output.stop_logits[b, t]).item(), t == length - 1
            bce -= math.log(p if last else 1 - p)
    assert sums.frame_nll.item() == pytest.approx(nll, rel=1e-6)
    assert sums.stop_bce.item() == pytest.approx(bce, rel=1e-6)
    assert (sums.num_frames, sums.num_samples) == (13, 13 * 16)
    assert sums.frame_nll.shape == sums.stop_bce.shape == ()


def test_loss_weighs_the_two_terms(small_model, small_batch):
    sums = loss_sums(small_model(), small_batch(), TrainConfig(stop_weight=0.5), noise=False)
    close(sums.loss(2000), (sums.frame_nll + 0.5 * sums.stop_bce) / 2000)


def test_stop_target_is_the_last_frame(small_model, small_batch, monkeypatch):
    model, batch = small_model(), small_batch()
    target = F.one_hot(batch.frame_lengths - 1, 6).double()
    output = model(batch.tokens, batch.token_lengths, model.to_frames(batch.waveform, noise=False))
    for sign, good in [(1, True), (-1, False)]:
        sure = output._replace(stop_logits=sign * 50.0 * (2 * target - 1))
        monkeypatch.setattr(model, "forward", lambda *args, sure=sure: sure)
        sums = loss_sums(model, batch, noise=False)
        assert sums.stop_bce.item() == pytest.approx(0 if good else 13 * 50, abs=1e-6)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("density", DENSITIES)
def test_micro_batches_add_up_to_the_joint_batch(encoder, attention, density, small_model, small_batch):
    model, batch = small_model(encoder, attention, density), small_batch()
    # CBHG's batch norm sees its own micro-batch in training, so that in training it cannot add up.
    model.train(encoder != "cbhg")
    joint = loss_sums(model, batch, noise=False)
    joint_loss = joint.loss(joint.num_samples)
    expected = torch.autograd.grad(joint_loss, list(model.parameters()))
    for cut in (1, 2):
        model.zero_grad()
        total, frames = 0.0, 0
        for part in (rows(batch, 0, cut), rows(batch, cut, 3)):
            sums = loss_sums(model, part, noise=False)
            loss = sums.loss(joint.num_samples)
            loss.backward()
            total, frames = total + loss.detach(), frames + sums.num_frames
        assert frames == joint.num_frames
        close(total, joint_loss.detach())
        for (name, parameter), gradient in zip(model.named_parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_padding_changes_nothing(training, encoder, attention, small_model, small_batch):
    batch = small_batch()
    wide = dataclasses.replace(
        batch, tokens=F.pad(batch.tokens, (0, 4)), waveform=F.pad(batch.waveform, (0, 5 * 16), value=0.5)
    )
    results = [loss_sums(small_model(encoder, attention).train(training), x, noise=False) for x in (batch, wide)]
    for field in ("frame_nll", "stop_bce", "num_frames", "num_samples"):
        close(getattr(results[1], field), getattr(results[0], field))
    mask = length_mask(batch.frame_lengths, 6)
    close(results[1].output.cond[:, :6][mask], results[0].output.cond[mask])
    close(results[1].output.alignment[:, :6, :8][mask], results[0].output.alignment[mask])


def test_density_gets_valid_frames_alone(small_model, small_batch, monkeypatch):
    model, batch = small_model(), small_batch()
    shapes = []

    def record(name):
        method = getattr(model.density, name)

        def recorded(frames, cond, *rest):
            shapes.append((name, frames.shape, cond.shape))
            return method(frames, cond, *rest)

        monkeypatch.setattr(model.density, name, recorded)

    record("loss")
    record("log_prob")
    loss_sums(model, batch)
    assert shapes == [("log_prob", (13, 16), (13, 9))]
    shapes.clear()
    loss_sums(model, batch, TrainConfig())
    assert ("loss", (13, 16), (13, 9)) in shapes


def test_noise_is_drawn_anew_and_can_be_left_out(small_model, small_batch):
    model, batch = small_model(), small_batch()
    assert torch.equal(*(loss_sums(model, batch, noise=False).frame_nll for _ in range(2)))
    assert not torch.equal(*(loss_sums(model, batch).frame_nll for _ in range(2)))


# What training adds


def test_evaluation_feeds_back_clean_frames_without_a_prior(small_model, small_batch, calls):
    model = small_model()
    seen = calls(model)
    loss_sums(model, small_batch())
    loss_sums(model, small_batch(), TrainConfig(), step=0)
    for _, history, prior in seen:
        assert history is None and prior is None
    assert len(seen) == 2


def test_history_noise_is_relative_to_each_frame(small_model, calls):
    model = small_model()
    seen = calls(model)
    torch.manual_seed(0)
    loud = torch.linspace(0.01, 0.5, 400, dtype=torch.float64).repeat_interleave(16)
    waveform = (loud * torch.randn(2, 6400).double()).clamp(-0.99, 0.99)
    batch = Batch(
        ["a", "b"], torch.ones(2, 3, dtype=torch.long), torch.tensor([3, 3]), waveform, torch.tensor([400, 300])
    )
    sums = loss_sums(model, batch, TrainConfig(history_noise=0.2), noise=False)
    frames, history, _ = seen[0]
    close(frames, model.to_frames(waveform, noise=False) * length_mask(batch.frame_lengths, 400)[..., None])
    ratio = ((history - frames) / frames.std(-1, keepdim=True))[length_mask(batch.frame_lengths, 400)]
    assert ratio.std().item() == pytest.approx(0.2, rel=0.03)
    assert ratio[:50].std().item() == pytest.approx(0.2, rel=0.1) == ratio[-50:].std().item()
    # The target stays clean.
    mask = length_mask(batch.frame_lengths, 400)
    close(sums.frame_nll, model.density.loss(frames[mask], sums.output.cond[mask]).sum())


def test_history_gain_scales_whole_frames(small_model, small_batch, calls):
    model, batch = small_model(), small_batch(frame_lengths=(400, 300, 6))
    seen = calls(model)
    torch.manual_seed(0)
    sums = loss_sums(model, batch, TrainConfig(history_gain=0.3), noise=False)
    frames, history, _ = seen[0]
    mask = length_mask(batch.frame_lengths, 400)
    gain = (history / frames)[mask]
    close(gain, gain[:, :1].expand_as(gain))
    assert gain[:, 0].log().std().item() == pytest.approx(0.3, rel=0.1)
    assert abs(gain[:, 0].log().mean().item()) < 0.05
    close(sums.frame_nll, model.density.loss(frames[mask], sums.output.cond[mask]).sum())


def test_prior_is_switched_off_after_its_steps(small_model, small_batch, calls):
    model, batch, train = small_model(), small_batch(), TrainConfig(prior_steps=3)
    seen = calls(model)
    for step in range(5):
        loss_sums(model, batch, train, step=step)
    expected = diagonal_prior(batch.token_lengths, batch.frame_lengths)
    assert [prior is None for _, _, prior in seen] == [False] * 3 + [True] * 2
    assert all(torch.equal(prior, expected) for _, _, prior in seen[:3])


def test_prior_pulls_the_alignment_to_the_diagonal(small_model, small_batch):
    model, batch, train = small_model(), small_batch((9, 8), (10, 12)), TrainConfig(prior_steps=1)
    scores = []
    for step in (0, 1):
        alignment = loss_sums(model, batch, train, step, noise=False).output.alignment
        scores.append(alignment_scores(alignment, batch.token_lengths, batch.frame_lengths)["diagonality"])
    assert (scores[0] > scores[1] + 0.1).all()


def test_batch_moves_to_a_device(small_batch):
    batch = small_batch()
    moved = batch.to("meta")
    assert moved.ids == batch.ids
    for field in ("tokens", "waveform"):
        assert getattr(moved, field).device.type == "meta", field
        assert getattr(moved, field).shape == getattr(batch, field).shape
    # Made into indices where nothing waits for them.
    for field in ("token_lengths", "frame_lengths"):
        assert getattr(moved, field).device.type == "cpu", field


# Bits per sample


def gaussian_model(small_model, preemphasis: float, scale: float, log_std: float):
    """A model that ignores its text: white noise of that log-std after pre-emphasis and scale."""
    model = small_model(audio={"preemphasis": preemphasis})
    affine = model.density.affine
    with torch.no_grad():
        affine.linear.weight.zero_()
        affine.linear.bias.zero_()
        affine.linear.bias[16:] = affine.bound * math.atanh(log_std / affine.bound)
        model.scale.fill_(scale)
    return model


def source(preemphasis: float, std: float) -> Batch:
    """An autoregressive source of order one with Gaussian innovations."""
    torch.manual_seed(0)
    innovation, last, samples = std * torch.randn(4, 8000, dtype=torch.float64), 0.0, []
    for n in range(8000):
        last = innovation[:, n] + preemphasis * last
        samples.append(last)
    lengths = torch.full((4,), 500)
    waveform = torch.stack(samples, 1)
    assert waveform.abs().max() < 1
    return Batch(list("abcd"), torch.ones(4, 2, dtype=torch.long), torch.full((4,), 2), waveform, lengths)


@pytest.mark.parametrize("preemphasis", [0.0, 0.9])
@pytest.mark.parametrize("std", [0.02, 0.002])
def test_true_density_reaches_the_sources_entropy(preemphasis, std, small_model):
    model = gaussian_model(small_model, preemphasis, scale=1 / std, log_std=0.0)
    sums = loss_sums(model, source(preemphasis, std))
    bits = bits_per_sample(sums.frame_nll.item(), sums.num_samples, model.scale.item())
    # Differential entropy of the innovations, in steps of 2^-15.
    entropy = 0.5 * math.log2(2 * math.pi * math.e * std**2) + 15
    assert bits == pytest.approx(entropy, abs=0.01)


def test_bits_do_not_depend_on_the_scale(small_model):
    """The same density of the waveform, scaled by 1, 5 and 40 with the density's own std to match."""
    batch, bits = source(0.9, 0.02), []
    for scale in (1.0, 5.0, 40.0):
        model = gaussian_model(small_model, 0.9, scale, math.log(0.03 * scale))
        sums = loss_sums(model, batch, noise=False)
        bits.append(bits_per_sample(sums.frame_nll.item(), sums.num_samples, scale))
    assert bits[1:] == pytest.approx([bits[0]] * 2, abs=1e-4)


def test_a_wrong_density_costs_its_divergence(small_model):
    std, factor = 0.02, 2.0
    sums = loss_sums(gaussian_model(small_model, 0.0, 1 / std, math.log(factor)), source(0.0, std), noise=False)
    bits = bits_per_sample(sums.frame_nll.item(), sums.num_samples, 1 / std)
    divergence = math.log2(factor) + (1 / factor**2 - 1) / (2 * math.log(2))
    assert bits == pytest.approx(0.5 * math.log2(2 * math.pi * math.e * std**2) + 15 + divergence, abs=0.01)


def test_bits_of_uniform_noise_by_hand():
    # The density 1/2 on [-1, 1) is ln 2 nats a sample, and 16 bits; scaled by 8, 1/16 on [-8, 8).
    assert bits_per_sample(100 * math.log(2), 100, 1.0) == pytest.approx(16)
    assert bits_per_sample(100 * math.log(16), 100, 8.0) == pytest.approx(16)


def test_products_of_encoder_and_decoder_may_be_bfloat16(small_model, small_batch):
    model = small_model().float()
    batch = small_batch()
    batch = dataclasses.replace(batch, waveform=batch.waveform.float())
    exact, rounded = (
        loss_sums(model, batch, TrainConfig(precision=precision), noise=False) for precision in ("float32", "bf16")
    )
    assert rounded.packed_nll.dtype == torch.float32
    torch.testing.assert_close(rounded.frame_nll, exact.frame_nll, rtol=0.05, atol=0.5)
    assert not torch.equal(rounded.output.cond, exact.output.cond)


def test_nothing_waits_for_a_device_to_count_frames(small_model, small_batch, monkeypatch):
    """Lengths are turned into indices on the CPU: a mask's size is never asked of the device."""
    model, batch = small_model(), small_batch()
    expected = loss_sums(model, batch, noise=False)
    moved = batch.to("cpu")
    assert moved.frame_lengths is batch.frame_lengths and moved.token_lengths is batch.token_lengths

    def indexed_by_mask(self, key, original=torch.Tensor.__getitem__):
        assert not (isinstance(key, torch.Tensor) and key.dtype == torch.bool), "a mask as an index waits"
        return original(self, key)

    monkeypatch.setattr(torch.Tensor, "__getitem__", indexed_by_mask)
    assert torch.equal(loss_sums(model, moved, noise=False).packed_nll, expected.packed_nll)
