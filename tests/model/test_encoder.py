from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from wavetts.config import CBHGConfig, ConvLSTMConfig
from wavetts.model.encoder import CBHG, ConvLSTM, build_encoder
from wavetts.model.layers import Highway, MaskedConv, PackedBatchNorm, length_mask, run_packed, valid_index

KINDS = ["cbhg", "conv_lstm"]
LENGTHS = torch.tensor([5, 8, 1, 3])


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def padded(*shape):
    """Random rows with random values in the padding too."""
    torch.manual_seed(2)
    return torch.randn(len(LENGTHS), 8, *shape, dtype=torch.float64)


# Layers


def test_length_mask():
    expected = [[True, True, False], [False, False, False], [True, True, True]]
    assert length_mask(torch.tensor([2, 0, 3]), 3).tolist() == expected


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 16])
def test_masked_conv_sees_zeros_beyond_the_end(kernel_size):
    conv, x = MaskedConv(3, 4, kernel_size).double(), padded(3)
    y = conv(x, length_mask(LENGTHS, 8))
    assert y.shape == (4, 8, 4)
    for row, length in enumerate(LENGTHS.tolist()):
        close(y[row, :length], conv(x[row : row + 1, :length], torch.ones(1, length, dtype=torch.bool))[0])


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_masked_conv_is_the_plain_sum(kernel_size):
    conv, x = MaskedConv(3, 2, kernel_size).double(), padded(3)[:1]
    y = conv(x, torch.ones(1, 8, dtype=torch.bool))[0]
    for i in range(8):
        expected = conv.conv.bias.clone()
        for k in range(kernel_size):
            j = i + k - (kernel_size - 1) // 2  # an even kernel looks one further ahead than back
            if 0 <= j < 8:
                expected = expected + conv.conv.weight[:, :, k] @ x[0, j]
        close(y[i], expected)


@pytest.mark.parametrize("training", [True, False])
def test_packed_batch_norm_sees_valid_positions_alone(training):
    x, mask = padded(3), length_mask(LENGTHS, 8)
    packed, plain = PackedBatchNorm(3).double().train(training), torch.nn.BatchNorm1d(3).double().train(training)
    for _ in range(2):
        y = packed(x, valid_index(LENGTHS, 8))
        close(y[mask], plain(torch.cat([row[:length] for row, length in zip(x, LENGTHS.tolist(), strict=True)])))
        assert (y[~mask] == 0).all()
        close(packed.norm.running_mean, plain.running_mean)
        close(packed.norm.running_var, plain.running_var)


def test_packed_batch_norm_normalises_the_valid_positions():
    mask = length_mask(LENGTHS, 8)
    y = PackedBatchNorm(3).double()(5 + 3 * padded(3), valid_index(LENGTHS, 8))[mask]
    torch.testing.assert_close(y.mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-8)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(3, dtype=torch.float64), rtol=1e-4, atol=0)


def test_highway_mixes_by_its_gate():
    highway, x = Highway(4).double(), padded(4)
    gate = 1 / (1 + torch.exp(-(x @ highway.gate.weight.T + highway.gate.bias)))
    close(highway(x), gate * (x @ highway.layer.weight.T + highway.layer.bias).clamp_min(0) + (1 - gate) * x)
    assert (highway.gate.bias == -1).all()  # mostly closed at the start
    with torch.no_grad():
        highway.gate.bias.fill_(-1e3)
    close(highway(x), x)


@pytest.mark.parametrize("kind", [torch.nn.GRU, torch.nn.LSTM])
def test_run_packed_is_each_row_alone(kind):
    rnn, x = kind(3, 2, batch_first=True, bidirectional=True).double(), padded(3)
    y = run_packed(rnn, x, LENGTHS)
    assert y.shape == (4, 8, 4)
    for row, length in enumerate(LENGTHS.tolist()):
        close(y[row, :length], rnn(x[row : row + 1, :length])[0][0])
        assert (y[row, length:] == 0).all()


# Encoders


