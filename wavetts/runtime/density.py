"""Sampling of subframes of compact flows by the C kernel, which avoids hundreds of small tensor operations."""

from __future__ import annotations

from ctypes import c_float, c_int64, c_void_p
from typing import ClassVar

import torch
from torch import Tensor

from wavetts.model.density.base import Sampler, SamplingOptions
from wavetts.model.density.compact import CompactFlow
from wavetts.model.density.subframe import LOUDEST, SubframeDensity
from wavetts.runtime.bindings import Linear, Spectrum, Structure, call
from wavetts.runtime.couplings import Couplings


class _SubframeFlow(Structure):
    _fields_: ClassVar = [
        ("frame_length", c_int64),
        ("subframe_length", c_int64),
        ("affine_bound", c_float),
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
        ("couplings", Couplings),
    ]


class NativeSubframeFlow(Sampler):
    """The sampler of a `SubframeDensity` of compact flows, computed by the C kernel.

    Args:
        flow: the density whose weights are copied.
        smallest: matrices with at least this many weights are held in 8 bits; None: all are float32.
    """

    _dtype = torch.float32  # it has no parameters that would tell

    def __init__(self, flow: SubframeDensity, smallest: int | None) -> None:
        super().__init__(flow.frame_length, flow.cond_dim, flow.past_dim)
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
        networks = [(network.input, *network.layers, network.output) for network in couplings]
        linears = [[Linear.of(layer, smallest) for layer in network] for network in networks]
        parts["couplings"] = Couplings.pack(linears, None, couplings[0].bound, list(compact.permutations))
        self._flow = _SubframeFlow(
            frame_length=flow.frame_length,
            subframe_length=flow.subframe_length,
            affine_bound=affine.bound,
            loudest=LOUDEST,
            **parts,
        )
        self._flow.point(position=flow.position.float())
        # The structure has copies of these, which keep no tensor alive.
        self._parts = list(parts.values())

    @staticmethod
    def takes(density: Sampler) -> bool:
        """Whether the kernel supports this density."""
        return isinstance(density, SubframeDensity) and isinstance(density.flow, CompactFlow)

    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`; on the CPU, in float32."""
        assert cond.shape[-1] == self.cond_dim + self.past_dim, cond.shape
        noise = self.draw_noise(cond, noise) * options.temperature
        frames = torch.empty(noise.shape)
        noise, cond = (values.reshape(-1, values.shape[-1]).contiguous() for values in (noise, cond))
        call("subframe_inverse", self._flow, (len(noise),), noise, cond, frames)
        return frames
