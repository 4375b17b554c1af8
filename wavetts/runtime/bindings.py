"""Python bindings of the C kernel in `kernel/`: finding the library, calling it, packing matrices for it."""

from __future__ import annotations

import ctypes
import functools
import math
import sys
from ctypes import c_float, c_int, c_int64, c_void_p
from importlib.machinery import PathFinder
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# As in kernel.h: a library that was built from other sources is not called.
VERSION = 6
# As in linear.c and kernel.h.
PANEL = SLIDE = 64
TILE = 32

# How many sizes each function takes after its structure, and then how many tensors.
FUNCTIONS = {
    "linear": (1, 2),
    "lstm": (1, 5),
    "subframe_inverse": (1, 3),
    "linear_prediction": (2, 6),
    "decoder_step": (2, 12),
    "deemphasise": (2, 3),
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernel's library; None if it was not built (there was no C compiler) or is that of another version.

    A checkout without a built kernel uses that of an installation of the same version, as the scripts in egs do.
    """
    packages = [str(Path(folder, "wavetts", "runtime")) for folder in sys.path]
    spec = PathFinder.find_spec("_kernel", [str(Path(__file__).parent), *packages])
    if spec is None or spec.origin is None:
        return None
    kernel = ctypes.CDLL(spec.origin)
    kernel.wavetts_version.restype = kernel.wavetts_tiled.restype = c_int64
    if kernel.wavetts_version() != VERSION:
        return None
    for name, (sizes, tensors) in FUNCTIONS.items():
        function = getattr(kernel, f"wavetts_{name}")
        function.argtypes, function.restype = [c_void_p, *[c_int64] * sizes, *[c_void_p] * tensors], c_int
    return kernel


def call(name: str, structure: Structure, sizes: tuple[int, ...], *tensors: Tensor) -> None:
    """Calls a function of the kernel with contiguous CPU tensors, float32 or masks; the last ones are its outputs.

    Raises:
        MemoryError: the kernel could not allocate memory.
    """
    assert all(tensor.dtype in (torch.float32, torch.bool) and tensor.is_contiguous() for tensor in tensors)
    function = getattr(library(), f"wavetts_{name}")
    if function(ctypes.addressof(structure), *sizes, *[tensor.data_ptr() for tensor in tensors]):
        raise MemoryError("no memory to compute a frame in")


class Structure(ctypes.Structure):
    """A structure of the kernel that keeps the tensors alive that it points to."""

    def point(self, **tensors: Tensor) -> None:
        """Sets pointers, by name, to copies of tensors, without gradients."""
        for name, tensor in tensors.items():
            tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
            setattr(self, name, tensor.data_ptr())
            self.tensors = (*getattr(self, "tensors", ()), tensor)


class Linear(Structure):
    """A matrix and a bias in the kernel's format."""

    _fields_: ClassVar = [
        ("outputs", c_int64),
        ("inputs", c_int64),
        ("codes", c_void_p),
        ("tiles", c_void_p),
        ("scale", c_void_p),
        ("panels", c_void_p),
        ("bias", c_void_p),
        ("range", c_float),
    ]

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None, smallest: int | None) -> Linear:
        """weight (outputs, inputs), in 8 bits if it has `smallest` weights or more (None: never); bias (outputs,)."""
        outputs, inputs = weight.shape
        linear = cls(outputs=outputs, inputs=inputs)
        linear.point(bias=weight.new_zeros(outputs).float() if bias is None else bias.float())
        if smallest is not None and weight.numel() >= smallest:
            codes, scale = quantize_rows(weight)
            kernel = library()
            assert kernel is not None, "weights are packed for a kernel that is there"
            matrix = {"tiles": cut_tiles(codes)} if kernel.wavetts_tiled() else {"codes": codes}
            linear.point(scale=scale, **matrix)
            # A power of two keeps whole numbers exact; the sums are of 32 bits.
            linear.range = 2.0 ** min(14, math.floor(math.log2(2**31 / (127 * inputs))))
        else:
            linear.point(panels=torch.cat([cut_panel(rows) for rows in weight.float().split(PANEL)]))
        return linear

    @classmethod
    def of(cls, layer: nn.Linear, smallest: int | None) -> Linear:
        """Packs a linear layer."""
        return cls.pack(layer.weight, layer.bias, smallest)

    @classmethod
    def of_lstm(cls, lstm: nn.LSTMCell | nn.LSTM, smallest: int | None) -> Linear:
        """Packs the gates of an LSTM cell or of a one-layer LSTM: one matrix over its input and its h."""
        return cls.pack(*join_gates(lstm), smallest)


def join_gates(lstm: nn.LSTMCell | nn.LSTM) -> tuple[Tensor, Tensor]:
    """Weight (4 * hidden_size, input_size + hidden_size) and bias of a cell or of a one-layer LSTM."""
    suffix = "" if isinstance(lstm, nn.LSTMCell) else "_l0"
    weights = [getattr(lstm, f"weight_{part}{suffix}") for part in ("ih", "hh")]
    return torch.cat(weights, dim=1), getattr(lstm, f"bias_ih{suffix}") + getattr(lstm, f"bias_hh{suffix}")


class Spectrum(Structure):
    """Tables of a windowed DFT."""

    _fields_: ClassVar = [
        ("first", c_int64),
        ("second", c_int64),
        ("window", c_void_p),
        ("inner_cos", c_void_p),
        ("inner_sin", c_void_p),
        ("turn_cos", c_void_p),
        ("turn_sin", c_void_p),
        ("outer_cos", c_void_p),
        ("outer_sin", c_void_p),
    ]

    @classmethod
    def pack(cls, window: Tensor) -> Spectrum:
        """Packs the tables for frames of K samples, the length of the window (K,)."""
        length = len(window)
        # Factors near the square root make the fewest products; a prime length is a transform by definition.
        second = max(factor for factor in range(1, math.isqrt(length) + 1) if length % factor == 0)
        first = length // second
        spectrum = cls(first=first, second=second)
        spectrum.point(window=window.float())
        bins = torch.arange(second // 2 + 1)
        for name, rows, columns, period in (
            ("inner", bins, torch.arange(second), second),
            ("turn", bins, torch.arange(first), length),
            ("outer", torch.arange(first), torch.arange(first), first),
        ):
            angle = 2 * math.pi / period * (torch.outer(rows, columns) % period).double()
            spectrum.point(**{f"{name}_cos": angle.cos().float(), f"{name}_sin": angle.sin().float()})
        return spectrum


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """weight (outputs, inputs) as int8 codes of that shape and a scale (outputs,)."""
    weight = weight.detach().float()
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def cut_tiles(codes: Tensor) -> Tensor:
    """codes (outputs, inputs) as the kernel's tiles: what it multiplies at once is together, and without a sign."""
    outputs, inputs = codes.shape
    padded = F.pad(codes.short() + 128, (0, -inputs % 8, 0, -outputs % TILE)).to(torch.uint8)
    return padded.unflatten(1, (-1, 4)).unflatten(0, (-1, TILE)).transpose(1, 2)


def cut_panel(rows: Tensor) -> Tensor:
    """At most `PANEL` rows of a matrix as a panel of the kernel: (inputs * width,)."""
    width = next(width for width in (PANEL // 2, 3 * PANEL // 4, PANEL) if len(rows) <= width)
    return F.pad(rows, (0, 0, 0, width - len(rows))).T.flatten()
