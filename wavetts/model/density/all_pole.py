"""All-pole filters (linear prediction): from an autocorrelation, over samples, and back.

Markel and Gray, Linear Prediction of Speech, 1976. A filter a = (1, a_1 ... a_p) predicts x[t] by -sum a_k x[t - k];
the residual is e = a * x.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# What is left of a prediction error by one step of the recursion, at least: 1 - k^2 of a reflection coefficient that
# rounding would else put on the unit circle.
_SMALLEST_STEP = 1e-6


def levinson(autocorrelation: Tensor) -> tuple[Tensor, Tensor]:
    """The optimal linear predictor for an autocorrelation, by the Levinson-Durbin recursion.

    The filter's zeros are inside the unit circle if the autocorrelation is positive definite, as that of any positive
    power spectrum is: 1 / A is stable by construction. Gradients are computed from the solution and not through the
    recursion.

    Args:
        autocorrelation: r, (N, p + 1), lags 0..p.

    Returns:
        a, (N, p + 1), a_0 = 1; and the prediction error's power (N,).
    """
    return _Levinson.apply(autocorrelation)


class _Levinson(torch.autograd.Function):
    """d a and d err from R a = err e_0: with da_0 = 0, derr = a' dR a and da = a derr / err - R^-1 dR a."""

    @staticmethod
    def forward(ctx: Any, autocorrelation: Tensor) -> tuple[Tensor, Tensor]:
        # Lags first: a step works on whole rows of memory.
        r = autocorrelation.T.contiguous()
        order, backwards = len(r) - 1, r.flip(0)
        a = torch.zeros_like(r)
        a[0] = 1
        reverse = torch.zeros_like(r)  # a backwards, one step behind
        reverse[1] = 1
        error = r[0].clone()
        for m in range(1, order + 1):
            k = (a[:m] * backwards[order - m : order]).sum(0).div_(error).neg_()
            # Both at once, as each needs the other's old values.
            step = a[: m + 1] * k
            a[: m + 1].addcmul_(reverse[: m + 1], k)
            error.mul_((1 - k.square()).clamp_(min=_SMALLEST_STEP))
            if m < order:
                reverse[: m + 1] += step
                reverse[1 : m + 2] = reverse[: m + 1].clone()
                reverse[0] = 0
        a = a.T.contiguous()
        ctx.save_for_backward(a, error)
        return a, error

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (a, error), (grad_a, grad_error) = ctx.saved_tensors, gradients
        lags, length = a.shape[1], fast_length(2 * a.shape[1] + 1)
        grad_a = torch.cat([torch.zeros_like(grad_a[:, :1]), grad_a[:, 1:]], 1)
        # R^-1 = (L L' - M M') / err, of the lower triangular Toeplitz matrices of a and of (0, a_p ... a_1) (Gohberg
        # and Semencul 1972): products with these are convolutions and correlations.
        spectrum, grad = torch.fft.rfft(a, length), torch.fft.rfft(grad_a, length)
        turn = torch.exp(-2j * torch.pi * lags / length * torch.arange(spectrum.shape[1], device=a.device)).to(spectrum)
        mirrored = spectrum.conj() * turn
        left = torch.fft.irfft(spectrum.conj() * grad, length)[:, :lags]
        right = torch.fft.irfft(mirrored.conj() * grad, length)[:, :lags]
        solved = spectrum * torch.fft.rfft(left, length) - mirrored * torch.fft.rfft(right, length)
        solved = torch.fft.irfft(solved, length)[:, :lags] / error[:, None]
        scale = grad_error + (grad_a * a).sum(1) / error
        outer = torch.fft.rfft(scale[:, None] * a - solved, length)
        # Sums over the diagonals i - j = k and -k of the outer product with a.
        sums = torch.fft.irfft(outer.conj() * spectrum, length)
        result = sums[:, :lags].clone()
        result[:, 1:] += sums[:, length - lags + 1 :].flip(1)
        return result


def whiten(samples: Tensor, a: Tensor) -> Tensor:
    """The residual e = a * x of the last L of p + L samples.

    Args:
        samples: x, (N, p + L).
        a: (N, p + 1).

    Returns:
        (N, L), of the last L samples.
    """
    # A circular convolution: only the first p samples are affected by the wrap-around.
    length, order = fast_length(samples.shape[1]), a.shape[1] - 1
    spectrum = torch.fft.rfft(samples, length) * torch.fft.rfft(a, length)
    return torch.fft.irfft(spectrum, length)[:, order : samples.shape[1]]


def synthesise(residual: Tensor, a: Tensor, past: Tensor) -> Tensor:
    """The samples whose residual is `residual`: the inverse of `whiten`.

    Args:
        residual: e, (N, L).
        a: (N, p + 1).
        past: (N, p), the samples before.

    Returns:
        (N, L).
    """
    length, order = residual.shape[1], a.shape[1] - 1
    lag = torch.arange(length, device=a.device)[:, None] - torch.arange(-order, length, device=a.device)
    # Row t has a backwards, so that it ends at column p + t; where there is no lag, a zero.
    lag = torch.where((lag >= 0) & (lag <= order), lag, order + 1)
    matrix = F.pad(a, (0, 1))[:, lag]
    driven = residual - (matrix[..., :order] @ past[..., None])[..., 0]
    square = matrix[..., order:]
    return torch.linalg.solve_triangular(square, driven[..., None], upper=False, unitriangular=True)[..., 0]


def fast_length(least: int) -> int:
    """The smallest even number >= `least` without prime factors above 5, a length for a fast Fourier transform."""
    length = least + least % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2
