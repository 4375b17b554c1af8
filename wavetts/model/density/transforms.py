"""Invertible layers of the flows.

`forward(x, cond) -> (z, log_det)` maps data to noise and `inverse(z, cond) -> x` noise to data; `log_det` (N,) is in
nats, summed over all dimensions but the first (see `base.Layer`). `cond` is the context, or a projection of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.model.layers import module_list


def network_precision(values: Tensor, bf16: bool) -> torch.autocast:
    """The autocast context of networks that compute a layer's parameters: float32, or bf16 matrix products."""
    return torch.autocast(values.device.type, torch.bfloat16, enabled=bf16)


def bounded(values: Tensor, bound: float) -> Tensor:
    """`values` mapped into (-bound, bound) with slope 1 at 0; training with unbounded log-scales ends in NaN."""
    return bound * torch.tanh(values / bound)


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer whose output is zero at the start."""
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
        """See `Layer.__call__`."""
        n, length, channels = x.shape
        return x.reshape(n, length // self.factor, self.factor * channels), x.new_zeros(n)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """See `Layer.inverse`."""
        n, length, channels = z.shape
        return z.reshape(n, length * self.factor, channels // self.factor)


class ActNorm(nn.Module):
    """A scale and a shift per channel of (N, J, channels), initialised to normalise data (Kingma and Dhariwal 2018)."""

    initialized: Tensor  # () bool

    def __init__(self, channels: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialized", torch.tensor(False))

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Normalises mean and variance of the channels of `x` (N, J, channels); only the first call has an effect."""
        if self.initialized:
            return
        std, mean = torch.std_mean(x, (0, 1), correction=0)
        # Limits the scale of a constant channel.
        self.log_scale.copy_(-std.clamp(min=1e-3).log())
        self.shift.copy_(-mean * self.log_scale.exp())
        self.initialized.fill_(True)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`."""
        return x * self.log_scale.exp() + self.shift, (self.log_scale.sum() * x.shape[1]).expand(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """See `Layer.inverse`."""
        return (z - self.shift) * torch.exp(-self.log_scale)


class InvertibleConv(nn.Module):
    """An invertible 1x1 convolution over (N, J, channels): one square matrix, initially a random rotation."""

    decays: ClassVar[bool] = False  # weight decay would make the matrix singular

    def __init__(self, channels: int):
        super().__init__()
        # QR of a normal matrix, signs fixed by R's diagonal, is uniform over the rotations and reflections.
        q, r = torch.linalg.qr(torch.randn(channels, channels))
        self.weight = nn.Parameter(q * r.diagonal().sign())

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`."""
        return x @ self.weight, (torch.linalg.slogdet(self.weight).logabsdet * x.shape[1]).expand(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """See `Layer.inverse`."""
        return torch.linalg.solve(self.weight, z, left=False)


class DCT(nn.Module):
    """The orthonormal DCT (type II) of the last dimension of (N, K); its log-determinant is 0."""

    basis: Tensor  # (K, K)

    def __init__(self, length: int):
        super().__init__()
        position = torch.arange(length, dtype=torch.float64) + 0.5
        basis = torch.cos(math.pi / length * torch.outer(position, torch.arange(length))) * math.sqrt(2 / length)
        basis[:, 0] /= math.sqrt(2)
        self.register_buffer("basis", basis.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`; samples (N, K) to coefficients (N, K), low frequencies first."""
        return x @ self.basis, x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """See `Layer.inverse`."""
        return z @ self.basis.T