@pytest.fixture
def encoder(small_model):
    return lambda kind: small_model(encoder=kind).encoder


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_each_utterance_alone(kind, encoder, small_batch):
    encoder, batch = encoder(kind), small_batch()
    memory = encoder(batch.tokens, batch.token_lengths)
    assert memory.shape == (3, 8, encoder.memory_dim)
    for row, length in enumerate(batch.token_lengths.tolist()):
        close(memory[row, :length], encoder(batch.tokens[row : row + 1, :length], torch.tensor([length]))[0])
        assert (memory[row, length:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing_in_training(kind, encoder, small_batch):
    batch = small_batch()
    memories, states, gradients = [], [], []
    for extra in (0, 7):
        model = encoder(kind).train()
        memory = model(F.pad(batch.tokens, (0, extra)), batch.token_lengths)
        memory.square().sum().backward()
        memories.append(memory[:, :8])
        states.append(model.state_dict())
        gradients.append([parameter.grad for parameter in model.parameters()])
        assert (memory[:, 8:] == 0).all()
    close(*memories)
    for name in states[0]:
        close(states[0][name], states[1][name])  # the running statistics among them
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-8)


def test_conv_lstm_in_training_is_each_utterance_alone(encoder, small_batch):
    encoder, batch = encoder("conv_lstm").train(), small_batch()
    memory = encoder(batch.tokens, batch.token_lengths)
    for row, length in enumerate(batch.token_lengths.tolist()):
        close(memory[row, :length], encoder(batch.tokens[row : row + 1, :length], torch.tensor([length]))[0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_is_not_read(kind, encoder, small_batch):
    encoder, batch = encoder(kind), small_batch()
    noise = batch.tokens.masked_fill(~length_mask(batch.token_lengths, 8), 11)
    close(encoder(noise, batch.token_lengths), encoder(batch.tokens, batch.token_lengths))


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_reaches_every_position(kind, encoder, small_batch):
    encoder, batch = encoder(kind), small_batch()
    memory = encoder(batch.tokens, batch.token_lengths)
    for changed in range(5):
        tokens = batch.tokens.clone()
        tokens[0, changed] = tokens[0, changed] % 11 + 1
        difference = (encoder(tokens, batch.token_lengths) - memory).abs().sum(-1)
        assert (difference[0, :5] > 0).all()
        assert (difference[1:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_in_training_alone(kind, encoder, small_batch):
    encoder, batch = encoder(kind), small_batch()
    encoder.dropout = 0.5
    run = lambda: encoder(batch.tokens, batch.token_lengths)  # noqa: E731
    assert torch.equal(run(), run())
    encoder.train()
    assert not torch.equal(run(), run())


@pytest.mark.parametrize(("config", "kind"), [(CBHGConfig(), CBHG), (ConvLSTMConfig(), ConvLSTM)])
def test_build_encoder_reads_its_config(config, kind):
    encoder = build_encoder(config, 40)
    assert type(encoder) is kind
    assert encoder.dropout == config.dropout
    assert encoder.embedding.weight.shape[0] == 40
    assert (encoder.embedding.weight[0] == 0).all()  # padding
    tokens = torch.randint(1, 40, (2, 6))
    assert encoder(tokens, torch.tensor([6, 4])).shape == (2, 6, encoder.memory_dim)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_symbol_is_not_trained(kind, encoder, small_batch):
    encoder, batch = encoder(kind), small_batch()
    encoder(batch.tokens, batch.token_lengths).square().sum().backward()
    gradient = encoder.embedding.weight.grad.abs().sum(-1)
    assert gradient[0] == 0
    used = batch.tokens.unique()
    assert (gradient[used[used > 0]] > 0).all()


# CBHG as the Tacotron paper has it


def test_cbhg_of_the_paper_has_tacotrons_shapes():
    encoder = CBHG(CBHGConfig(), 40)
    shapes = {name: tuple(parameter.shape) for name, parameter in encoder.named_parameters()}
    assert shapes["embedding.weight"] == (40, 256)
    assert [shapes[f"prenet.{i}.weight"] for i in range(2)] == [(256, 256), (128, 256)]
    assert [shapes[f"bank.{i}.conv.weight"] for i in range(16)] == [(128, 128, k) for k in range(1, 17)]
    assert [shapes[f"projections.{i}.conv.weight"] for i in range(2)] == [(128, 2048, 3), (128, 128, 3)]
    assert [shapes[f"highways.{i}.layer.weight"] for i in range(4)] == [(128, 128)] * 4
    assert shapes["gru.weight_ih_l0"] == shapes["gru.weight_ih_l0_reverse"] == (384, 128)
    assert encoder.memory_dim == 256
    assert not any(name.startswith(("prenet.2", "bank.16", "highways.4", "gru.weight_ih_l1")) for name in shapes)


def test_cbhg_is_tacotrons_formula(encoder):
    """Against plain torch layers, one utterance; the max-pool's left edge sees only itself."""
    model = encoder("cbhg")
    for norm in (model.bank_norm, *model.projection_norms):
        norm.norm.running_mean.normal_()
        norm.norm.running_var.uniform_(0.5, 2.0)
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9, 2]])

    def conv(layer, x):
        kernel = layer.weight.shape[-1]
        return F.conv1d(F.pad(x, ((kernel - 1) // 2, kernel // 2)), layer.weight, layer.bias)

    residual = model.embedding.weight[tokens]
    for layer in model.prenet:
        residual = (residual @ layer.weight.T + layer.bias).relu()
    x = residual.transpose(1, 2)
    x = model.bank_norm.norm(torch.cat([conv(layer.conv, x).relu() for layer in model.bank], dim=1))
    x = torch.cat([x[..., :1], torch.stack([x[..., 1:], x[..., :-1]]).amax(0)], dim=-1)
    x = model.projection_norms[0].norm(conv(model.projections[0].conv, x).relu())
    x = model.projection_norms[1].norm(conv(model.projections[1].conv, x))  # the last one is linear
    x = model.highway_input(x.transpose(1, 2) + residual)
    for highway in model.highways:
        x = highway(x)
    close(model(tokens, torch.tensor([7])), model.gru(x)[0])
