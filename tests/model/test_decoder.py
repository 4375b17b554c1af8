from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wavetts.config import Config, DecoderConfig, GMMAttentionConfig
from wavetts.model.decoder import AttentionDecoder

KINDS = ["location", "dynamic", "gmm", "forward"]
LENGTHS = torch.tensor([5, 9, 2])
MEMORY_DIM, FRAME = 8, 16

every_kind = pytest.mark.parametrize("kind", KINDS)
every_skip = pytest.mark.parametrize("skip", [True, False], ids=["skip", "no_skip"])
every_head = pytest.mark.parametrize("cond_dim", [0, 11], ids=["no_head", "head"])


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.fixture
def decoder(small_model):
    return lambda kind="location", **options: small_model(attention=kind, **options).decoder


@pytest.fixture
def memory():
    torch.manual_seed(3)
    memory = torch.randn(3, 9, MEMORY_DIM, dtype=torch.float64)
    for row, length in zip(memory, LENGTHS.tolist(), strict=True):
        row[length:] = 0
    return memory


@pytest.fixture
def frames():
    torch.manual_seed(5)
    return torch.randn(3, 6, FRAME, dtype=torch.float64)


def step_through(decoder, frames, keys):
    """The recurrence over given frames: cond, stop logits, alignment, stacked over time."""
    state = decoder.init_state(keys)
    outputs = []
    for t in range(frames.shape[1]):
        previous = frames[:, t - 1] if t else torch.zeros_like(frames[:, 0])
        cond, stop_logits, state = decoder.step(previous, keys, state)
        outputs.append((cond, stop_logits, state.attention.weights))
    return [torch.stack(parts, 1) for parts in zip(*outputs, strict=True)]


@every_kind
@every_skip
@every_head
def test_forward_is_step_frame_by_frame(kind, skip, cond_dim, decoder, memory, frames):
    decoder = decoder(kind, skip=skip, cond_dim=cond_dim)
    keys = decoder.attention.prepare(memory, LENGTHS)
    together, stepped = decoder(frames, keys), step_through(decoder, frames, keys)
    assert [tuple(part.shape) for part in together] == [(3, 6, cond_dim or 9), (3, 6), (3, 6, 9)]
    assert decoder.cond_dim == (cond_dim or 9)
    for ours, theirs in zip(together, stepped, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("prenet_dims", [[], [4], [6, 5, 4]], ids=str)
def test_forward_is_step_at_other_depths(num_layers, prenet_dims, decoder, memory, frames):
    options = {"attention_dim": 9} if num_layers == 0 else {}
    decoder = decoder(num_layers=num_layers, prenet_dims=prenet_dims, **options)
    keys = decoder.attention.prepare(memory, LENGTHS)
    for ours, theirs in zip(decoder(frames, keys), step_through(decoder, frames, keys), strict=True):
        close(ours, theirs)


@every_kind
@every_head
def test_forward_is_step_with_the_spectrum(kind, cond_dim, decoder, memory, frames):
    decoder = decoder(kind, spectrum=True, cond_dim=cond_dim)
    keys = decoder.attention.prepare(memory, LENGTHS)
    for ours, theirs in zip(decoder(frames, keys), step_through(decoder, frames, keys), strict=True):
        close(ours, theirs)


def test_spectrum_is_beside_the_samples(decoder, frames):
    decoder = decoder(spectrum=True)
    history = decoder._history(frames)
    assert history.shape == (3, 6, 24)
    close(history[..., :16], frames)
    time = torch.arange(16, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * torch.pi * time / 16)
    for k in range(1, 9):
        turns = torch.exp(-2j * torch.pi * k * time / 16)
        magnitude = ((frames * window).to(turns.dtype) @ turns).abs()
        torch.testing.assert_close(history[..., 15 + k], 0.5 * (magnitude + 0.1).log() - 0.5, rtol=1e-6, atol=1e-6)


@every_kind
def test_forward_and_step_have_the_same_gradients(kind, decoder, memory, frames):
    gradients = []
    for run in (lambda decoder, keys: decoder(frames, keys), lambda decoder, keys: step_through(decoder, frames, keys)):
        model = decoder(kind, cond_dim=11)
        cond, stop_logits, alignment = run(model, model.attention.prepare(memory, LENGTHS))
        (cond.sin().sum() + stop_logits.sin().sum() + alignment.square().sum()).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-8, atol=1e-10)