class Permutation(nn.Module):
    """A fixed permutation of the last dimension of (N, K): output i is input `order[i]`."""

    order: Tensor  # (K,)
    inverse_order: Tensor  # (K,)

    def __init__(self, order: Tensor):
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("inverse_order", torch.argsort(order), persistent=False)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`."""
        return x.index_select(-1, self.order), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        """See `Layer.inverse`."""
        return z.index_select(-1, self.inverse_order)


class ConditionalAffine(nn.Module):
    """An affine map of every value of (N, K), mean and bounded log-scale linear in cond (N, C); initially the identity.

    With `num_cepstra` the log-scales also get a smooth part: a combination of so many cosines over the index of the
    values, warped as the mel scale warps frequency. It adds no degrees of freedom, but it collects the gradients that
    hundreds of log-scales have in common in a few coefficients, so that a spectral envelope is learnt in few steps.
    """

    cosines: Tensor  # (num_cepstra, K)

    def __init__(self, length: int, cond_dim: int, bound: float, num_cepstra: int = 0):
        super().__init__()
        self.bound = bound
        self.linear = zero_linear(cond_dim, 2 * length)
        self.envelope = zero_linear(cond_dim, num_cepstra) if num_cepstra else None
        # As if the values were frequencies up to 8 kHz, at any sample rate: the warping is not critical.
        mel = torch.log1p((torch.arange(length) + 0.5) / length * 8000 / 700) / math.log1p(8000 / 700)
        cosines = torch.cos(math.pi * torch.arange(num_cepstra)[:, None] * mel)
        self.register_buffer("cosines", cosines, persistent=False)

    def _mean_log_scale(self, cond: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.linear(cond).chunk(2, -1)
        if self.envelope is not None:
            log_scale = log_scale + self.envelope(cond) @ self.cosines
        return mean, bounded(log_scale, self.bound)

    def forward(self, x: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`."""
        mean, log_scale = self._mean_log_scale(cond)
        return (x - mean) * torch.exp(-log_scale), -log_scale.sum(-1)

    def inverse(self, z: Tensor, cond: Tensor) -> Tensor:
        """See `Layer.inverse`."""
        mean, log_scale = self._mean_log_scale(cond)
        return z * log_scale.exp() + mean


class AffineCoupling(nn.Module):
    """Scales and shifts one half of the values by a network of the other half, which is kept; initially the identity.

    The halves are separate arguments, which avoids copies. A subclass defines `_shift_scale(kept, cond)`.
    """

    def __init__(self, bound: float):
        super().__init__()
        self.bound = bound

    def _shift_scale(self, kept: Tensor, cond: Any) -> Tensor:
        """Shift and unbounded log-scale, concatenated along the last dimension."""
        raise NotImplementedError

    def forward(self, kept: Tensor, x: Tensor, cond: Any) -> tuple[Tensor, Tensor]:
        """Maps the other half x to its noise and the log-determinants (N,)."""
        shift, log_scale = self._shift_scale(kept, cond).chunk(2, -1)
        log_scale = bounded(log_scale, self.bound)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    def inverse(self, kept: Tensor, z: Tensor, cond: Any) -> Tensor:
        """Maps the noise z of the other half to data."""
        shift, log_scale = self._shift_scale(kept, cond).chunk(2, -1)
        return (z - shift) * torch.exp(-bounded(log_scale, self.bound))


class ConvCoupling(AffineCoupling):
    """An affine coupling of halves (N, J, channels) by three convolutions over J with kernels 3, 1 and 3.

    `cond` is the bias of the first convolution in two parts: one per frame (N, hidden_dim), one per position
    (J, hidden_dim). With `bf16` the convolutions multiply in bfloat16 in training, as in `MLPCoupling`.
    """

    def __init__(self, channels: int, hidden_dim: int, bound: float, bf16: bool = False):
        super().__init__(bound)
        self.bf16 = bf16
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
        # The input has few channels: it is copied and shifted, for one product. The hidden tensors have many: their
        # products are shifted instead. They are most of the flow's memory, so they are changed in place.
        neighbours = torch.cat((padded[:, :-2], kept, padded[:, 2:]), -1).flatten(0, 1)
        bias = (frame_bias[:, None] + position_bias).flatten(0, 1)
        with network_precision(kept, self.bf16 and self.training):
            hidden = F.relu_(torch.addmm(bias, neighbours, self.input.weight.T))
            hidden = F.relu_(self.hidden(hidden))
            parts = self.output(hidden).to(kept.dtype)
        left, centre, right = parts.view(n, length, -1).chunk(3, -1)
        result = centre + self.output_bias
        result[:, 1:] += left[:, :-1]
        result[:, :-1] += right[:, 1:]
        return result


class MLPCoupling(AffineCoupling):
    """An affine coupling of halves (N, length) by a residual network of dense layers; `cond` is (N, hidden_dim).

    With `bf16` the network multiplies in bfloat16 in training, which some CPUs do twice as fast. The layer stays
    invertible, and its log-determinant exact and float32: only shift and scale are rounded.
    """

    def __init__(self, length: int, hidden_dim: int, num_layers: int, bound: float, bf16: bool = False):
        super().__init__(bound)
        self.bf16 = bf16
        self.input = nn.Linear(length, hidden_dim, bias=False)
        self.layers = module_list(nn.Linear(hidden_dim, hidden_dim) for _ in range(num_layers))
        self.output = zero_linear(hidden_dim, 2 * length)

    def network_precision(self, values: Tensor) -> torch.autocast:
        """The autocast context of the network and of the projection of its `cond`."""
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
    """Two couplings over (N, length), each of which changes the half that the other keeps; `cond` is one per coupling.

    Attributes:
        first: changes the second half.
        second: changes the first half.
    """

    first: AffineCoupling
    second: AffineCoupling

    def __call__(self, x: Tensor, cond: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`."""
        left, right = x.chunk(2, -1)
        right, right_log_det = self.first(left, right, cond[0])
        left, left_log_det = self.second(right, left, cond[1])
        return torch.cat((left, right), -1), left_log_det + right_log_det

    def inverse(self, z: Tensor, cond: tuple[Tensor, Tensor]) -> Tensor:
        """See `Layer.inverse`."""
        left, right = z.chunk(2, -1)
        left = self.second.inverse(right, left, cond[1])
        return torch.cat((left, self.first.inverse(left, right, cond[0])), -1)


def alternate(
    permutations: Iterable[Permutation], couplings: Sequence[AffineCoupling], conds: Sequence[Any]
) -> Iterator[tuple[Permutation | CouplingPair, Any]]:
    """Alternates permutations and pairs of couplings, each with its `cond`, as `Compose` takes them.

    Args:
        permutations: P permutations.
        couplings: 2 P couplings.
        conds: the `cond` of each coupling.
    """
    for i, permutation in enumerate(permutations):
        yield permutation, None
        yield CouplingPair(*couplings[2 * i : 2 * i + 2]), tuple(conds[2 * i : 2 * i + 2])
