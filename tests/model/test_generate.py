from __future__ import annotations

import numpy as np
import pytest
import torch

from wavetts.model.density import SamplingOptions
from wavetts.model.generate import LARGEST_SAMPLE, MOST_WILD_FRAMES, Engine, Generation, RunningBatch, generate

ATTENTIONS, DENSITIES = ["location", "dynamic", "gmm", "forward"], ["flow", "compact", "subframe", "gaussian"]
SEEDS, LIMITS = [11, 22, 33], [7, 4, 9]


def close(actual, expected, tolerance=1e-6):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance, check_dtype=False)


@pytest.fixture
def speaker(small_model):
    """`speaker(..., stop=bias)`: a small model, with a constant stop logit if given."""

    def make(*args, stop: float | None = None, **kwargs):
        model = small_model(*args, **kwargs)
        with torch.no_grad():
            # A random density that is fed its own frames would grow without bounds.
            model.decoder.input.weight.mul_(0.2)
            if model.decoder.head is not None:
                model.decoder.head[0].weight.mul_(0.2)
        if stop is not None:
            with torch.no_grad():
                model.decoder.stop.weight.zero_()
                model.decoder.stop.bias.fill_(stop)
        return model

    return make


def utterances(batch, rows=None, seeds=SEEDS, limits=LIMITS, **options) -> list[Generation]:
    rows = range(len(batch.tokens)) if rows is None else rows
    texts = [batch.tokens[row, : batch.token_lengths[row]].tolist() for row in rows]
    return [Generation(*parts, **options) for parts in zip(texts, seeds, limits, strict=True)]


def speak(model, *args, **options) -> list[Generation]:
    spoken = utterances(*args, **options)
    generate(Engine(model), spoken)
    return spoken


def same(ours, theirs, tolerance=1e-6):
    for first, second in zip(ours, theirs, strict=True):
        assert first.stopped == second.stopped
        close(first.waveform, second.waveform, tolerance)
        close(first.alignment, second.alignment, tolerance)


def record_steps(model, monkeypatch) -> list:
    """(frame before (B, K), stop probability (B,)) of every step from now on."""
    steps, step = [], model.decoder.step

    def recording(frame, *args):
        result = step(frame, *args)
        steps.append((frame.clone(), torch.sigmoid(result[1])))
        return result

    monkeypatch.setattr(model.decoder, "step", recording)
    return steps


def alone(model, batch) -> list[Generation]:
    return [speak(model, batch, [row], SEEDS[row : row + 1], LIMITS[row : row + 1])[0] for row in range(3)]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("encoder", ["cbhg", "conv_lstm"])
def test_batch_is_each_utterance_alone(encoder, attention, density, speaker, small_batch):
    model, batch = speaker(encoder, attention, density, cond_dim=11), small_batch()
    same(speak(model, batch), alone(model, batch))


def test_guidance_is_each_utterance_s_own(speaker, small_batch):
    model, batch = speaker(attention="forward", cond_dim=11, stop=-9.0), small_batch()
    plain, spoken = (utterances(batch) for _ in range(2))
    for utterance, guidance in zip(spoken, (0.0, 0.4, 1.0), strict=True):
        utterance.guidance = guidance
    generate(Engine(model), plain)
    generate(Engine(model), spoken)
    for row, (ours, theirs) in enumerate(zip(spoken, plain, strict=True)):
        assert np.array_equal(ours.waveform, theirs.waveform) == (row == 0)
        alone = speak(model, batch, [row], SEEDS[row : row + 1], LIMITS[row : row + 1], guidance=ours.guidance)
        same([ours], alone)


def test_batch_is_each_utterance_alone_in_float32(speaker, small_batch):
    model, batch = speaker(density="compact", stop=-9.0).float(), small_batch()
    same(speak(model, batch), alone(model, batch), 1e-4)


def test_order_of_the_batch_does_not_matter(speaker, small_batch):
    model, batch, order = speaker(density="flow"), small_batch(), [2, 0, 1]
    ours = speak(model, batch)
    theirs = speak(model, batch, order, [SEEDS[row] for row in order], [LIMITS[row] for row in order])
    same(theirs, [ours[row] for row in order])


