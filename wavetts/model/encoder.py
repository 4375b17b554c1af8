"""Text encoders: tokens (B, I) to memory (B, I, E)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import CBHGConfig, ConvLSTMConfig, EncoderConfig
from wavetts.model.layers import Highway, MaskedConv, PackedBatchNorm, length_mask, run_packed, valid_index


class CBHG(nn.Module):
    """Tacotron's encoder: pre-net, conv bank, projections, highway, GRU (Wang et al. 2017, sections 3.1-3.2).

    Batch normalisation in training uses the statistics of one micro-batch of one process, so that a training step
    depends slightly on `train.accumulate` and on the number of processes. Evaluation uses running statistics.
    """

    def __init__(self, config: CBHGConfig, num_symbols: int) -> None:
        """Creates the encoder for `num_symbols` symbols, of which 0 is padding."""
        super().__init__()
        dim, width = config.hidden_dim, config.prenet_dims[-1]
        self.memory_dim = 2 * dim
        self.dropout = config.dropout
        self.embedding = nn.Embedding(num_symbols, config.embedding_dim, padding_idx=0)
        dims = [config.embedding_dim, *config.prenet_dims]
        self.prenet = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(dims))
        self.bank = nn.ModuleList(MaskedConv(width, dim, size) for size in range(1, config.bank_size + 1))
        self.bank_norm = PackedBatchNorm(dim * config.bank_size)
        self.projections = nn.ModuleList([MaskedConv(dim * config.bank_size, dim, 3), MaskedConv(dim, width, 3)])
        self.projection_norms = nn.ModuleList([PackedBatchNorm(dim), PackedBatchNorm(width)])
        self.highway_input = nn.Linear(width, dim)
        self.highways = nn.ModuleList(Highway(dim) for _ in range(config.num_highway))
        self.gru = nn.GRU(dim, dim, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor, token_lengths: Tensor) -> Tensor:
        """Maps tokens (B, I) of lengths (B,) to memory (B, I, E), zero at padding."""
        mask = length_mask(token_lengths, tokens.shape[1], tokens.device)
        index = valid_index(token_lengths, tokens.shape[1]).to(tokens.device, non_blocking=True)
        residual = self.embedding(tokens)
        for layer in self.prenet:
            residual = F.dropout(F.relu(layer(residual)), self.dropout, self.training)
        x = self.bank_norm(torch.cat([F.relu(conv(residual, mask)) for conv in self.bank], dim=-1), index)
        # Max pooling of width 2 and stride 1 over this position and the previous one.
        x = torch.maximum(x, F.pad(x[:, :-1], (0, 0, 1, 0), value=-torch.inf))
        x = self.projection_norms[0](F.relu(self.projections[0](x, mask)), index)
        x = self.projection_norms[1](self.projections[1](x, mask), index)
        x = self.highway_input(x + residual)
        for highway in self.highways:
            x = highway(x)
        return run_packed(self.gru, x, token_lengths)


class ConvLSTM(nn.Module):
    """Embedding, convolutions with layer norm, bidirectional LSTM (after Tacotron 2)."""

    def __init__(self, config: ConvLSTMConfig, num_symbols: int) -> None:
        """Creates the encoder for `num_symbols` symbols, of which 0 is padding."""
        super().__init__()
        dim = config.hidden_dim
        self.memory_dim = dim
        self.dropout = config.dropout
        self.embedding = nn.Embedding(num_symbols, dim, padding_idx=0)
        self.convs = nn.ModuleList(MaskedConv(dim, dim, config.kernel_size) for _ in range(config.num_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(config.num_layers))
        self.lstm = nn.LSTM(dim, dim // 2, batch_first=True, bidirectional=True)
        self.memory_norm = nn.LayerNorm(dim) if config.memory_norm else None

    def forward(self, tokens: Tensor, token_lengths: Tensor) -> Tensor:
        """Maps tokens (B, I) of lengths (B,) to memory (B, I, E), zero at padding."""
        mask = length_mask(token_lengths, tokens.shape[1], tokens.device)
        x = self.embedding(tokens)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + F.dropout(F.relu(norm(conv(x, mask))), self.dropout, self.training)
        memory = run_packed(self.lstm, x, token_lengths)
        return memory if self.memory_norm is None else self.memory_norm(memory) * mask[..., None]


def build_encoder(config: EncoderConfig, num_symbols: int) -> CBHG | ConvLSTM:
    """Builds the encoder that `config.kind` names, for `num_symbols` symbols; its `memory_dim` is E."""
    kinds: dict[str, Callable[..., CBHG | ConvLSTM]] = {"cbhg": CBHG, "conv_lstm": ConvLSTM}
    return kinds[config.kind](config, num_symbols)