@every_kind
def test_gradients_under_autocast_are_those_without_but_for_rounding(kind, decoder, memory, frames):
    model = decoder(kind, cond_dim=11).float()
    memory, frames, gradients = memory.float(), frames.float(), []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            cond, *_ = model(frames, model.attention.prepare(memory, LENGTHS))
        cond.float().square().sum().backward()
        weights = model.attention_lstm
        gradients.append(torch.cat([weights.weight_hh.grad.flatten(), weights.weight_ih.grad.flatten()]))
    assert gradients[1].dtype == torch.float32
    assert not torch.equal(*gradients)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


@every_kind
@every_skip
@every_head
def test_a_frame_changes_only_what_comes_after_it(kind, skip, cond_dim, decoder, memory, frames):
    decoder = decoder(kind, skip=skip, cond_dim=cond_dim)
    keys = decoder.attention.prepare(memory, LENGTHS)
    before = decoder(frames, keys)
    for changed in range(6):
        others = frames.clone()
        others[1, changed] += 1.0
        for ours, theirs in zip(before, decoder(others, keys), strict=True):
            difference = (ours - theirs).abs().reshape(3, 6, -1).sum(-1)
            assert (difference[:, : changed + 1] == 0).all()
            assert (difference[1, changed + 1 :] > 0).all()
            assert (difference[[0, 2]] == 0).all()  # and no other utterance


