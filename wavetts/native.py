"""The C kernel (wavetts/kernel), where it was built: how it is found and called, and what it takes for a matrix."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import math
from ctypes import c_float, c_int, c_int64, c_void_p
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

# As in kernel.h: a library that was built from other sources is not called.
VERSION = 1
# As in linear.c.
PANEL = 64


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernel; None where it was not built, for want of a C compiler, or is another version's."""
    spec = importlib.util.find_spec("wavetts._kernel")
    if spec is None or spec.origin is None:
        return None
    kernel = ctypes.CDLL(spec.origin)
    kernel.wavetts_version.restype = c_int64
    if kernel.wavetts_version() != VERSION:
        return None
    for name, tensors in {"linear": 2, "lstm": 5, "subframe_inverse": 3}.items():
        function = getattr(kernel, f"wavetts_{name}")
        function.argtypes, function.restype = [c_void_p, c_int64, *[c_void_p] * tensors], c_int
    return kernel


def call(name: str, structure: Structure, *tensors: Tensor) -> None:
    """Calls a function of the kernel with float32 tensors (B, ...) on the CPU; it fills the last ones.

    Raises:
        MemoryError: there is none left to work in.
    """
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in tensors)
    function = getattr(library(), f"wavetts_{name}")
    if function(ctypes.addressof(structure), len(tensors[0]), *[tensor.data_ptr() for tensor in tensors]):
        raise MemoryError("no memory to compute a frame in")


class Structure(ctypes.Structure):
    """A structure of the kernel that keeps the tensors alive that it points to."""

    def point(self, **tensors: Tensor) -> None:
        """Lets the pointers of these names point to copies of these tensors, without gradients."""
        for name, tensor in tensors.items():
            tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
            setattr(self, name, tensor.data_ptr())
            self.tensors = (*getattr(self, "tensors", ()), tensor)


class Linear(Structure):
    """A matrix and a bias, as the kernel takes them."""

    _fields_: ClassVar = [
        ("outputs", c_int64),
        ("inputs", c_int64),
        ("codes", c_void_p),
        ("scale", c_void_p),
        ("panels", c_void_p),
        ("bias", c_void_p),
        ("range", c_float),
    ]

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None, int8: bool) -> Linear:
        """weight (outputs, inputs) and bias (outputs,), with the weights in 8 bits or in float32."""
        outputs, inputs = weight.shape
        linear = cls(outputs=outputs, inputs=inputs)
        linear.point(bias=weight.new_zeros(outputs).float() if bias is None else bias.float())
        if int8:
            codes, scale = quantize_rows(weight)
            linear.point(codes=codes, scale=scale)
            # A power of two keeps whole numbers exact; the sums are of 32 bits.
            linear.range = 2.0 ** min(14, math.floor(math.log2(2**31 / (127 * inputs))))
        else:
            padded = F.pad(weight.float(), (0, 0, 0, -outputs % PANEL))
            linear.point(panels=padded.unflatten(0, (-1, PANEL)).transpose(1, 2))
        return linear


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """weight (outputs, inputs) as int8 codes of that shape and a scale (outputs,)."""
    weight = weight.detach().float()
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale
