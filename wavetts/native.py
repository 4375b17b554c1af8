"""The C kernel: the subframe flow's inverse at a fraction of what its hundreds of small tensor operations cost."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import math
from ctypes import POINTER, c_float, c_int8, c_int64, c_void_p

import torch
from torch import Tensor, nn

from wavetts.density.base import FrameDensity
from wavetts.density.subframe import LOUDEST, SubframeFlow

# Of kernel.c: a library that was built from another one is not called.
VERSION = 1
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
    kernel.wavetts_subframe_inverse.argtypes = [POINTER(_SubframeFlow), c_int64, c_void_p, c_void_p, c_void_p]
    return kernel


class _Structure(ctypes.Structure):
    """A structure that keeps the tensors alive that it points to."""

    def point(self, **tensors: Tensor | None) -> None:
        """Sets pointers to contiguous tensors."""
        self.tensors = {**getattr(self, "tensors", {}), **tensors}
        for name, tensor in tensors.items():
            if tensor is not None:
                assert tensor.is_contiguous(), name
                setattr(self, name, tensor.data_ptr())


class _Linear(_Structure):
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
    def pack(cls, weight: Tensor, bias: Tensor | None, quantize: bool) -> _Linear:
        """weight (outputs, inputs) and bias (outputs,), in 8 bits or in float32."""
        weight = weight.detach().float()
        outputs, inputs = weight.shape
        linear = cls(outputs=outputs, inputs=inputs)
        linear.point(bias=None if bias is None else bias.detach().float().contiguous())
        if quantize:
            codes, scale = quantize_rows(weight)
            linear.point(codes=codes, scale=scale)
            linear.range = min(2**15 - 1, (2**31 - 1) // (127 * inputs))
        else:
            padded = nn.functional.pad(weight, (0, 0, 0, -outputs % PANEL))
            linear.point(panels=padded.unflatten(0, (-1, PANEL)).transpose(1, 2).contiguous())
        return linear


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """weight (outputs, inputs) as int8 codes of that shape and a scale (outputs,)."""
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8).contiguous(), scale


class _Spectrum(_Structure):
    _fields_ = [
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
    def pack(cls, window: Tensor) -> _Spectrum:
        length = len(window)
        # Factors near the square root make the fewest products; a prime length is a transform by definition.
        second = max(factor for factor in range(1, math.isqrt(length) + 1) if length % factor == 0)
        first = length // second
        spectrum = cls(first=first, second=second)
        spectrum.point(window=window.detach().float().contiguous())
        bins = torch.arange(second // 2 + 1)
        for name, rows, columns, period in (
            ("inner", bins, torch.arange(second), second),
            ("turn", bins, torch.arange(first), length),
            ("outer", torch.arange(first), torch.arange(first), first),
        ):
            angle = 2 * math.pi / period * (torch.outer(rows, columns) % period).double()
            spectrum.point(**{f"{name}_cos": angle.cos().float(), f"{name}_sin": angle.sin().float()})
        return spectrum


class _SubframeFlow(_Structure):
    _fields_ = [
        ("frame_length", c_int64),
        ("subframe_length", c_int64),
        ("num_couplings", c_int64),
        ("num_layers", c_int64),
        ("affine_bound", c_float),
        ("scale_bound", c_float),
        ("loudest", c_float),
        ("spectrum", _Spectrum),
        ("position", c_void_p),
        ("past", _Linear),
        ("cond", _Linear),
        ("layer", _Linear),
        ("biases", _Linear),
        ("affine", _Linear),
        ("envelope", _Linear),
        ("cosines", _Linear),
        ("dct", _Linear),
        ("couplings", POINTER(_Linear)),
        ("orders", c_void_p),
    ]


class NativeSubframeFlow(FrameDensity):
    """A `SubframeFlow` that draws frames by the C kernel and knows nothing else.

    Args:
        flow: what is taken over; it is copied.
        smallest: of how many weights on a matrix is held in 8 bits; None: none is.
    """

    def __init__(self, flow: SubframeFlow, smallest: int | None) -> None:
        super().__init__(flow.frame_length, flow.cond_dim)
        compact, couplings = flow.flow, flow.flow.couplings

        def pack(weight: Tensor, bias: Tensor | None = None) -> _Linear:
            return _Linear.pack(weight, bias, smallest is not None and weight.numel() >= smallest)

        def pack_linear(linear: nn.Linear) -> _Linear:
            return pack(linear.weight, linear.bias)

        self._parts = {
            "spectrum": _Spectrum.pack(flow.window),
            "past": pack_linear(flow.past_linear),
            "cond": pack_linear(flow.cond_linear),
            "layer": pack_linear(flow.layer),
            "biases": pack_linear(compact.cond_linear),
            "affine": pack_linear(compact.affine.linear),
            "dct": pack(compact.dct.basis),
        }
        if compact.affine.envelope is not None:
            self._parts["envelope"] = pack_linear(compact.affine.envelope)
            self._parts["cosines"] = pack(compact.affine.cosines.T)
        networks = [layer for network in couplings for layer in (network.input, *network.layers, network.output)]
        self._networks = [pack_linear(layer) for layer in networks]
        self._flow = _SubframeFlow(
            frame_length=flow.frame_length,
            subframe_length=flow.subframe_length,
            num_couplings=len(couplings),
            num_layers=len(couplings[0].layers),
            affine_bound=compact.affine.bound,
            scale_bound=couplings[0].bound,
            loudest=LOUDEST,
            couplings=(_Linear * len(networks))(*self._networks),
            **self._parts,
        )
        orders = torch.stack([permutation.inverse_order for permutation in compact.permutations])
        self._flow.point(position=flow.position.detach().float().contiguous(), orders=orders.contiguous())

    @property
    def past_dim(self) -> int:
        """See `FrameDensity.past_dim`."""
        return self.frame_length

    def log_prob(self, frames: Tensor, cond: Tensor) -> Tensor:
        """Not there: who scores has the `SubframeFlow`."""
        raise NotImplementedError("the kernel only draws: load the model with precision='float32'")

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """Noise (N, K) and cond (N, C + K) to frames (N, K), float32 on the CPU."""
        noise, cond = noise.float().contiguous(), cond.float().contiguous()
        assert noise.shape == (len(cond), self.frame_length) and cond.shape[1] == self.cond_dim + self.past_dim
        frames = torch.empty_like(noise)
        failed = library().wavetts_subframe_inverse(
            self._flow, len(noise), noise.data_ptr(), cond.data_ptr(), frames.data_ptr()
        )
        if failed:
            raise MemoryError("no memory for the frames of one step")
        return frames

    def sample(self, cond: Tensor, temperature: float | Tensor = 1.0, noise: Tensor | None = None) -> Tensor:
        """See `FrameDensity.sample`."""
        if noise is None:
            noise = torch.randn(*cond.shape[:-1], self.noise_dim)
        frames = self.inverse((noise * temperature).flatten(0, -2), cond.flatten(0, -2))
        return frames.view_as(noise)
