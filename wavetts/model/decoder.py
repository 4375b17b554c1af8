"""The autoregressive decoder: previous frame to the condition of this one (paper, section 2.1 and figure 1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import Config
from wavetts.model.attention import AttentionState, Keys, build_attention
from wavetts.model.layers import module_list


@dataclass
class DecoderState:
    """All that the decoder carries from frame to frame."""

    attention_lstm: tuple[Tensor, Tensor]  # h, c: (B, attention_dim) each
    context: Tensor  # (B, E)
    attention: AttentionState
    lstms: list[tuple[Tensor, Tensor]]  # h, c: (B, hidden_dim) each, one pair a layer


class AttentionDecoder(nn.Module):
    """Pre-net, attention LSTM, skip connection, residual LSTMs, stop token.

    `step` is the recurrence that synthesis runs. `forward` computes the same function of whole utterances: the
    attention LSTM and the attention alone feed back, so they are stepped; all else runs over all frames at once.
    """

    def __init__(self, config: Config, memory_dim: int) -> None:
        """Creates the decoder for frames of `config.audio.frame_length` samples and memory of E = `memory_dim`."""
        super().__init__()
        decoder, self.frame_length = config.decoder, config.audio.frame_length
        self.skip = decoder.skip
        # (K + K/2,) with the spectrum: a width that 8-bit products can take.
        self.window: Tensor | None
        self.register_buffer(
            "window", torch.hann_window(self.frame_length) if decoder.spectrum else None, persistent=False
        )
        history_dim = self.frame_length + (self.frame_length // 2 if decoder.spectrum else 0)
        dims = [history_dim, *decoder.prenet_dims]
        self.prenet = nn.Sequential()
        for a, b in pairwise(dims):
            self.prenet.append(nn.Linear(a, b)).append(nn.Tanh())
        # The LSTM's input weights in two parts: the pre-net's is applied to all frames at once in training.
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
        """The state before the first frame; the frame before it is zeros."""
        memory, cell = keys.memory, self.attention_lstm
        zeros = [memory.new_zeros(len(memory), lstm.hidden_size) for lstm in self.lstms]
        query = memory.new_zeros(len(memory), cell.hidden_size)
        context = memory.new_zeros(len(memory), memory.shape[-1])
        return DecoderState((query, query), context, self.attention.init_state(keys), [(z, z) for z in zeros])

    def step(
        self, prev_frame: Tensor, keys: Keys, state: DecoderState, guidance: float | Tensor = 0.0
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """One frame.

        Args:
            prev_frame: (B, K), the frame before (zeros at the start), pre-emphasised and scaled.
            keys: `attention.prepare(memory, token_lengths)`.
            state: of the frame before.
            guidance: how much further from the text's mean the context is than attention read it, where the head (the
                LSTMs, if there is none) makes cond of it; one for all, or (B, 1). Classifier-free guidance (Ho and
                Salimans 2022) goes further from what a model says without its condition; here the mean stands for a
                text that says nothing in particular, so that nothing has to be trained for it. 0 is the model as it was
                trained.

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
        """All frames at once, teacher forced.

        Args:
            frames: (B, T, K), the history that is fed back; its last frame is not looked at.
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
        """Steps over pre-net outputs (B, T, P): queries (B, T, D), contexts (B, T, E), alignment (B, T, I)."""
        cell, width = self.attention_lstm, inputs.shape[-1]
        input_weight, context_weight = cell.weight_ih[:, :width], cell.weight_ih[:, width:].contiguous()
        projected = F.linear(inputs, input_weight, cell.bias_ih + cell.bias_hh).transpose(0, 1).contiguous()
        recurrent_weight = torch.cat([context_weight, cell.weight_hh], dim=1).t()
        state = self.init_state(keys)
        (query, memory_cell), context, attention = state.attention_lstm, state.context, state.attention
        queries, contexts, weights = [], [], []
        priors = [None] * len(projected) if prior is None else prior.unbind(1)
        for gates, frame_prior in zip(projected.unbind(0), priors, strict=True):
            query, memory_cell, context, attention = self.attend_step(
                gates, recurrent_weight, query, memory_cell, context, attention, keys, frame_prior
            )
            queries.append(query)
            contexts.append(context)
            weights.append(attention.weights)
        return torch.stack(queries, 1), torch.stack(contexts, 1), torch.stack(weights, 1)

    def attend_step(
        self,
        gates: Tensor,
        recurrent_weight: Tensor,
        query: Tensor,
        memory_cell: Tensor,
        context: Tensor,
        attention: AttentionState,
        keys: Keys,
        prior: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, AttentionState]:
        """One turn of the loop that training waits for; a function of its own so that it can be compiled.

        Args:
            gates: (B, 4D), the LSTM's gates so far: of the pre-net's output, biases included.
            recurrent_weight: (E + D, 4D), of context and query.
            query: (B, D), the LSTM's output of the frame before.
            memory_cell: (B, D), its cell.
            context: (B, E) of the frame before.
            attention: state of the frame before.
            keys: `attention.prepare(memory, token_lengths)`.
            prior: (B, I), or None.

        Returns:
            This frame's query, cell, context and attention state.
        """
        gates = torch.addmm(gates, torch.cat([context, query], dim=1), recurrent_weight)
        i, f, g, o = gates.chunk(4, dim=1)
        memory_cell = torch.sigmoid(f) * memory_cell + torch.sigmoid(i) * torch.tanh(g)
        query = torch.sigmoid(o) * torch.tanh(memory_cell)
        context, attention = self.attention(query, keys, attention, prior)
        return query, memory_cell, context, attention

    def _history(self, prev_frame: Tensor) -> Tensor:
        """What is seen of the frame before, (..., K): its samples, and with `decoder.spectrum` K/2 log-magnitudes.

        From samples alone a small network is slow to learn what envelope and pitch they have: it takes phases apart
        first. The magnitudes are those of the bins above 0 Hz, compressed and shifted to about unit variance.
        """
        if self.window is None:
            return prev_frame
        magnitude = torch.fft.rfft(prev_frame * self.window)[..., 1:].abs()
        return torch.cat([prev_frame, 0.5 * (torch.log(magnitude + 0.1) - 1.0)], dim=-1)

    def _features(self, query: Tensor, context: Tensor, history: Tensor) -> Tensor:
        """The residual LSTMs' input; the skip connection adds the previous frame's raw samples (paper, section 2.1)."""
        parts = [query, context, history] if self.skip else [query, context]
        return self.input(torch.cat(parts, dim=-1))

    def _condition(self, x: Tensor, context: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """cond (..., C) and stop_logits (...) from the last LSTM's output."""
        if self.head is not None:
            parts = [x, context, history] if self.skip else [x, context]
            x = self.head(torch.cat(parts, dim=-1))
        return x, self.stop(x)[..., 0]


def _step_lstm(lstm: nn.Module, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """One frame of a layer that `forward` runs over all frames, or of a cell of `runtime.int8` in its place."""
    if isinstance(lstm, nn.LSTM):
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        return torch.lstm_cell(x, state, *(getattr(lstm, name) for name in names))
    return lstm(x, state)
