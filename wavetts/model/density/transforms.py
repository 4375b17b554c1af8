"""Invertible layers of the flows.

`forward(x, cond) -> (z, log_det)` goes from data to noise, `inverse(z, cond) -> x` back; `log_det` (N,) is in nats,
summed over everything but the first dimension. `cond` is the decoder's output, or what was projected from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def network_precision(values: Tensor, bf16: bool) -> torch.autocast:
    """The context in which networks that only give a layer its parameters are computed: float32, or bf16 products."""
    return torch.autocast(values.device.type, torch.bfloat16, enabled=bf16)


def bounded(values: Tensor, bound: float) -> Tensor:
    """`values` squashed into (-bound, bound), with unit slope at 0: an unbounded log-scale ends in NaN."""
    return bound * torch.tanh(values / bound)


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Squeeze(nn.Module):
    """Joins neighbouring positions: (N, J * factor, channels) -> (N, J, factor * channels).

    With channels last this moves no memory. A frame (N, K) is squeezed as K positions of one channel.
    """

    def __init__(self, factor: int):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        n, length, channels = x.shape
        return x.reshape(n, length // self.factor, self.factor * channels), x.new_zeros(n)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """Noise to data."""
        n, length, channels = z.shape
        return z.reshape(n, length * self.factor, channels // self.factor)


class ActNorm(nn.Module):
    """A scale and a shift of each channel of (N, J, channels), first set to normalise mean and variance of data."""

    def __init__(self, channels: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialized", torch.tensor(False))

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Normalise the channels of `x` (N, J, channels); only the first call does anything."""
        if self.initialized:
            return
        std, mean = torch.std_mean(x, (0, 1), correction=0)
        # A constant channel must not be blown up.
        self.log_scale.copy_(-std.clamp(min=1e-3).log())
        self.shift.copy_(-mean * self.log_scale.exp())
        self.initialized.fill_(True)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        return x * self.log_scale.exp() + self.shift, (self.log_scale.sum() * x.shape[1]).expand(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """Noise to data."""
        return (z - self.shift) * torch.exp(-self.log_scale)


class InvertibleConv(nn.Module):
    """An invertible convolution of kernel 1 over (N, J, channels): one full matrix, a random rotation at the start."""

    decays: ClassVar[bool] = False  # weight decay would make the matrix singular

    def __init__(self, channels: int):
        super().__init__()
        # QR of a normal matrix, signs fixed by R's diagonal, is uniform over the rotations and reflections.
        q, r = torch.linalg.qr(torch.randn(channels, channels))
        self.weight = nn.Parameter(q * r.diagonal().sign())

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        return x @ self.weight, (torch.linalg.slogdet(self.weight).logabsdet * x.shape[1]).expand(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """Noise to data."""
        return torch.linalg.solve(self.weight, z, left=False)


class DCT(nn.Module):
    """The orthonormal DCT (type II) of the last dimension; volume is preserved."""

    def __init__(self, length: int):
        super().__init__()
        position = torch.arange(length, dtype=torch.float64) + 0.5
        basis = torch.cos(math.pi / length * torch.outer(position, torch.arange(length))) * math.sqrt(2 / length)
        basis[:, 0] /= math.sqrt(2)
        self.register_buffer("basis", basis.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise: (N, K) samples to (N, K) coefficients, low frequencies first."""
        return x @ self.basis, x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """Noise to data."""
        return z @ self.basis.T


class Permutation(nn.Module):
    """A fixed order of the last dimension of (N, K): output i is input `order[i]`."""

    def __init__(self, order: Tensor):
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("inverse_order", torch.argsort(order), persistent=False)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        return x.index_select(-1, self.order), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """Noise to data."""
        return z.index_select(-1, self.inverse_order)


class ConditionalAffine(nn.Module):
    """Mean and bounded log-scale of every value of (N, K), linear in cond (N, C); the identity at the start.

    With `num_cepstra` the log-scales also get a smooth part: that many cosines over the values' index, which is warped
    as the mel scale warps frequency. It adds no freedom, but gradients that hundreds of log-scales have in common come
    together in one coefficient, and a spectral envelope is learnt from few steps.
    """

    def __init__(self, length: int, cond_dim: int, bound: float, num_cepstra: int = 0):
        super().__init__()
        self.bound = bound
        self.linear = _zero_linear(cond_dim, 2 * length)
        self.envelope = _zero_linear(cond_dim, num_cepstra) if num_cepstra else None
        # For 8 kHz, whatever the rate: how the axis bends is not critical.
        mel = torch.log1p((torch.arange(length) + 0.5) / length * 8000 / 700) / math.log1p(8000 / 700)
        cosines = torch.cos(math.pi * torch.arange(num_cepstra)[:, None] * mel)
        self.register_buffer("cosines", cosines, persistent=False)

    def _mean_log_scale(self, cond: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.linear(cond).chunk(2, -1)
        if self.envelope is not None:
            log_scale = log_scale + self.envelope(cond) @ self.cosines
        return mean, bounded(log_scale, self.bound)

    def forward(self, x: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        mean, log_scale = self._mean_log_scale(cond)
        return (x - mean) * torch.exp(-log_scale), -log_scale.sum(-1)

    def inverse(self, z: Tensor, cond: Tensor) -> Tensor:
        """Noise to data."""
        mean, log_scale = self._mean_log_scale(cond)
        return z * log_scale.exp() + mean


class AffineCoupling(nn.Module):
    """Scales and shifts one half of the values by a network of the other half, which is kept.

    The identity at the start. The halves come and go apart: to join and to split them is to copy them. A subclass has
    `_shift_scale(kept, cond)`.
    """

    def __init__(self, bound: float):
        super().__init__()
        self.bound = bound

    def _shift_scale(self, kept: Tensor, cond: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Shift and unbounded log-scale, joined along the last dimension."""
        raise NotImplementedError

    def forward(self, kept: Tensor, x: Tensor, cond: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        shift, log_scale = self._shift_scale(kept, cond).chunk(2, -1)
        log_scale = bounded(log_scale, self.bound)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    def inverse(self, kept: Tensor, z: Tensor, cond: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Noise to data."""
        shift, log_scale = self._shift_scale(kept, cond).chunk(2, -1)
        return (z - shift) * torch.exp(-bounded(log_scale, self.bound))


class ConvCoupling(AffineCoupling):
    """Coupling of halves (N, J, channels) by three convolutions over J, of kernels 3, 1 and 3.

    `cond` is the first convolution's bias in two parts: the frame's (N, hidden_dim), the position's (J, hidden_dim).
    """

    def __init__(self, channels: int, hidden_dim: int, bound: float):
        super().__init__(bound)
        # Kernels of 3 are matrices over the channels of positions j - 1, j and j + 1.
        self.input = nn.Linear(3 * channels, hidden_dim, bias=False)
        self.hidden = nn.Linear(hidden_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, 3 * 2 * channels, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(2 * channels))
        nn.init.zeros_(self.output.weight)

    def _shift_scale(self, kept: Tensor, cond: tuple[Tensor, Tensor]) -> Tensor:
        n, length, _ = kept.shape
        frame_bias, position_bias = cond
        padded = F.pad(kept, (0, 0, 1, 1))
        # Few channels come in: shifted copies of them make one product. Of the many inside, the results are shifted.
        # The hidden tensors are what the flow spends memory on: each is made once and then changed in place.
        neighbours = torch.cat((padded[:, :-2], kept, padded[:, 2:]), -1).flatten(0, 1)
        bias = (frame_bias[:, None] + position_bias).flatten(0, 1)
        hidden = F.relu_(torch.addmm(bias, neighbours, self.input.weight.T))
        hidden = F.relu_(self.hidden(hidden))
        left, centre, right = self.output(hidden).view(n, length, -1).chunk(3, -1)
        result = centre + self.output_bias
        result[:, 1:] += left[:, :-1]
        result[:, :-1] += right[:, 1:]
        return result


class MLPCoupling(AffineCoupling):
    """Coupling of halves (N, length) by a residual network of dense layers; `cond` is (N, hidden_dim).

    With `bf16` the network's products are rounded to bfloat16 in training, which some CPUs multiply twice as fast. The
    layer stays invertible and its log-determinant exact and float32: only the function that gives shift and scale is
    another one by a rounding error.
    """

    def __init__(self, length: int, hidden_dim: int, num_layers: int, bound: float, bf16: bool = False):
        super().__init__(bound)
        self.bf16 = bf16
        self.input = nn.Linear(length, hidden_dim, bias=False)
        self.layers = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(num_layers))
        self.output = _zero_linear(hidden_dim, 2 * length)

    def network_precision(self, values: Tensor) -> torch.autocast:
        """The context in which the network, and what is projected for it, is computed."""
        return network_precision(values, self.bf16 and self.training)

    def _shift_scale(self, kept: Tensor, cond: Tensor) -> Tensor:
        with self.network_precision(kept):
            hidden = F.silu(self.input(kept) + cond)
            for layer in self.layers:
                hidden = hidden + F.silu(layer(hidden))
            shift_scale = self.output(hidden)
        return shift_scale.to(kept.dtype)


@dataclass(frozen=True)
class CouplingPair:
    """Two couplings over (N, length), each of which changes the half that the other keeps; `cond` is a pair of theirs.

    Attributes:
        first: changes the second half.
        second: changes the first half.
    """

    first: AffineCoupling
    second: AffineCoupling

    def __call__(self, x: Tensor, cond: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        left, right = x.chunk(2, -1)
        right, right_log_det = self.first(left, right, cond[0])
        left, left_log_det = self.second(right, left, cond[1])
        return torch.cat((left, right), -1), left_log_det + right_log_det

    def inverse(self, z: Tensor, cond: tuple[Tensor, Tensor]) -> Tensor:
        """Noise to data."""
        left, right = z.chunk(2, -1)
        left = self.second.inverse(right, left, cond[1])
        return torch.cat((left, self.first.inverse(left, right, cond[0])), -1)


def alternate(
    permutations: Iterable[Permutation], couplings: Sequence[AffineCoupling], conds: Sequence[Tensor]
) -> Iterator[tuple[Permutation | CouplingPair, Any]]:
    """Permutations and pairs of couplings in turn, each with what it is conditioned on, as `Compose` takes them.

    Args:
        permutations: P of them.
        couplings: 2 P.
        conds: 2 P, a coupling's each.
    """
    for i, permutation in enumerate(permutations):
        yield permutation, None
        yield CouplingPair(*couplings[2 * i : 2 * i + 2]), tuple(conds[2 * i : 2 * i + 2])
