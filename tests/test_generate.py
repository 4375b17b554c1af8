from __future__ import annotations

import pytest
import torch

from wavetts.generate import generate, generate_frames

ATTENTIONS, DENSITIES = ["location", "dynamic", "gmm"], ["flow", "compact", "gaussian"]
SEEDS, LIMITS = [11, 22, 33], [7, 4, 9]


def close(actual, expected, tolerance=1e-6):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


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


def speak(model, batch, rows=slice(None), seeds=SEEDS, limits=LIMITS, **options):
    lengths = batch.token_lengths[rows]
    return generate(model, batch.tokens[rows, : lengths.max()], lengths, seeds, limits, **options)


def same(ours, theirs, tolerance=1e-6):
    assert ours.stopped == theirs.stopped
    for first, second in zip(ours.waveforms + ours.alignments, theirs.waveforms + theirs.alignments, strict=True):
        close(first, second, tolerance)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("encoder", ["cbhg", "conv_lstm"])
def test_batch_is_each_utterance_alone(encoder, attention, density, speaker, small_batch):
    model, batch = speaker(encoder, attention, density, cond_dim=11), small_batch()
    together = speak(model, batch)
    for row in range(3):
        alone = speak(model, batch, slice(row, row + 1), SEEDS[row : row + 1], LIMITS[row : row + 1])
        close(alone.waveforms[0], together.waveforms[row])
        close(alone.alignments[0], together.alignments[row])
        assert alone.stopped[0] == together.stopped[row]


def test_batch_is_each_utterance_alone_in_float32(speaker, small_batch):
    model, batch = speaker(density="compact", stop=-9.0).float(), small_batch()
    together = speak(model, batch)
    for row in range(3):
        alone = speak(model, batch, slice(row, row + 1), SEEDS[row : row + 1], LIMITS[row : row + 1])
        close(alone.waveforms[0], together.waveforms[row], 1e-4)


def test_order_of_the_batch_does_not_matter(speaker, small_batch):
    model, batch, order = speaker(density="flow"), small_batch(), [2, 0, 1]
    ours = speak(model, batch)
    theirs = speak(model, batch, order, [SEEDS[row] for row in order], [LIMITS[row] for row in order])
    for place, row in enumerate(order):
        close(theirs.waveforms[place], ours.waveforms[row])
        close(theirs.alignments[place], ours.alignments[row])
        assert theirs.stopped[place] == ours.stopped[row]


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
    close(other.waveforms[0], first.waveforms[0])
    close(other.waveforms[2], first.waveforms[2])
    assert (other.waveforms[1] - first.waveforms[1]).abs().max() > 1e-3


@pytest.mark.parametrize("density", DENSITIES)
def test_temperature_zero_is_deterministic(density, speaker, small_batch):
    model, batch = speaker(density=density), small_batch()
    same(speak(model, batch, temperature=0.0), speak(model, batch, seeds=[1, 2, 3], temperature=0.0), 0)