@every_kind
@every_head
def test_batch_is_each_utterance_alone(kind, cond_dim, decoder, memory, frames):
    decoder = decoder(kind, cond_dim=cond_dim)
    together = decoder(frames, decoder.attention.prepare(memory, LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        one = slice(row, row + 1)
        for count in (6, 4):  # frames beyond the end change nothing either
            keys = decoder.attention.prepare(memory[one, :length], LENGTHS[one])
            cond, stop_logits, alignment = decoder(frames[one, :count], keys)
            close(cond, together[0][one, :count])
            close(stop_logits, together[1][one, :count])
            close(alignment, together[2][one, :count, :length])


@every_kind
def test_prior_holds_the_alignment(kind, decoder, memory, frames):
    decoder = decoder(kind)
    keys = decoder.attention.prepare(memory, LENGTHS)
    free, path = decoder(frames, keys), torch.tensor([0, 0, 1, 1, 1, 0])
    prior = torch.nn.functional.one_hot(path, 9).double().expand(3, -1, -1)
    held = decoder(frames, keys, prior)
    close(held[2], prior)
    assert (held[0] - free[0]).abs().amin() > 0
    uniform = decoder(frames, keys, torch.full((3, 6, 9), 0.5, dtype=torch.float64))
    if kind != "gmm":  # whose weights need not sum to 1, and then do
        for ours, theirs in zip(uniform, free, strict=True):
            close(ours, theirs)


@every_skip
@every_head
def test_skip_is_the_only_way_around_the_prenet(skip, cond_dim, decoder, memory, frames):
    decoder = decoder(skip=skip, cond_dim=cond_dim)
    with torch.no_grad():
        decoder.prenet[0].weight.zero_()
    keys = decoder.attention.prepare(memory, LENGTHS)
    difference = (decoder(frames, keys)[0] - decoder(2 * frames, keys)[0]).abs().amax(-1)
    assert (difference[:, 0] == 0).all()  # nothing comes before the first frame
    assert (difference[:, 1:] > 0).all() if skip else (difference == 0).all()


@every_skip
def test_skip_reaches_the_head(skip, decoder, memory, frames):
    decoder = decoder(skip=skip, cond_dim=11)
    with torch.no_grad():
        decoder.prenet[0].weight.zero_()
        decoder.input.weight.zero_()
    keys = decoder.attention.prepare(memory, LENGTHS)
    difference = (decoder(frames, keys)[0] - decoder(2 * frames, keys)[0]).abs().amax(-1)
    assert (difference[:, 1:] > 0).all() if skip else (difference == 0).all()


def test_skip_carries_the_raw_samples(decoder, memory, frames):
    """Through an identity and no LSTM the previous frame arrives unchanged."""
    decoder = decoder(hidden_dim=FRAME, num_layers=0)
    with torch.no_grad():
        decoder.input.weight.zero_()
        decoder.input.bias.zero_()
        decoder.input.weight[:, -FRAME:] = torch.eye(FRAME)
    cond, _, _ = decoder(frames, decoder.attention.prepare(memory, LENGTHS))
    close(cond[:, 1:], frames[:, :-1])
    assert (cond[:, 0] == 0).all()


def test_residual_lstms_start_from_their_input(decoder, memory, frames):
    """LSTMs whose output gates are shut add nothing to the residual path."""
    decoder = decoder()
    keys = decoder.attention.prepare(memory, LENGTHS)
    with torch.no_grad():
        for lstm in decoder.lstms:
            lstm.weight_ih_l0[-9:] = 0
            lstm.weight_hh_l0[-9:] = 0
            lstm.bias_ih_l0[-9:] = -1e4
    shut = decoder(frames, keys)[0]
    decoder.lstms = torch.nn.ModuleList()
    close(shut, decoder(frames, keys)[0])


@every_head
def test_stop_logits_are_linear_in_cond(cond_dim, decoder, memory, frames):
    decoder = decoder(cond_dim=cond_dim)
    cond, stop_logits, _ = decoder(frames, decoder.attention.prepare(memory, LENGTHS))
    close(stop_logits, cond @ decoder.stop.weight[0] + decoder.stop.bias)


def test_first_state_is_zeros(decoder, memory):
    decoder = decoder()
    state = decoder.init_state(decoder.attention.prepare(memory, LENGTHS))
    assert state.context.shape == (3, MEMORY_DIM)
    assert [h.shape for h, _ in state.lstms] == [(3, 9)] * 2
    for part in (state.context, *state.attention_lstm, *(part for pair in state.lstms for part in pair)):
        assert part.dtype == torch.float64 and (part == 0).all()


def test_step_leaves_the_old_state_alone(decoder, memory, frames):
    decoder = decoder()
    keys = decoder.attention.prepare(memory, LENGTHS)
    _, _, state = decoder.step(frames[:, 0], keys, decoder.init_state(keys))
    first = decoder.step(frames[:, 1], keys, state)
    decoder.step(frames[:, 2], keys, first[2])
    again = decoder.step(frames[:, 1], keys, state)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


# Guidance


@every_kind
@every_head
def test_guidance_reads_a_memory_further_from_its_mean(kind, cond_dim, decoder, memory, frames):
    """As if, once attention has chosen, what it chose from were a memory that is stretched away from its mean."""
    decoder = decoder(kind, cond_dim=cond_dim)
    keys = decoder.attention.prepare(memory, LENGTHS)
    _, _, state = decoder.step(frames[:, 0], keys, decoder.init_state(keys))
    means = torch.stack([row[:length].mean(0) for row, length in zip(memory, LENGTHS.tolist(), strict=True)])
    guidance = torch.tensor([[0.5], [0.0], [1.5]], dtype=torch.float64)
    stretched = means[:, None] + (1 + guidance[..., None]) * (memory - means[:, None])
    guided = decoder.step(frames[:, 1], keys, state, guidance)
    plain = decoder.step(frames[:, 1], keys, state)
    if cond_dim:
        # The LSTMs see what attention read.
        taken, decoder._features = (
            decoder._features,
            lambda query, context, history: taken(query, plain[2].context, history),
        )
    expected = decoder.step(frames[:, 1], replace(keys, memory=stretched), state)
    # The mixture's weights sum to less than one: what is missing is not read from the mean either.
    if kind != "gmm":
        close(guided[0], expected[0])
        close(guided[1], expected[1])
    for row, same in enumerate((False, True, False)):
        assert torch.equal(guided[0][row], plain[0][row]) == same
    # What the next frame's attention goes by is what was read.
    assert torch.equal(guided[2].context, plain[2].context)
    assert torch.equal(guided[2].attention.weights, plain[2].attention.weights)


def test_decoder_of_the_paper():
    decoder = AttentionDecoder(Config(attention=GMMAttentionConfig()), memory_dim=256)
    linears = [layer.weight.shape for layer in decoder.prenet if isinstance(layer, torch.nn.Linear)]
    assert linears == [(256, 960), (128, 256)]
    assert [type(layer).__name__ for layer in decoder.prenet] == ["Linear", "Tanh"] * 2  # and no dropout
    assert decoder.input.weight.shape == (512, 512 + 256 + 960)
    assert len(decoder.lstms) == DecoderConfig().num_layers == 4
    assert decoder.head is None and decoder.stop.weight.shape == (1, 512)
