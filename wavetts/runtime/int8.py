"""8-bit weights for synthesis on CPUs, where small batches spend their time reading weights from memory."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from wavetts.runtime import bindings as native

# Smaller matrices stay float32: they take little time, and attention and stop logits need the precision.
SMALLEST = 1 << 16
# Torch's kernel reads whole vectors.
INPUTS_MULTIPLE, OUTPUTS_MULTIPLE = 64, 16


class Int8Linear(nn.Module):
    """A linear layer whose weights are 8-bit integers with a scale for each output.

    The result of a row does not depend on the other rows. The C kernel rounds activations to about 14 bits relative to
    the largest of a vector and sums exactly. Without it, activations are bfloat16 and sums float32 (torch's kernel for
    weight-only quantisation).

    Args:
        weight: (outputs, inputs).
        bias: (outputs,) or None.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        assert _fits(*weight.shape), weight.shape
        weight = weight.detach().float()
        bias = torch.zeros(len(weight)) if bias is None else bias.detach().float()
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.native = native.Linear.pack(weight, bias, smallest=0) if native.library() is not None else None
        if self.native is not None:
            return
        exact = weight.abs().amax(1).clamp_min(1e-12) / 127
        scale = exact.to(torch.bfloat16)
        # Torch's scales are bfloat16: rounded up, so that no weight is beyond 127.
        scale = torch.where(scale < exact, torch.nextafter(scale, torch.full_like(scale, torch.inf)), scale)
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8).contiguous())
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs), float32."""
        if self.native is not None:
            x = x.contiguous()
            y = x.new_empty(len(x), self.native.outputs)
            native.call("linear", self.native, (len(x),), x, y)
            return y
        return self.bias + torch._weight_int8pack_mm(x.to(torch.bfloat16), self.weight, self.scale)


class Int8LSTMCell(nn.Module):
    """One step of an LSTM with 8-bit weights; replaces an `nn.LSTMCell`, or one layer of `nn.LSTM` in `step`.

    Args:
        lstm: a cell, or a one-layer LSTM.
    """

    def __init__(self, lstm: nn.LSTMCell | nn.LSTM) -> None:
        super().__init__()
        self.hidden_size = lstm.hidden_size
        self.gates = Int8Linear(*native.join_gates(lstm))

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Input (B, inputs) and the previous h, c to the new h, c: (B, hidden_size) each."""
        h, c = state
        if self.gates.native is not None:
            x, h, c = x.contiguous(), h.contiguous(), c.contiguous()
            new_h, new_c = torch.empty_like(h), torch.empty_like(c)
            native.call("lstm", self.gates.native, (len(x),), x, h, c, new_h, new_c)
            return new_h, new_c
        i, f, g, o = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


def warn_without_kernel() -> None:
    """Warns that synthesis without the C kernel is slow."""
    warnings.warn(
        "without its C kernel, which it is built with where there is a C compiler, speech takes several times as "
        "long: install one (gcc or clang) and then wavetts again",
        stacklevel=3,
    )


def quantize_layers(module: nn.Module) -> nn.Module:
    """Replaces linear layers and LSTMs with large matrices by 8-bit ones, in place; returns the module."""
    for name, child in module.named_children():
        if isinstance(child, (nn.LSTM, nn.LSTMCell)):
            if _fits(4 * child.hidden_size, child.input_size + child.hidden_size):
                setattr(module, name, Int8LSTMCell(child))
        elif type(child) is nn.Linear:
            if child.weight.numel() >= SMALLEST and _fits(*child.weight.shape):
                setattr(module, name, Int8Linear(child.weight, child.bias))
        else:
            quantize_layers(child)
    return module


def _fits(outputs: int, inputs: int) -> bool:
    return inputs % INPUTS_MULTIPLE == 0 and outputs % OUTPUTS_MULTIPLE == 0