def test_temperature_scales_the_noise(speaker, small_batch):
    """First frames of a Gaussian: mean + temperature * std * noise."""
    model, batch = speaker(stop=-9.0), small_batch()
    zero, half, one = (speak(model, batch, limits=[1] * 3, temperature=t).waveforms for t in (0.0, 0.5, 1.0))
    for row in range(3):
        assert (one[row] - zero[row]).abs().max() > 1e-2
        close(half[row] - zero[row], 0.5 * (one[row] - zero[row]))


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_generation_is_what_teacher_forcing_on_it_gives(density, attention, speaker, small_batch):
    """Frames fed back, noise of each utterance's own generator, stop probabilities: all as `forward` says."""
    model, batch = speaker(attention=attention, density=density, cond_dim=11), small_batch()
    steps = generate_frames(model, batch.tokens, batch.token_lengths, SEEDS, temperature=0.7)
    frames, stops, weights = (torch.stack(parts, 1) for parts in zip(*(next(steps) for _ in range(6)), strict=True))
    with torch.no_grad():
        output = model(batch.tokens, batch.token_lengths, frames)
    close(output.alignment, weights)
    close(torch.sigmoid(output.stop_logits), stops)
    for row, seed in enumerate(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.stack([torch.randn(model.density.noise_dim, generator=generator) for _ in range(6)]).double()
        close(model.density.sample(output.cond[row], 0.7, noise), frames[row])
    whole = speak(model, batch, limits=[6] * 3, stop_threshold=1.0)
    close(torch.stack(whole.waveforms), model.to_waveform(frames).float())
    for row, length in enumerate(batch.token_lengths.tolist()):
        close(whole.alignments[row], weights[row, :, :length])


def test_streaming_builds_no_graph(speaker, small_batch):
    model, batch = speaker(), small_batch()
    steps = generate_frames(model, batch.tokens, batch.token_lengths, SEEDS, temperature=0.7)
    for _ in range(2):
        assert not any(part.requires_grad for part in next(steps))
    assert torch.is_grad_enabled()


# When it ends


def test_stop_token_ends_at_once(speaker, small_batch):
    result = speak(speaker(stop=9.0), small_batch())
    assert [len(waveform) for waveform in result.waveforms] == [16] * 3
    assert result.stopped == [True] * 3


def test_max_frames_end_each_utterance(speaker, small_batch):
    result = speak(speaker(stop=-9.0), small_batch())
    assert [len(waveform) for waveform in result.waveforms] == [16 * limit for limit in LIMITS]
    assert [tuple(alignment.shape) for alignment in result.alignments] == [(7, 5), (4, 8), (9, 3)]
    assert result.stopped == [False] * 3
    assert all(part.dtype == torch.float32 and part.device.type == "cpu" for part in result.waveforms)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_first_stop_above_the_threshold_is_the_last_frame(threshold, speaker, small_batch):
    model, batch, limit = speaker(density="compact"), small_batch(), 40
    with torch.no_grad():
        model.decoder.stop.weight.mul_(8.0)  # so that the stop probability varies
    steps = generate_frames(model, batch.tokens, batch.token_lengths, SEEDS, temperature=0.7)
    stops = torch.stack([next(steps)[1] for _ in range(limit)], 1)
    result = speak(model, batch, limits=[limit] * 3, stop_threshold=threshold)
    for row in range(3):
        above = (stops[row] > threshold).nonzero()
        expected = int(above[0]) + 1 if len(above) else limit
        assert len(result.waveforms[row]) == 16 * expected
        assert len(result.alignments[row]) == expected
        assert result.stopped[row] == (len(above) > 0)
    # The model that this test is about stops at different times.
    assert len({len(waveform) for waveform in result.waveforms}) > 1 or threshold != 0.5


def test_stop_on_the_last_allowed_frame_counts_as_stopped(speaker, small_batch):
    result = speak(speaker(stop=9.0), small_batch(), limits=[1, 1, 1])
    assert result.stopped == [True] * 3


def test_stop_after_the_limit_does_not_count(speaker, small_batch, monkeypatch):
    """The first utterance's stop token comes one frame after its limit, while the others still speak."""
    model, batch = speaker(), small_batch()
    step, frame = model.decoder.step, iter(range(99))

    def scripted(*args):
        cond, stop_logits, state = step(*args)
        return cond, torch.full_like(stop_logits, 9.0 if next(frame) == 3 else -9.0), state

    monkeypatch.setattr(model.decoder, "step", scripted)
    result = speak(model, batch, limits=[3, 4, 9])
    assert result.stopped == [False, True, True]
    assert [len(waveform) // 16 for waveform in result.waveforms] == [3, 4, 4]


def test_threshold_is_strict(speaker, small_batch):
    model, batch = speaker(stop=0.0), small_batch()  # a probability of exactly 0.5
    assert speak(model, batch, stop_threshold=0.5).stopped == [False] * 3
    assert speak(model, batch, stop_threshold=0.49).stopped == [True] * 3


def test_an_utterance_that_has_ended_leaves_the_others_alone(speaker, small_batch):
    model, batch = speaker(stop=-9.0), small_batch()
    long, short = speak(model, batch, limits=[9, 9, 9]), speak(model, batch, limits=[9, 1, 9])
    close(short.waveforms[0], long.waveforms[0])
    close(short.waveforms[2], long.waveforms[2])
    close(short.waveforms[1], long.waveforms[1][:16])


def test_on_frame_counts_who_still_speaks(speaker, small_batch):
    counts = []
    speak(speaker(stop=-9.0), small_batch(), limits=[2, 4, 1], on_frame=counts.append)
    assert counts == [2, 1, 1, 0]
