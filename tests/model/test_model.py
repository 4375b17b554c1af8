from __future__ import annotations

import pytest
import torch
from paths import ROOT
from small_models import ATTENTIONS, DENSITIES, ENCODERS

from wavetts.config.load import load_config
from wavetts.corpus.batches import Batch
from wavetts.model.layers import length_mask
from wavetts.model.tacotron import QUANTISATION_STEP, WaveTacotron, deemphasise
from wavetts.training.objective import loss_sums

RECIPES = ROOT / "recipes" / "train"


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


# Waveform and frames


@pytest.mark.parametrize("preemphasis", [0.0, 0.9, 0.97])
def test_to_waveform_undoes_to_frames(preemphasis, small_model, small_batch):
    model, waveform = small_model(audio={"preemphasis": preemphasis}), small_batch().waveform
    frames = model.to_frames(waveform, noise=False)
    assert frames.shape == (3, 6, 16)
    close(model.to_waveform(frames), waveform)
    again = torch.randn(2, 5, 16, dtype=torch.float64)
    close(model.to_frames(model.to_waveform(again), noise=False), again)


def test_to_frames_is_the_scaled_difference(small_model, small_batch):
    model, waveform = small_model(), small_batch().waveform
    frames = model.to_frames(waveform, noise=False).flatten(1)
    for n in range(waveform.shape[1]):
        previous = waveform[:, n - 1] if n else 0.0
        close(frames[:, n], 3.0 * (waveform[:, n] - 0.9 * previous))


def test_to_waveform_in_float32_keeps_16_bits():
    torch.manual_seed(0)
    model = WaveTacotron(load_config(RECIPES / "toy.yaml", ["audio.preemphasis=0.97"]), 5)
    model.scale.fill_(20.0)
    waveform = 0.1 * torch.randn(1, 320 * 50).cumsum(1).sin()
    error = model.to_waveform(model.to_frames(waveform, noise=False)) - waveform
    assert error.abs().max() < QUANTISATION_STEP / 4


def test_part_of_a_frame_is_refused(small_model):
    with pytest.raises(AssertionError, match="whole frames"):
        small_model().to_frames(torch.zeros(1, 17), noise=False)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.97])
@pytest.mark.parametrize("length", [1, 159, 160, 161, 500])
def test_deemphasise_is_the_recursive_loop(coefficient, length):
    torch.manual_seed(length)
    samples, last = torch.randn(2, length, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    expected, x = [], last
    for n in range(length):
        x = samples[:, n] + coefficient * x
        expected.append(x)
    close(deemphasise(samples, coefficient, last), torch.stack(expected, 1))


def test_to_waveform_in_pieces(small_model):
    model, frames = small_model(), torch.randn(2, 30, 16, dtype=torch.float64)
    pieces, last = [], None
    for start, end in [(0, 1), (1, 2), (2, 13), (13, 30)]:
        pieces.append(model.to_waveform(frames[:, start:end], last))
        last = pieces[-1][:, -1]
    close(torch.cat(pieces, 1), model.to_waveform(frames))


def test_dequantisation_noise_is_uniform_on_one_step(small_model):
    model, waveform = small_model(), torch.zeros(4, 16 * 500, dtype=torch.float64)
    torch.manual_seed(0)
    noise = model.to_waveform(model.to_frames(waveform, noise=True)) / QUANTISATION_STEP  # before emphasis and scale
    assert QUANTISATION_STEP == 2**-15
    assert noise.min() > -1e-9 and noise.max() < 1 + 1e-9
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)
    assert noise.var().item() == pytest.approx(1 / 12, rel=0.03)
    assert noise[:, 1:].sub(0.5).mul(noise[:, :-1] - 0.5).mean().abs() < 0.002  # white


def test_dither_is_white_noise_on_the_emphasised_signal(small_model):
    model, waveform = small_model(audio={"dither": 0.05}), torch.zeros(4, 16 * 500, dtype=torch.float64)
    torch.manual_seed(0)
    frames = model.to_frames(waveform, noise=True).flatten(1)
    assert frames.std().item() == pytest.approx(0.05, rel=0.02)  # whatever the scale
    assert (frames[:, 1:] * frames[:, :-1]).mean().abs() < 0.05**2 * 0.03
    assert (model.to_frames(waveform, noise=False) == 0).all()


