"""The autoregressive decoder: from the previous frame to `cond` of this frame (paper, section 2.1 and figure 1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from wavetts.config import Config
from wavetts.model.attention import AttentionState, Keys, build_attention
from wavetts.model.layers import module_list


@dataclass
class DecoderState:
    """The recurrent state of the decoder."""

    attention_lstm: tuple[Tensor, Tensor]  # h, c: (B, attention_dim) each
    context: Tensor  # (B, E)
    attention: AttentionState
    lstms: list[tuple[Tensor, Tensor]]  # h, c of each layer: (B, hidden_dim) each


class AttentionDecoder(nn.Module):
    """Pre-net, attention LSTM, skip connection, residual LSTMs, stop token.

    `step` computes one frame, for synthesis. `forward` computes the same function for whole utterances: only the
    attention LSTM and the attention depend on their own previous output and run step by step; everything else runs over
    all frames at once.
    """

    def __init__(self, config: Config, memory_dim: int) -> None:
        """Creates the decoder for frames of `config.audio.frame_length` samples and memory of E = `memory_dim`."""
        super().__init__()
        decoder, self.frame_length = config.decoder, config.audio.frame_length
        self.skip = decoder.skip
        # With the spectrum the history has K + K/2 values, a width that 8-bit products support.
        self.window: Tensor | None
        self.register_buffer(
            "window", torch.hann_window(self.frame_length) if decoder.spectrum else None, persistent=False
        )
        history_dim = self.frame_length + (self.frame_length // 2 if decoder.spectrum else 0)
        dims = [history_dim, *decoder.prenet_dims]
        self.prenet = nn.Sequential()
        for a, b in pairwise(dims):
            self.prenet.append(nn.Linear(a, b)).append(nn.Tanh())
        # `forward` applies the part of its input weights that multiplies the pre-net's output to all frames at once.
        self.attention_lstm = nn.LSTMCell(dims[-1] + memory_dim, decoder.attention_dim)
        self.attention = build_attention(config.attention, decoder.attention_dim, memory_dim)
        features = decoder.attention_dim + memory_dim + (history_dim if self.skip else 0)
        self.input = nn.Linear(features, decoder.hidden_dim)
        self.lstms = module_list(
            nn.LSTM(decoder.hidden_dim, decoder.hidden_dim, batch_first=True) for _ in range(decoder.num_layers)
        )
        self.cond_dim = decoder.cond_dim or decoder.hidden_dim
        self.head: nn.Module | None = None
        if decoder.cond_dim:
            width = decoder.hidden_dim + memory_dim + (history_dim if self.skip else 0)
            self.head = nn.Sequential(
                nn.Linear(width, decoder.cond_dim), nn.SiLU(), nn.Linear(decoder.cond_dim, decoder.cond_dim), nn.SiLU()
            )
        self.stop = nn.Linear(self.cond_dim, 1)

    def init_state(self, keys: Keys) -> DecoderState:
        """The state before the first frame, whose previous frame is zeros."""
        memory, cell = keys.memory, self.attention_lstm
        zeros = [memory.new_zeros(len(memory), lstm.hidden_size) for lstm in self.lstms]
        query = memory.new_zeros(len(memory), cell.hidden_size)
        context = memory.new_zeros(len(memory), memory.shape[-1])
        return DecoderState((query, query), context, self.attention.init_state(keys), [(z, z) for z in zeros])

    def step(
        self, prev_frame: Tensor, keys: Keys, state: DecoderState, guidance: float | Tensor = 0.0
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Computes one frame.

        Args:
            prev_frame: (B, K), the previous frame (zeros at the start), pre-emphasised and scaled.
            keys: `attention.prepare(memory, token_lengths)`.
            state: the state after the previous frame.
            guidance: g, a number or (B, 1). Extrapolates the attention context c to c + g (c - m), where m is the mean
                of the memory, as input of the head (of the LSTMs, if there is no head). As in classifier-free guidance
                (Ho and Salimans 2022), but with the mean in place of an empty text, so that no training is needed.
                g = 0 is the trained model.

        Returns:
            cond (B, C), stop_logits (B,) and the new state, whose `attention.weights` are this frame's alignment.
        """
        history = self._history(prev_frame)
        inputs = torch.cat([self.prenet(history), state.context], dim=-1)
        attention_lstm = self.attention_lstm(inputs, state.attention_lstm)
        context, attention = self.attention(attention_lstm[0], keys, state.attention)
        guided = context + guidance * (context - keys.mean)
        x = self._features(attention_lstm[0], guided if self.head is None else context, history)
        lstms = []
        for lstm, (h, c) in zip(self.lstms, state.lstms, strict=True):
            h, c = _step_lstm(lstm, x, (h, c))
            lstms.append((h, c))
            x = x + h
        cond, stop_logits = self._condition(x, guided, history)
        return cond, stop_logits, DecoderState(attention_lstm, context, attention, lstms)

    def forward(self, frames: Tensor, keys: Keys, prior: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Computes all frames, teacher forced.

        Args:
            frames: (B, T, K), the frames that are fed back; the last one is not used.
            keys: `attention.prepare(memory, token_lengths)`.
            prior: (B, T, I) alignment prior, or None.

        Returns:
            cond (B, T, C), stop_logits (B, T), alignment (B, T, I).
        """
        history = self._history(F.pad(frames[:, :-1], (0, 0, 1, 0)))
        queries, contexts, alignment = self._attend(self.prenet(history), keys, prior)
        x = self._features(queries, contexts, history)
        for lstm in self.lstms:
            x = x + lstm(x)[0]
        cond, stop_logits = self._condition(x, contexts, history)
        return cond, stop_logits, alignment

    def _attend(self, inputs: Tensor, keys: Keys, prior: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Runs attention LSTM and attention over pre-net outputs (B, T, P).

        Returns:
            queries (B, T, D), contexts (B, T, E), alignment (B, T, I).
        """
        cell, width = self.attention_lstm, inputs.shape[-1]
        input_weight, context_weight = cell.weight_ih[:, :width], cell.weight_ih[:, width:].contiguous()
        projected = F.linear(inputs, input_weight, cell.bias_ih + cell.bias_hh).transpose(0, 1).contiguous()
        recurrent_weight = torch.cat([context_weight, cell.weight_hh], dim=1).t()
        # Its gradient takes one product after the loop in place of one, and one sum of matrices, for every frame.
        inputs_of_weight: list[Tensor] = []
        projected = _WeightGradient.apply(projected, recurrent_weight, inputs_of_weight)
        recurrent_weight = recurrent_weight.detach()
        state = self.init_state(keys)
        (query, memory_cell), context, attention = state.attention_lstm, state.context, state.attention
        queries, contexts, weights = [], [], []
        priors = [None] * len(projected) if prior is None else prior.unbind(1)
        for gates, frame_prior in zip(projected.unbind(0), priors, strict=True):
            recurrent = torch.cat([context, query], dim=1)
            inputs_of_weight.append(recurrent.detach())
            query, memory_cell, context, attention = self.attend_step(
                gates, recurrent_weight, recurrent, memory_cell, attention, keys, frame_prior
            )
            queries.append(query)
            contexts.append(context)
            weights.append(attention.weights)
        return torch.stack(queries, 1), torch.stack(contexts, 1), torch.stack(weights, 1)

    def attend_step(
        self,
        gates: Tensor,
        recurrent_weight: Tensor,
        recurrent: Tensor,
        memory_cell: Tensor,
        attention: AttentionState,
        keys: Keys,
        prior: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, AttentionState]:
        """One step of the attention loop, which takes most of the decoder's time in training; can be compiled.

        Args:
            gates: (B, 4D), the part of the LSTM's gates that comes from the pre-net, with biases.
            recurrent_weight: (E + D, 4D), weights of context and query.
            recurrent: (B, E + D), context and LSTM output of the previous frame.
            memory_cell: (B, D), the LSTM's cell.
            attention: the attention's state after the previous frame.
            keys: `attention.prepare(memory, token_lengths)`.
            prior: (B, I), or None.

        Returns:
            Query, cell, context and attention state of this frame.
        """
        gates = torch.addmm(gates, recurrent, recurrent_weight)
        i, f, g, o = gates.chunk(4, dim=1)
        memory_cell = torch.sigmoid(f) * memory_cell + torch.sigmoid(i) * torch.tanh(g)
        query = torch.sigmoid(o) * torch.tanh(memory_cell)
        context, attention = self.attention(query, keys, attention, prior)
        return query, memory_cell, context, attention

    def _history(self, prev_frame: Tensor) -> Tensor:
        """The previous frame (..., K) as input: its samples and, with `decoder.spectrum`, its spectrum.

        The spectrum is K/2 log-magnitudes of the bins above 0 Hz, compressed and shifted to about unit variance. A
        small network learns spectral envelope and pitch much faster from them than from samples.
        """
        if self.window is None:
            return prev_frame
        magnitude = torch.fft.rfft(prev_frame * self.window)[..., 1:].abs()
        return torch.cat([prev_frame, 0.5 * (torch.log(magnitude + 0.1) - 1.0)], dim=-1)

    def _features(self, query: Tensor, context: Tensor, history: Tensor) -> Tensor:
        """The input of the residual LSTMs, with the skip connection of the previous frame (paper, section 2.1)."""
        parts = [query, context, history] if self.skip else [query, context]
        return self.input(torch.cat(parts, dim=-1))

    def _condition(self, x: Tensor, context: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """cond (..., C) and stop_logits (...) from the output x of the last LSTM."""
        if self.head is not None:
            parts = [x, context, history] if self.skip else [x, context]
            x = self.head(torch.cat(parts, dim=-1))
        return x, self.stop(x)[..., 0]


class _WeightGradient(torch.autograd.Function):
    """The identity on x, for y_t = x_t + h_t W with recurrent inputs h_t; it gives W its gradient.

    The loop multiplies by W detached. As every y_t has the gradient of x_t, that of W is the sum of h_t^T dx_t, which
    is one product once the gradients of all steps are known.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        """x (T, B, 4D), W (H, 4D), and the list that the loop appends h_t (B, H) to."""
        ctx.inputs, ctx.dtype = inputs, weight.dtype
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """The gradients of x and of W."""
        (grad,) = grads
        # Under autocast the products' inputs were rounded, and so are they here.
        weight_grad = torch.cat(ctx.inputs).to(grad).t() @ grad.flatten(0, 1)
        return grad, weight_grad.to(ctx.dtype), None


def _step_lstm(lstm: nn.Module, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """One step of a layer of `nn.LSTM`, or of the cell of `runtime.int8` that replaces it."""
    if isinstance(lstm, nn.LSTM):
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        return torch.lstm_cell(x, state, *(getattr(lstm, name) for name in names))
    return lstm(x, state)
