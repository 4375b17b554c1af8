"""The decoder with forward attention, computed by the C kernel."""

from __future__ import annotations

from ctypes import POINTER, c_int64
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wavetts.model.attention import AttentionState, ForwardAttention, Keys
from wavetts.model.decoder import AttentionDecoder
from wavetts.runtime.bindings import Linear, Spectrum, Structure, call


class _Decoder(Structure):
    _fields_: ClassVar = [
        ("frame_length", c_int64),
        ("num_prenet", c_int64),
        ("num_lstms", c_int64),
        ("num_head", c_int64),
        ("skip", c_int64),
        ("spectrum", Spectrum),
        ("prenet", POINTER(Linear)),
        ("attention_lstm", Linear),
        ("query", Linear),
        ("hidden", Linear),
        ("move", Linear),
        ("input", Linear),
        ("lstms", POINTER(Linear)),
        ("head", POINTER(Linear)),
        ("stop", Linear),
    ]


@dataclass
class NativeState:
    """The recurrent state of the decoder."""

    joined: Tensor  # (B, widths): the attention LSTM's h and c, the context, each LSTM's h and c
    attention: AttentionState


class NativeDecoder(nn.Module):
    """An `AttentionDecoder` with forward attention whose `step` is computed by the C kernel, for synthesis only.

    Args:
        decoder: the decoder whose weights are copied.
        smallest: matrices with at least this many weights are held in 8 bits; None: all are float32.
    """

    def __init__(self, decoder: AttentionDecoder, smallest: int | None) -> None:
        super().__init__()
        attention = decoder.attention
        assert isinstance(attention, ForwardAttention), "see `takes`"
        self.attention = attention
        self.cond_dim = decoder.cond_dim
        lists = {
            "prenet": [Linear.of(layer, smallest) for layer in _linears(decoder.prenet)],
            "lstms": [Linear.of_lstm(lstm, smallest) for lstm in decoder.lstms],
            "head": [Linear.of(layer, smallest) for layer in _linears(decoder.head)],
        }
        parts: dict[str, Structure] = {
            "attention_lstm": Linear.of_lstm(decoder.attention_lstm, smallest),
            "query": Linear.of(attention.query, smallest),
            "hidden": Linear.of(attention.hidden, smallest),
            "move": Linear.of(attention.move, smallest),
            "input": Linear.of(decoder.input, smallest),
            "stop": Linear.of(decoder.stop, smallest),
        }
        if decoder.window is not None:
            parts["spectrum"] = Spectrum.pack(decoder.window)
        self._decoder = _Decoder(
            frame_length=decoder.frame_length,
            skip=decoder.skip,
            **{f"num_{name}": len(linears) for name, linears in lists.items()},
            **{name: (Linear * len(linears))(*linears) for name, linears in lists.items()},
            **parts,
        )
        # The structure has copies of these, which keep no tensor alive.
        self._parts = [*parts.values(), *(linear for linears in lists.values() for linear in linears)]
        self._query_dim = decoder.attention_lstm.hidden_size
        self._lstm_dim = sum(2 * lstm.hidden_size for lstm in decoder.lstms)

    @staticmethod
    def takes(decoder: AttentionDecoder) -> bool:
        """Whether the kernel supports this decoder."""
        return isinstance(decoder.attention, ForwardAttention) and len(decoder.prenet) > 0 and len(decoder.lstms) > 0

    def init_state(self, keys: Keys) -> NativeState:
        """See `AttentionDecoder.init_state`."""
        batch, _, memory_dim = keys.memory.shape
        joined = torch.zeros(batch, 2 * self._query_dim + memory_dim + self._lstm_dim)
        return NativeState(joined, self.attention.init_state(keys))

    def step(
        self, prev_frame: Tensor, keys: Keys, state: NativeState, guidance: float | Tensor = 0.0
    ) -> tuple[Tensor, Tensor, NativeState]:
        """See `AttentionDecoder.step`; the cumulative weights of the attention's state are not updated."""
        batch, tokens = keys.mask.shape
        cond, stop_logits = torch.empty(batch, self.cond_dim), torch.empty(batch)
        joined, weights = torch.empty_like(state.joined), torch.empty_like(state.attention.weights)
        guidance = torch.as_tensor(guidance, dtype=torch.float32).expand(batch, 1)
        text = (keys.memory, keys.mask, keys.projected, keys.mean)
        inputs = (prev_frame, *text, guidance, state.joined, state.attention.weights)
        inputs = [values.contiguous() for values in inputs]
        call("decoder_step", self._decoder, (batch, tokens), *inputs, joined, weights, cond, stop_logits)
        return cond, stop_logits, NativeState(joined, state.attention._replace(weights=weights))


def _linears(layers: nn.Module | None) -> list[nn.Linear]:
    """The linear layers of a `Sequential`, without the activations between them."""
    return [] if layers is None else [layer for layer in layers.children() if isinstance(layer, nn.Linear)]
