"""The subframe flow's inverse by the C kernel, at a fraction of what its hundreds of small tensor operations cost."""

from __future__ import annotations

import math
from ctypes import POINTER, c_float, c_int64, c_void_p

import torch
from torch import Tensor, nn

from wavetts import native
from wavetts.density.base import FrameDensity
from wavetts.density.subframe import LOUDEST, SubframeFlow
from wavetts.native import Linear, Structure


class _Spectrum(Structure):
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


class _SubframeFlow(Structure):
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
    """A `SubframeFlow` that draws frames by the C kernel and knows nothing else.

    Args:
        flow: what is taken over; it is copied.
        smallest: of how many weights on a matrix is held in 8 bits; None: none is.
    """

    def __init__(self, flow: SubframeFlow, smallest: int | None) -> None:
        super().__init__(flow.frame_length, flow.cond_dim)
        compact, couplings = flow.flow, flow.flow.couplings

        def pack(weight: Tensor, bias: Tensor | None = None) -> Linear:
            return Linear.pack(weight, bias, smallest is not None and weight.numel() >= smallest)

        def pack_linear(linear: nn.Linear) -> Linear:
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
            couplings=(Linear * len(networks))(*self._networks),
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
        native.call("subframe_inverse", self._flow, len(noise), noise, cond, frames)
        return frames

    def sample(self, cond: Tensor, temperature: float | Tensor = 1.0, noise: Tensor | None = None) -> Tensor:
        """See `FrameDensity.sample`."""
        if noise is None:
            noise = torch.randn(*cond.shape[:-1], self.noise_dim)
        frames = self.inverse((noise * temperature).flatten(0, -2), cond.flatten(0, -2))
        return frames.view_as(noise)
