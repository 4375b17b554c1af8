"""The subframe flow's inverse by the C kernel, at a fraction of what its hundreds of small tensor operations cost."""

from __future__ import annotations

from ctypes import POINTER, c_float, c_int64, c_void_p
from typing import ClassVar

import torch
from torch import Tensor

from wavetts.model.density.base import FrameDensity
from wavetts.model.density.subframe import LOUDEST, SubframeFlow
from wavetts.runtime.bindings import Linear, Spectrum, Structure, call


class _SubframeFlow(Structure):
    _fields_: ClassVar = [
        ("frame_length", c_int64),
        ("subframe_length", c_int64),
        ("num_couplings", c_int64),
        ("num_layers", c_int64),
        ("affine_bound", c_float),
        ("scale_bound", c_float),
        ("loudest", c_float),
        ("spectrum", Spectrum),
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

        parts: dict[str, Structure] = {
            "spectrum": Spectrum.pack(flow.window),
            "past": Linear.of(flow.past_linear, smallest),
            "cond": Linear.of(flow.cond_linear, smallest),
            "layer": Linear.of(flow.layer, smallest),
            "biases": Linear.of(compact.cond_linear, smallest),
            "affine": Linear.of(affine.linear, smallest),
            "dct": Linear.pack(compact.dct.basis, None, None),
        }
        if affine.envelope is not None:
            parts["envelope"] = Linear.of(affine.envelope, smallest)
            parts["cosines"] = Linear.pack(affine.cosines.T, None, None)
        layers = [layer for network in couplings for layer in (network.input, *network.layers, network.output)]
        networks = [Linear.of(layer, smallest) for layer in layers]
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
        call("subframe_inverse", self._flow, (len(noise),), noise, cond, frames)
        return frames