# The network


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_batch_is_each_utterance_alone(encoder, attention, small_model, small_batch):
    model, batch = small_model(encoder, attention, cond_dim=11), small_batch()
    frames = model.to_frames(batch.waveform, noise=False)
    output = model(batch.tokens, batch.token_lengths, frames)
    assert output.alignment.shape == (3, 6, 8)
    assert (output.alignment.masked_select(~length_mask(batch.token_lengths, 8)[:, None]) == 0).all()
    for row, (size, count) in enumerate(zip((5, 8, 3), (4, 3, 6), strict=True)):
        one = slice(row, row + 1)
        alone = model(batch.tokens[one, :size], batch.token_lengths[one], frames[one, :count])
        close(alone.cond, output.cond[one, :count])
        close(alone.stop_logits, output.stop_logits[one, :count])
        close(alone.alignment, output.alignment[one, :count, :size])


def test_history_is_what_is_fed_back(small_model, small_batch):
    model, batch = small_model(), small_batch()
    frames = model.to_frames(batch.waveform, noise=False)
    history = torch.randn_like(frames)
    args = (batch.tokens, batch.token_lengths)
    close(model(*args, frames, history).cond, model(*args, history).cond)
    assert (model(*args, frames, history).cond - model(*args, frames).cond).abs()[:, 1:].max() > 1e-3


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("density", DENSITIES)
def test_every_parameter_has_a_gradient(encoder, attention, density, small_model, small_batch):
    model, batch = small_model(encoder, attention, density, cond_dim=11), small_batch()
    loss_sums(model, batch, noise=False).loss(13 * 16).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_num_parameters_counts_all(small_model):
    model = small_model("cbhg", "dynamic", "flow")
    counts = model.num_parameters()
    assert set(counts) == {"encoder", "decoder", "density"} and min(counts.values()) > 0
    assert sum(counts.values()) == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("density", DENSITIES)
def test_state_dict_holds_all_that_a_model_needs(density, small_model, small_config, small_batch):
    model, batch = small_model(density=density), small_batch()
    model.density.initialize(torch.randn(50, 16).double(), torch.randn(50, 9 + model.density.past_dim).double())
    state = model.state_dict()
    assert state["scale"].item() == 3.0
    other = WaveTacotron(small_config(density=density), 12).double().eval()
    other.load_state_dict(state)
    close(loss_sums(other, batch, noise=False).frame_nll, loss_sums(model, batch, noise=False).frame_nll)


# The paper's model


@pytest.fixture(scope="module")
def paper_model():
    torch.manual_seed(0)
    return WaveTacotron(load_config(RECIPES / "ljspeech_paper_chars.yaml"), num_symbols=60)


@pytest.mark.slow
def test_paper_model_has_its_size(paper_model, capsys):
    counts = {name: count / 1e6 for name, count in paper_model.num_parameters().items()}
    with capsys.disabled():
        print(f"\npaper model, millions of parameters: {counts}, {sum(counts.values()):.1f} in all")
    assert 3.4 < counts["encoder"] < 3.6
    assert 11.4 < counts["decoder"] < 11.6
    assert 17.4 < counts["density"] < 17.6


@pytest.mark.slow
def test_paper_model_trains_a_step(paper_model):
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(2, 3 * 960)
    batch = Batch(["a", "b"], torch.randint(1, 60, (2, 12)), torch.tensor([12, 12]), waveform, torch.tensor([3, 3]))
    model, optimiser = paper_model.train(), torch.optim.Adam(paper_model.parameters(), lr=3e-4)
    model.scale.fill_(5.0)
    losses = []
    for _ in range(2):
        optimiser.zero_grad()
        torch.manual_seed(1)
        sums = loss_sums(model, batch, model.config.train)
        loss = sums.loss(sums.num_samples)
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
