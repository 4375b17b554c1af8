"""Small building blocks of the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def module_list(modules: Iterable[M]) -> Sequence[M]:
    """An `nn.ModuleList`, typed by its items: type checkers know those of torch's class as plain modules only."""
    return cast("Sequence[M]", nn.ModuleList(modules))


def length_mask(lengths: Tensor, size: int, device: torch.device | None = None) -> Tensor:
    """The mask (B, size) that is True at the first `lengths[b]` positions of each row, on `device` or the lengths'."""
    lengths = lengths.to(device or lengths.device, non_blocking=True)
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def valid_index(lengths: Tensor, size: int) -> Tensor:
    """Flat indices (N,) of the valid positions of (B, size) rows, row after row, on the CPU.

    Indexing a GPU's tensor with a mask waits for the GPU to count it; with indices made from lengths that are still on
    the CPU nothing waits.
    """
    return length_mask(lengths.cpu(), size).flatten().nonzero()[:, 0]


class MaskedConv(nn.Module):
    """A 1-D convolution that keeps the length; beyond the end of each row it reads zeros, not the padding's values."""

    def __init__(self, in_dim: int, out_dim: int, kernel_size: int) -> None:
        """Creates the convolution; a kernel of even size covers one more position after than before the current one."""
        super().__init__()
        self.padding = ((kernel_size - 1) // 2, kernel_size // 2)
        self.conv = nn.Conv1d(in_dim, out_dim, kernel_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Maps x (B, I, in_dim) and mask (B, I) to (B, I, out_dim)."""
        x = x.masked_fill(~mask[..., None], 0.0).transpose(1, 2)
        return self.conv(F.pad(x, self.padding)).transpose(1, 2)


class PackedBatchNorm(nn.Module):
    """Batch normalisation with statistics over the valid positions alone.

    In training the statistics are those of one micro-batch of one process. No other layer makes the loss depend on how
    a batch is split.
    """

    def __init__(self, dim: int) -> None:
        """Creates the normalisation of `dim` channels."""
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """Maps x (B, I, dim), with the valid positions' flat indices (N,), to (B, I, dim), zero at padding."""
        packed = self.norm(x.flatten(0, 1)[index]).to(x.dtype)
        return torch.zeros_like(x).flatten(0, 1).index_copy(0, index, packed).view_as(x)


class Highway(nn.Module):
    """A highway layer (Srivastava et al. 2015): a gate in [0, 1] interpolates between a ReLU layer and its input."""

    def __init__(self, dim: int) -> None:
        """Creates the layer; the gate starts mostly closed, as in the paper."""
        super().__init__()
        self.layer = nn.Linear(dim, dim)
        self.gate = nn.Linear(dim, dim)
        nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., dim) to (..., dim)."""
        gate = torch.sigmoid(self.gate(x))
        return gate * F.relu(self.layer(x)) + (1 - gate) * x


def run_packed(rnn: nn.RNNBase, x: Tensor, lengths: Tensor) -> Tensor:
    """Runs a recurrent network, also a bidirectional one, over rows of different lengths.

    Args:
        rnn: a batch-first LSTM or GRU.
        x: (B, I, D).
        lengths: (B,), number of valid positions in each row, at least 1.

    Returns:
        (B, I, out), zero at padding.
    """
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=x.shape[1])[0]
