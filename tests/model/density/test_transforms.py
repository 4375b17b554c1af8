"""Every layer: inverse and log-det against autograd in float64; bounds; ActNorm's initialisation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wavetts.model.density.transforms import (
    DCT,
    ActNorm,
    ConditionalAffine,
    ConvCoupling,
    InvertibleConv,
    MLPCoupling,
    Permutation,
    Squeeze,
)

N, J, CHANNELS, HIDDEN, C = 3, 4, 6, 8, 5


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def perturb(module: nn.Module, std: float = 0.3) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return module


def check(forward, inverse, x: torch.Tensor) -> None:
    """`forward` of one sample at a time has the Jacobian that `log_det` claims, and `inverse` undoes it."""
    z, log_det = forward(x, slice(None))
    assert log_det.shape == (len(x),)
    torch.testing.assert_close(inverse(z, slice(None)), x)
    for n in range(len(x)):
        one = slice(n, n + 1)
        jacobian = torch.autograd.functional.jacobian(lambda value, one=one: forward(value, one)[0], x[one])
        size = x[n].numel()
        expected = torch.linalg.slogdet(jacobian.reshape(size, size)).logabsdet
        torch.testing.assert_close(log_det[n], expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("make", [lambda: ActNorm(CHANNELS), lambda: InvertibleConv(CHANNELS), lambda: Squeeze(2)])
def test_layer_over_positions(make):
    layer = perturb(make())
    check(lambda x, _: layer(x), lambda z, _: layer.inverse(z), torch.randn(N, J, CHANNELS))


@pytest.mark.parametrize("make", [lambda: DCT(7), lambda: DCT(8), lambda: Permutation(torch.randperm(8))])
def test_layer_over_frames(make):
    layer = make()
    length = layer.basis.shape[0] if isinstance(layer, DCT) else 8
    check(lambda x, _: layer(x), lambda z, _: layer.inverse(z), torch.randn(N, length))


@pytest.mark.parametrize("num_cepstra", [0, 1, 4])
def test_conditional_affine(num_cepstra):
    layer, cond = perturb(ConditionalAffine(6, C, 2.0, num_cepstra)), torch.randn(N, C)
    check(lambda x, n: layer(x, cond[n]), lambda z, n: layer.inverse(z, cond[n]), torch.randn(N, 6))


def test_cepstra_are_smooth_parts_of_the_log_scales():
    layer, cond = ConditionalAffine(640, C, 6.0, 3), torch.randn(N, C)
    with torch.no_grad():
        layer.envelope.weight[0], layer.envelope.weight[1] = 0.1, 0.2
    _, log_scale = layer._mean_log_scale(cond)
    level, tilt = 0.1 * cond.sum(-1), 0.2 * cond.sum(-1)
    # The first cosine is the level, the second falls from the lowest frequency to the highest.
    for value, sign in ((log_scale[:, 0], 1), (log_scale[:, -1], -1)):
        torch.testing.assert_close(value, 6 * torch.tanh((level + sign * tilt) / 6), atol=0.01, rtol=0.01)


def test_conv_coupling():
    layer, kept = perturb(ConvCoupling(3, HIDDEN, 2.0)), torch.randn(N, J, 3)
    frame, position = torch.randn(N, HIDDEN), torch.randn(J, HIDDEN)
    check(
        lambda x, n: layer(kept[n], x, (frame[n], position)),
        lambda z, n: layer.inverse(kept[n], z, (frame[n], position)),
        torch.randn(N, J, 3),
    )


def test_mlp_coupling():
    layer, kept, cond = perturb(MLPCoupling(4, HIDDEN, 2, 2.0)), torch.randn(N, 4), torch.randn(N, HIDDEN)
    check(lambda x, n: layer(kept[n], x, cond[n]), lambda z, n: layer.inverse(kept[n], z, cond[n]), torch.randn(N, 4))


def test_conv_coupling_is_three_convolutions():
    layer, kept = perturb(ConvCoupling(3, HIDDEN, 2.0)), torch.randn(N, J, 3)
    frame, position = torch.randn(N, HIDDEN), torch.randn(J, HIDDEN)
    # Both matrices hold the positions j - 1, j, j + 1 one after the other.
    first = layer.input.weight.view(HIDDEN, 3, 3).transpose(1, 2)
    last = layer.output.weight.view(3, 6, HIDDEN).permute(1, 2, 0)
    hidden = torch.conv1d(kept.mT, first, padding=1) + frame[..., None] + position.T
    hidden = layer.hidden(hidden.relu().mT).relu().mT
    shift, raw = torch.conv1d(hidden, last, layer.output_bias, padding=1).mT.chunk(2, -1)
    x = torch.randn(N, J, 3)
    z, log_det = layer(kept, x, (frame, position))
    log_scale = 2 * torch.tanh(raw / 2)
    torch.testing.assert_close(z, x * log_scale.exp() + shift)
    torch.testing.assert_close(log_det, log_scale.sum((1, 2)))


def test_squeeze_keeps_the_order_of_samples():
    frame = torch.arange(12.0)[None, :, None]
    squeezed, _ = Squeeze(3)(frame)
    assert squeezed.shape == (1, 4, 3)
    assert squeezed[0, 1].tolist() == [3, 4, 5]
    assert Squeeze(2)(squeezed)[0][0, 1].tolist() == [6, 7, 8, 9, 10, 11]


def test_dct_is_orthonormal_and_starts_with_the_mean():
    layer = DCT(16)
    torch.testing.assert_close(layer.basis.T @ layer.basis, torch.eye(16))
    coefficients, _ = layer(torch.ones(1, 16))
    torch.testing.assert_close(coefficients, torch.eye(16)[:1] * 4)


def test_invertible_conv_starts_as_a_rotation():
    weight = InvertibleConv(20).weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(20))


def test_couplings_start_as_the_identity():
    x, kept = torch.randn(N, J, 3), torch.randn(N, J, 3)
    z, log_det = ConvCoupling(3, HIDDEN, 2.0)(kept, x, (torch.randn(N, HIDDEN), torch.randn(J, HIDDEN)))
    assert torch.equal(z, x)
    assert not log_det.any()
    z, log_det = MLPCoupling(3, HIDDEN, 1, 2.0)(kept[:, 0], x[:, 0], torch.randn(N, HIDDEN))
    assert torch.equal(z, x[:, 0])
    assert not log_det.any()


def test_log_scales_are_bounded():
    for size in (1e3, 1e30):
        affine, cond = perturb(ConditionalAffine(6, C, 6.0, 2)), size * torch.randn(N, C)
        assert affine(torch.randn(N, 6), cond)[1].abs().max() <= 6 * 6
        conv, zero = perturb(ConvCoupling(3, HIDDEN, 2.0)), torch.zeros(N, J, 3)
        extreme = (size * torch.randn(N, HIDDEN), torch.randn(J, HIDDEN))
        assert conv(zero, zero, extreme)[1].abs().max() <= 2 * 3 * J
        mlp = perturb(MLPCoupling(3, HIDDEN, 1, 2.0))
        assert mlp(zero[:, 0], zero[:, 0], extreme[0])[1].abs().max() <= 2 * 3


def test_actnorm_initialises_once_and_remembers():
    actnorm, x = ActNorm(CHANNELS), 3 * torch.randn(50, J, CHANNELS) + 2
    actnorm.initialize(x)
    z, _ = actnorm(x)
    torch.testing.assert_close(z.mean((0, 1)), torch.zeros(CHANNELS))
    torch.testing.assert_close(z.std((0, 1), correction=0), torch.ones(CHANNELS))
    restored = ActNorm(CHANNELS)
    restored.load_state_dict(actnorm.state_dict())
    for module in (actnorm, restored):
        module.initialize(100 * x)
        assert torch.equal(module(x)[0], z)


def test_actnorm_takes_silence():
    actnorm = ActNorm(CHANNELS)
    actnorm.initialize(torch.zeros(5, J, CHANNELS))
    z, log_det = actnorm(torch.zeros(5, J, CHANNELS))
    assert not z.any()
    assert log_det.isfinite().all()
