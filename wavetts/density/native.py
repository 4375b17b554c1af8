"""The subframe flow's inverse by the C kernel, at a fraction of what its hundreds of small tensor operations cost."""

from __future__ import annotations

import math
from ctypes import POINTER, c_float, c_int64, c_void_p
from typing import ClassVar

import torch
from torch import Tensor, nn

from wavetts.density.base import FrameDensity
from wavetts.density.subframe import LOUDEST, SubframeFlow
from wavetts.native import Linear, Structure, call


class _Spectrum(Structure):
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
    def pack(cls, window: Tensor) -> _Spectrum:
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


class _SubframeFlow(Structure):
    _fields_: ClassVar = [
        ("frame_length", c_int64),
        ("subframe_length", c_int64),
        ("num_couplings", c_int64),
        ("num_layers", c_int64),
        ("affine_bound", c_float),
        ("scale_bound", c_float),
        ("loudest", c_float),
        ("spectrum", _Spectrum),
        ("position", c_void_p),
        ("past", Linear),
        ("cond", Linear),
        ("layer", Linear),
        ("biases", Linear),
        ("affine", Linear),
        ("envelope", Linear),
        ("cosines", Linear),
        ("dct", Linear),
        ("couplings", POINTER(Linear)),
        ("orders", c_void_p),
    ]


class NativeSubframeFlow(FrameDensity):
    """What a `SubframeFlow` draws, by the C kernel; it knows no densities.

    Args:
        flow: what is taken over, by copying.
        smallest: matrices of so many weights or more are held in 8 bits; None leaves all of them exact.
    """

    def __init__(self, flow: SubframeFlow, smallest: int | None) -> None:
        super().__init__(flow.frame_length, flow.cond_dim)
        compact, couplings = flow.flow, flow.flow.couplings
        affine = compact.affine

        def pack(weight: Tensor, bias: Tensor | None = None) -> Linear:
            return Linear.pack(weight, bias, int8=smallest is not None and weight.numel() >= smallest)

        def pack_linear(linear: nn.Linear) -> Linear:
            return pack(linear.weight, linear.bias)

        parts: dict[str, Structure] = {
            "spectrum": _Spectrum.pack(flow.window),
            "past": pack_linear(flow.past_linear),
            "cond": pack_linear(flow.cond_linear),
            "layer": pack_linear(flow.layer),
            "biases": pack_linear(compact.cond_linear),
            "affine": pack_linear(affine.linear),
            "dct": pack(compact.dct.basis),
        }
        if affine.envelope is not None:
            parts |= {"envelope": pack_linear(affine.envelope), "cosines": pack(affine.cosines.T)}
        layers = [layer for network in couplings for layer in (network.input, *network.layers, network.output)]
        networks = [pack_linear(layer) for layer in layers]
        self._flow = _SubframeFlow(
            frame_length=flow.frame_length,
            subframe_length=flow.subframe_length,
            num_couplings=len(couplings),
            num_layers=len(couplings[0].layers),
            affine_bound=affine.bound,
            scale_bound=couplings[0].bound,
            loudest=LOUDEST,
            couplings=(Linear * len(networks))(*networks),
            **parts,
        )
        orders = torch.stack([permutation.inverse_order for permutation in compact.permutations])
        self._flow.point(position=flow.position.float(), orders=orders)
        # The structure has copies of these, which keep no tensor alive.
        self._parts = [*parts.values(), *networks]

    @property
    def past_dim(self) -> int:
        """See `FrameDensity.past_dim`."""
        return self.frame_length

    def log_prob(self, frames: Tensor, cond: Tensor) -> Tensor:
        """Not there, as for all that `quantize.quantize_weights` made."""
        raise NotImplementedError("the C kernel only draws")

    def sample(self, cond: Tensor, temperature: float | Tensor = 1.0, noise: Tensor | None = None) -> Tensor:
        """See `FrameDensity.sample`; on the CPU, in float32."""
        shape = (*cond.shape[:-1], self.noise_dim)
        assert cond.shape[-1] == self.cond_dim + self.past_dim, cond.shape
        if noise is None:
            noise = torch.randn(shape)
        assert noise.shape == shape, (noise.shape, shape)
        frames = torch.empty(shape)
        noise, cond = (values.reshape(-1, values.shape[-1]).contiguous() for values in (noise * temperature, cond))
        call("subframe_inverse", self._flow, noise, cond, frames)
        return frames
