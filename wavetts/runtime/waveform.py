"""An engine that turns frames into a waveform by the C kernel: one call in place of a dozen small tensor operations."""

from __future__ import annotations

from ctypes import c_double, c_float
from typing import Any, ClassVar

import torch
from torch import Tensor

from wavetts.model.density import Sampler
from wavetts.model.generate import Engine
from wavetts.model.tacotron import WaveTacotron
from wavetts.runtime.bindings import Structure, call


class _Deemphasis(Structure):
    _fields_: ClassVar = [("coefficient", c_double), ("scale", c_float)]


class NativeEngine(Engine):
    """An `Engine` on the CPU; arguments as for that."""

    def __init__(self, model: WaveTacotron, decoder: Any, density: Sampler, threads: int, name: str) -> None:
        super().__init__(model, decoder, density, threads, name)
        self._deemphasis = _Deemphasis(model.config.audio.preemphasis, float(model.scale))

    def to_waveform(self, frames: Tensor, last_sample: Tensor) -> Tensor:
        """See `Engine.to_waveform`."""
        frames = frames.flatten(1).contiguous()
        waveform = torch.empty_like(frames)
        call("deemphasise", self._deemphasis, tuple(frames.shape), frames, last_sample.contiguous(), waveform)
        return waveform