def test_result_does_not_depend_on_the_global_generator(speaker, small_batch):
    model, batch = speaker(), small_batch()
    torch.manual_seed(1)
    first = speak(model, batch)
    state = torch.get_rng_state()
    same(speak(model, batch), first, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_decide(speaker, small_batch):
    model, batch = speaker(stop=-9.0), small_batch()
    first, other = speak(model, batch), speak(model, batch, seeds=[11, 99, 33])
    same([other[0], other[2]], [first[0], first[2]])
    assert abs(other[1].waveform - first[1].waveform).max() > 1e-3


@pytest.mark.parametrize("density", DENSITIES)
def test_temperature_zero_is_deterministic(density, speaker, small_batch):
    model, batch = speaker(density=density), small_batch()
    same(speak(model, batch, temperature=0.0), speak(model, batch, seeds=[1, 2, 3], temperature=0.0), 0)


def test_temperature_scales_the_noise(speaker, small_batch):
    """First frames of a Gaussian: mean + temperature * std * noise."""
    model, batch = speaker(stop=-9.0), small_batch()
    with torch.no_grad():
        model.scale.fill_(30.0)  # so that nothing is clipped
    zero, half, one = (speak(model, batch, limits=[1] * 3, temperature=t) for t in (0.0, 0.5, 1.0))
    for low, middle, high in zip(zero, half, one, strict=True):
        assert abs(high.waveform - low.waveform).max() > 1e-2
        close(middle.waveform - low.waveform, 0.5 * (high.waveform - low.waveform))


@pytest.mark.parametrize("density", DENSITIES)
def test_every_utterance_has_its_temperature(density, speaker, small_batch):
    model, batch = speaker(density=density), small_batch()
    mixed = utterances(batch)
    mixed[1].temperature = 0.3
    generate(Engine(model), mixed)
    usual, cooler = speak(model, batch), speak(model, batch, temperature=0.3)
    same(mixed, [usual[0], cooler[1], usual[2]])


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_generation_is_what_teacher_forcing_on_it_gives(density, attention, speaker, small_batch, monkeypatch):
    """Frames fed back, noise of each utterance's own generator, stop probabilities: all as `forward` says."""
    model, batch = speaker(attention=attention, density=density, cond_dim=11), small_batch()
    with torch.no_grad():
        model.scale.fill_(1000.0)  # so that nothing is clipped
    steps = record_steps(model, monkeypatch)
    spoken = speak(model, batch, limits=[7] * 3, stop_threshold=1.0)
    # The frames that were fed back: all but the last.
    frames, stops = torch.stack([frame for frame, _ in steps[1:]], 1), torch.stack([stop for _, stop in steps], 1)
    with torch.no_grad():
        output = model(batch.tokens, batch.token_lengths, frames)
    close(torch.sigmoid(output.stop_logits), stops[:, :6])
    waveform = model.to_waveform(frames).clamp(-1, LARGEST_SAMPLE)
    for row, (utterance, seed) in enumerate(zip(spoken, SEEDS, strict=True)):
        assert not utterance.diverged
        close(output.alignment[row, :, : len(utterance.tokens)].numpy(), utterance.alignment[:6])
        close(waveform[row].numpy(), utterance.waveform[: 6 * 16])
        generator = torch.Generator().manual_seed(seed)
        noise = torch.stack([torch.randn(model.density.noise_dim, generator=generator) for _ in range(6)]).double()
        close(model.density.sample(output.cond[row], SamplingOptions(0.7), noise), frames[row])


def test_speaking_builds_no_graph_and_leaves_gradients_on(speaker, small_batch):
    running = RunningBatch(Engine(speaker(stop=-9.0)))
    running.add(utterances(small_batch())[0])
    running.step()
    assert torch.is_grad_enabled()


# Who joins and leaves


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("density", DENSITIES)
def test_joining_later_and_leaving_change_nothing(attention, density, speaker, small_batch):
    """Short texts join long ones and long ones short ones; the seconds' limits end them at different times."""
    model, batch = speaker(attention=attention, density=density, stop=-9.0), small_batch()
    expected, late, running = alone(model, batch), utterances(batch), RunningBatch(Engine(model))
    order = []
    for joining in ([2], [], [1], [0], *[[]] * 20):
        for row in joining:
            running.add(late[row])
        order.append([late.index(utterance) for utterance, _ in running.step()])
    same(late, expected)
    assert order[:5] == [[2], [2], [2, 1], [2, 1, 0], [2, 1, 0]]
    assert order[-1] == []
    assert running.speaking == []


def test_cancelled_utterance_leaves_at_once(speaker, small_batch):
    model, batch = speaker(stop=-9.0), small_batch()
    expected, ours, running = alone(model, batch), utterances(batch), RunningBatch(Engine(model))
    for utterance in ours:
        running.add(utterance)
    running.step()
    ours[0].cancelled = True
    assert [utterance for utterance, _ in running.step()] == ours[1:]
    assert ours[0].ended
    assert len(ours[0].samples) == 1
    while running.step():
        pass
    same(ours[1:], expected[1:])
    last = utterances(batch)[:1]
    running.add(last[0])
    last[0].cancelled = True
    assert running.step() == []
    assert last[0].waveform.shape == (0,)
    assert last[0].alignment.shape == (0, 5)


def test_ended_utterances_cost_nothing(speaker, small_batch, monkeypatch):
    model, sizes = speaker(stop=-9.0), []
    sample = model.density.sample

    def counting(cond, *args):
        sizes.append(len(cond))
        return sample(cond, *args)

    monkeypatch.setattr(model.density, "sample", counting)
    speak(model, small_batch(), limits=[2, 4, 1])
    assert sizes == [3, 2, 1, 1]


# When it ends


def count(utterance: Generation) -> int:
    assert len(utterance.waveform) == 16 * len(utterance.alignment)
    return len(utterance.alignment)


def test_stop_token_ends_at_once(speaker, small_batch):
    spoken = speak(speaker(stop=9.0), small_batch())
    assert [(count(utterance), utterance.stopped) for utterance in spoken] == [(1, True)] * 3


def test_max_frames_end_each_utterance(speaker, small_batch):
    spoken = speak(speaker(stop=-9.0), small_batch())
    assert [count(utterance) for utterance in spoken] == LIMITS
    assert [utterance.alignment.shape for utterance in spoken] == [(7, 5), (4, 8), (9, 3)]
    assert [utterance.stopped for utterance in spoken] == [False] * 3
    assert all(utterance.waveform.dtype == utterance.alignment.dtype == "float32" for utterance in spoken)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_first_stop_above_the_threshold_is_the_last_frame(threshold, speaker, small_batch, monkeypatch):
    model, batch, limit = speaker(density="compact"), small_batch(), 40
    with torch.no_grad():
        model.decoder.stop.weight.mul_(8.0)  # so that the stop probability varies
        model.scale.fill_(1000.0)  # so that nothing is clipped
    steps = record_steps(model, monkeypatch)
    speak(model, batch, limits=[limit] * 3, stop_threshold=1.0)
    probabilities = torch.stack([stop for _, stop in steps], 1)
    spoken = speak(model, batch, limits=[limit] * 3, stop_threshold=threshold)
    for utterance, row in zip(spoken, probabilities, strict=True):
        above = (row > threshold).nonzero()
        assert count(utterance) == (int(above[0]) + 1 if len(above) else limit)
        assert utterance.stopped == (len(above) > 0)
    # The model that this test is about stops at different times.
    assert len(set(map(count, spoken))) > 1 or threshold != 0.5


def test_stop_on_the_last_allowed_frame_counts_as_stopped(speaker, small_batch):
    assert all(utterance.stopped for utterance in speak(speaker(stop=9.0), small_batch(), limits=[1, 1, 1]))


def test_threshold_is_strict(speaker, small_batch):
    model, batch = speaker(stop=0.0), small_batch()  # a probability of exactly 0.5
    assert not any(utterance.stopped for utterance in speak(model, batch, stop_threshold=0.5))
    assert all(utterance.stopped for utterance in speak(model, batch, stop_threshold=0.49))


# What a model that diverges gives


@pytest.mark.parametrize("value", [1e4, float("inf"), float("nan")])
def test_wild_frames_are_clipped_silent_and_told(value, speaker, small_batch, monkeypatch):
    """The first utterance's second and fourth frames are wild; it gets over them."""
    model, batch = speaker(stop=-9.0), small_batch()
    expected = speak(model, batch)
    sample, number = model.density.sample, iter(range(99))

    def wild(*args):
        frame = sample(*args)
        if next(number) in (1, 3):
            frame[0, 3:5] = value
        return frame

    monkeypatch.setattr(model.density, "sample", wild)
    steps = record_steps(model, monkeypatch)
    first, *others = speak(model, batch)
    assert first.diverged
    assert len(first.samples) == 7
    assert [bool(samples.any()) for samples in first.samples[:5]] == [True, False, True, False, True]
    assert all(frame.abs().max() <= (1 + 0.9) * 3.0 for frame, _ in steps)  # pre-emphasis and scale of this model
    assert abs(first.waveform).max() <= 1.0
    assert not any(utterance.diverged for utterance in others)
    same(others, expected[1:])


def test_frames_of_clipped_samples_are_wild(speaker, small_batch, monkeypatch):
    """Each frame could be a waveform's, but not all of them one after the other."""
    model = speaker(stop=-9.0)
    sample = model.density.sample
    monkeypatch.setattr(model.density, "sample", lambda *args: torch.full_like(sample(*args), 3.0))
    for utterance in speak(model, small_batch(), limits=[60] * 3):
        assert utterance.diverged
        assert not utterance.waveform[16:].any()


def test_noise_ends(speaker, small_batch):
    model = speaker(stop=-9.0)
    with torch.no_grad():
        for parameter in model.density.parameters():
            parameter.mul_(50.0)
    for utterance in speak(model, small_batch(), limits=[60] * 3):
        assert utterance.diverged
        assert utterance.wild_frames == MOST_WILD_FRAMES
        assert not utterance.stopped
        assert len(utterance.samples) < 60
        assert np.isfinite(utterance.waveform).all()
        assert np.isfinite(utterance.alignment).all()
