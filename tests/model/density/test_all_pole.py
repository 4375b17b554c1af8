"""All-pole filters: the recursion, its gradients, stability on extreme input, and that filtering is undone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from wavetts.model.density.all_pole import fast_length, levinson, synthesise, whiten


def autocorrelation(log_power: Tensor, order: int, floor: float = 0.0) -> Tensor:
    """(N, bins) log power on a grid of the half circle to (N, order + 1)."""
    bins = log_power.shape[1]
    angle = math.pi / bins * torch.outer(torch.arange(bins) + 0.5, torch.arange(order + 1))
    result = log_power.exp() @ torch.cos(angle) / bins
    result[:, 0] *= 1 + floor
    return result


def toeplitz(r: Tensor) -> Tensor:
    lag = torch.arange(r.shape[1])
    return r[:, (lag[:, None] - lag).abs()]


@pytest.mark.parametrize("order", [1, 2, 8, 32])
def test_solves_the_normal_equations(order, float64):
    torch.manual_seed(0)
    r = autocorrelation(2 * torch.randn(5, 64), order)
    a, error = levinson(r)
    expected = torch.zeros_like(r)
    expected[:, 0] = error
    torch.testing.assert_close((toeplitz(r) @ a[..., None])[..., 0], expected)
    assert torch.equal(a[:, 0], torch.ones(5))
    assert (error > 0).all()


@pytest.mark.parametrize("order", [1, 2, 7])
def test_gradients(order, float64):
    torch.manual_seed(0)
    log_power = torch.randn(3, 12, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: levinson(autocorrelation(s, order)), (log_power,))
    # And those of a filter that is applied.
    samples = torch.randn(3, order + 5, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda s, x: whiten(x, levinson(autocorrelation(s, order))[0]), (log_power, samples)
    )


def test_gradients_in_float32_are_close_to_those_in_float64():
    torch.manual_seed(0)
    log_power, weight = 3 * torch.randn(200, 64, dtype=torch.float64), torch.randn(200, 33, dtype=torch.float64)
    gradients = []
    for dtype in (torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        s = log_power.to(dtype).detach().clone().requires_grad_()
        a, error = levinson(autocorrelation(s, 32, 3e-4))
        ((a * weight.to(dtype)).sum() + error.log().sum()).backward()
        gradients.append(s.grad.double())
    torch.set_default_dtype(torch.float32)
    assert (gradients[0] - gradients[1]).norm() < 1e-3 * gradients[0].norm()


def spikes() -> Tensor:
    """Log spectra as extreme as the density's bounds allow: flat, one line, one gap, alternating, random."""
    flat = torch.zeros(1, 64)
    lines = torch.full((4, 64), -10.0)
    lines[0, 0] = lines[1, 63] = lines[2, 31] = lines[3, 20:22] = 6.0
    gap = torch.full((1, 64), 6.0)
    gap[0, 10] = -10.0
    comb = torch.where(torch.arange(64) % 2 == 0, 6.0, -10.0)[None]
    return torch.cat([flat, lines, gap, comb, 6 * torch.sign(torch.randn(50, 64))])


def test_filters_are_stable_whatever_the_envelope():
    torch.manual_seed(0)
    a, error = levinson(autocorrelation(spikes(), 32, 3e-4))
    assert a.isfinite().all()
    assert (error > 0).all()
    # The poles of 1 / A: eigenvalues of the companion matrix.
    companion = torch.zeros(len(a), 32, 32, dtype=torch.float64)
    companion[:, 1:, :-1] = torch.eye(31, dtype=torch.float64)
    companion[:, 0] = -a[:, 1:].double()
    assert torch.linalg.eigvals(companion).abs().max() < 1.0
    # What is synthesised from noise dies away after it.
    noise = torch.cat([torch.randn(len(a), 100), torch.zeros(len(a), 20000)], 1)
    with torch.no_grad():
        samples = synthesise(noise[:, :400], a, torch.zeros(len(a), 32))
    assert samples.isfinite().all()


def test_synthesis_undoes_whitening(float64):
    torch.manual_seed(0)
    a, _ = levinson(autocorrelation(torch.randn(4, 64), 8))
    samples = torch.randn(4, 8 + 30)
    residual = whiten(samples, a)
    expected = torch.stack(
        [
            torch.nn.functional.conv1d(x[None, None], f.flip(0)[None, None])[0, 0]
            for x, f in zip(samples, a, strict=True)
        ]
    )
    torch.testing.assert_close(residual, expected)
    torch.testing.assert_close(synthesise(residual, a, samples[:, :8]), samples[:, 8:])


def test_whitening_is_causal(float64):
    torch.manual_seed(0)
    a, _ = levinson(autocorrelation(torch.randn(1, 64), 8))
    samples = torch.randn(1, 8 + 30)
    jacobian = torch.autograd.functional.jacobian(lambda x: whiten(x, a), samples)[0, :, 0, 8:]
    torch.testing.assert_close(jacobian.triu(1), torch.zeros(30, 30))
    torch.testing.assert_close(jacobian.diagonal(), torch.ones(30))


def test_an_autoregressive_process_is_whitened(float64):
    """The filter of a process of two poles is its own, and what is left over is the noise that drove it."""
    torch.manual_seed(0)
    true = torch.tensor([[1.0, -1.6, 0.81]])
    noise = torch.randn(1, 4000)
    samples = synthesise(noise[:, :2000], true, torch.zeros(1, 2))
    spectrum = torch.fft.rfft(samples, 8192).abs().square()
    r = torch.fft.irfft(spectrum)[:, :3]
    a, _ = levinson(r)
    assert (a - true).abs().max() < 0.05
    assert whiten(samples, a).var() < 1.1


@pytest.mark.parametrize(("least", "expected"), [(1, 2), (67, 72), (112, 120), (640, 640), (673, 720)])
def test_fast_lengths(least, expected):
    assert fast_length(least) == expected
