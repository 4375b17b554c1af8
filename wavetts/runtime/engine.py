"""Chooses the engine of a model: PyTorch, 8-bit weights, or the C kernel."""

from __future__ import annotations

import copy
from typing import Literal, TypeVar, cast

from torch import nn

from wavetts.errors import UserError
from wavetts.model.density import Sampler
from wavetts.model.density.subframe import SubframeDensity
from wavetts.model.generate import Engine
from wavetts.model.tacotron import WaveTacotron
from wavetts.runtime import bindings
from wavetts.runtime.decoder import NativeDecoder
from wavetts.runtime.density import NativeSubframeFlow
from wavetts.runtime.int8 import SMALLEST, quantize_layers, warn_without_kernel
from wavetts.runtime.prediction import NativeLinearPrediction
from wavetts.runtime.waveform import NativeEngine

Precision = Literal["auto", "float32", "int8"]
M = TypeVar("M", bound=nn.Module)


def build_engine(model: WaveTacotron, precision: Precision = "auto", threads: int = 0) -> Engine:
    """Builds an engine for a model, which is not changed and may be trained or evaluated meanwhile.

    With "int8" the large matrices of decoder and density are held in 8 bits, and the C kernel computes decoder and
    density if it was built and supports them. Encoder, the paper's flow and energies that are drawn from by chains keep
    float32: the encoder runs once per
    utterance, and the flow has many positions per frame, so that reading their weights is not what takes time.

    Args:
        model: in evaluation mode.
        precision: "float32": PyTorch with the model's own modules; "int8": only on CPUs; "auto": int8 on CPUs.
        threads: number of CPU threads of torch; 0: one with the C kernel, which has one thread, else torch's default.

    Raises:
        UserError: int8 on another device.
    """
    place = model.scale.device
    if precision == "int8" and place.type != "cpu":
        raise UserError(f"precision int8 is for CPUs, not for {place}; use float32")
    if precision == "float32" or place.type != "cpu":
        return Engine(model, threads=threads)
    if bindings.library() is None:
        warn_without_kernel()
        return Engine(model, _quantized(model.decoder), _small_density(model), threads, "int8 by torch")
    decoder = NativeDecoder(model.decoder, SMALLEST) if NativeDecoder.takes(model.decoder) else None
    density = _native_density(model)
    if not threads and decoder is not None and model.config.density.kind != "flow":
        threads = 1
    return NativeEngine(model, decoder or _quantized(model.decoder), density or _small_density(model), threads, "int8")


def _native_density(model: WaveTacotron) -> Sampler | None:
    """The density by the kernel; None: it does not support this one, or not what the voice asks of it."""
    density, synthesis = model.density, model.config.synthesis
    if NativeLinearPrediction.takes(density):
        return NativeLinearPrediction(cast(SubframeDensity, density), SMALLEST)
    plain = synthesis.voiced_scale == 1 and not synthesis.remove_dither
    if plain and NativeSubframeFlow.takes(density):
        return NativeSubframeFlow(cast(SubframeDensity, density), SMALLEST)
    return None


def _small_density(model: WaveTacotron) -> Sampler:
    # 8-bit layers have no gradients, which dither is removed by and some densities are sampled by.
    chains = any(isinstance(part, Sampler) and part.follows_gradients for part in model.density.modules())
    exact = chains or model.config.density.kind == "flow" or model.config.synthesis.remove_dither
    return model.density if exact else _quantized(model.density)


def _quantized(module: M) -> M:
    """A copy with 8-bit matrices; it shares all other tensors with the module."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return cast(M, quantize_layers(copy.deepcopy(module, shared)))
