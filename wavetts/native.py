"""The C kernel (wavetts/kernel), where it was built: loading it, and what it takes for a matrix."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import math
from ctypes import c_float, c_int, c_int64, c_void_p

import torch
from torch import Tensor, nn

# As in kernel.h: a library that was built from other sources is not called.
VERSION = 1
# As in linear.c.
PANEL = 64


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernel, or None where it was not built: no compiler was there, or it is another version's."""
    spec = importlib.util.find_spec("wavetts._kernel")
    if spec is None or spec.origin is None:
        return None
    kernel = ctypes.CDLL(spec.origin)
    kernel.wavetts_version.restype = c_int64
    if kernel.wavetts_version() != VERSION:
        return None
    for name, arguments in {"linear": 2, "lstm": 5, "subframe_inverse": 3}.items():
        function = getattr(kernel, f"wavetts_{name}")
        function.argtypes = [c_void_p, c_int64, *[c_void_p] * arguments]
        function.restype = c_int
    return kernel


def call(name: str, structure: Structure, rows: int, *tensors: Tensor) -> None:
    """Calls a function of the kernel with float32 tensors of so many rows, the last of which it fills."""
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in tensors)
    function = getattr(library(), f"wavetts_{name}")
    if function(ctypes.addressof(structure), rows, *[tensor.data_ptr() for tensor in tensors]):
        raise MemoryError("no memory for the frames of one step")


class Structure(ctypes.Structure):
    """A structure that keeps the tensors alive that it points to."""

    def point(self, **tensors: Tensor | None) -> None:
        """Sets pointers to contiguous tensors."""
        self.tensors = {**getattr(self, "tensors", {}), **tensors}
        for name, tensor in tensors.items():
            if tensor is not None:
                assert tensor.is_contiguous(), name
                setattr(self, name, tensor.data_ptr())


class Linear(Structure):
    _fields_ = [
        ("outputs", c_int64),
        ("inputs", c_int64),
        ("codes", c_void_p),
        ("scale", c_void_p),
        ("panels", c_void_p),
        ("bias", c_void_p),
        ("range", c_float),
    ]

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None, quantize: bool) -> Linear:
        """weight (outputs, inputs) and bias (outputs,), in 8 bits or in float32."""
        weight = weight.detach().float()
        outputs, inputs = weight.shape
        linear = cls(outputs=outputs, inputs=inputs)
        linear.point(bias=torch.zeros(outputs) if bias is None else bias.detach().float().contiguous())
        if quantize:
            codes, scale = quantize_rows(weight)
            linear.point(codes=codes, scale=scale)
            linear.range = 2 ** min(14, int(math.log2(2**31 / (127 * inputs))))
        else:
            padded = nn.functional.pad(weight, (0, 0, 0, -outputs % PANEL))
            linear.point(panels=padded.unflatten(0, (-1, PANEL)).transpose(1, 2).contiguous())
        return linear


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """weight (outputs, inputs) as int8 codes of that shape and a scale (outputs,)."""
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8).contiguous(), scale
