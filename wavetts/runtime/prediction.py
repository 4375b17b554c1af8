"""Sampling of subframes of linear prediction by the C kernel, the dither removed from what is heard."""

from __future__ import annotations

from ctypes import POINTER, c_float, c_int64, c_void_p
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from wavetts.model.density.base import Sampler, SamplingOptions
from wavetts.model.density.couplings import CouplingFlow
from wavetts.model.density.linear_prediction import LEVEL, RANGE, SOFTEST, LinearPrediction
from wavetts.model.density.pitch import NOISE_FLOOR, PitchSearch
from wavetts.model.density.subframe import SubframeDensity
from wavetts.model.density.whitened_past import WhitenedPast
from wavetts.runtime.bindings import SLIDE, Linear, Structure, call
from wavetts.runtime.couplings import Couplings

# The couplings' matrices are small and many: as float32 they would be read from main memory for every subframe.
COUPLING_SHARE = 16


class _LowPass(Structure):
    _fields_: ClassVar = [
        ("length", c_int64),
        ("response", c_void_p),
    ]

    @classmethod
    def pack(cls, matrix: Tensor, window: int) -> _LowPass:
        """Packs a symmetric Toeplitz matrix (L, L), for windows of L samples or more."""
        half = F.pad(matrix[0], (0, window + 1 - len(matrix)))
        packed = cls(length=window)
        packed.point(response=F.pad(torch.cat([half.flip(0), half[1:]]), (0, SLIDE)))
        return packed


class _PitchSearch(Structure):
    _fields_: ClassVar = [
        ("length", c_int64),
        ("step", c_int64),
        ("size", c_int64),
        ("query", c_int64),
        ("first", c_int64),
        ("last", c_int64),
        ("floor", c_float),
        ("low_pass", _LowPass),
    ]

    @classmethod
    def pack(cls, search: PitchSearch, low_pass: Tensor, window: int) -> _PitchSearch:
        """Packs a search in what the symmetric Toeplitz matrix `low_pass` (L, L) leaves of the end of a window."""
        length, step = len(low_pass), search.step
        filter = _LowPass.pack(low_pass, window)
        packed = cls(length=length, step=step, query=search.query, first=search.first, last=search.last)
        packed.size, packed.floor, packed.low_pass = -(-length // step), search.floor, filter
        packed.parts = [filter]
        return packed


class _WhitenedPast(Structure):
    _fields_: ClassVar = [
        ("length", c_int64),
        ("order", c_int64),
        ("view", c_int64),
        ("fitted", c_int64),
        ("periods", c_int64),
        ("before", c_int64),
        ("count", c_int64),
        ("noise_floor", c_float),
        ("window", c_void_p),
        ("lag_window", c_void_p),
        ("search", _PitchSearch),
    ]

    @classmethod
    def pack(cls, past: WhitenedPast) -> _WhitenedPast:
        """Packs the tables."""
        low_pass, _ = past.filters.chunk(2, 1)
        search = _PitchSearch.pack(past.search, low_pass, past.past_dim)
        packed = cls(length=past.past_dim, order=past.order, view=past.view, noise_floor=NOISE_FLOOR, search=search)
        packed.fitted, packed.periods, packed.before, packed.count = past.fitted, past.periods, past.before, past.length
        packed.point(window=past.window, lag_window=past.lag_window)
        packed.parts = [search]
        return packed


class _LinearPrediction(Structure):
    _fields_: ClassVar = [
        ("frame_length", c_int64),
        ("subframe_length", c_int64),
        ("margin", c_int64),
        ("num_layers", c_int64),
        ("range", c_float),
        ("level", c_float),
        ("softest", c_float),
        ("affine_bound", c_float),
        ("position", c_void_p),
        ("past", _WhitenedPast),
        ("voicing", _PitchSearch),
        ("low_pass", c_void_p),
        ("cond", Linear),
        ("input", Linear),
        ("layers", POINTER(Linear)),
        ("shape", Linear),
        ("envelope", Linear),
        ("cosine", Linear),
        ("gates", Linear),
        ("moments", Linear),
        ("code", Linear),
        ("biases", Linear),
        ("couplings", Couplings),
    ]


class NativeLinearPrediction(Sampler):
    """The sampler of a `SubframeDensity` of `LinearPrediction` of a `CouplingFlow`, computed by the C kernel.

    The score, which the dither is removed by, is computed on the way from noise to samples: each layer's inverse turns
    that of its output into that of its input.

    Args:
        density: the density whose weights are copied.
        smallest: matrices with at least this many weights are held in 8 bits, those of the couplings with a
            `COUPLING_SHARE` of it; None: all are float32.
    """

    _dtype = torch.float32  # it has no parameters that would tell

    def __init__(self, density: SubframeDensity, smallest: int | None) -> None:
        super().__init__(density.frame_length, density.cond_dim, density.past_dim)
        prediction = cast(LinearPrediction, density.flow)
        flow = cast(CouplingFlow, prediction.inner)
        layers = [Linear.of(layer, smallest) for layer in prediction.layers]
        gates = prediction.gates
        parts: dict[str, Structure] = {
            "past": _WhitenedPast.pack(prediction.past),
            "cond": Linear.of(density.cond_linear, smallest),
            "input": Linear.of(prediction.input, smallest),
            "shape": Linear.of(prediction.shape, smallest),
            "envelope": _pack_envelope(prediction, smallest),
            "cosine": Linear.pack(prediction.cosine.T, None, None),
            "gates": Linear.pack(gates.weight, gates.bias - 1, smallest),
            "moments": Linear.of(flow.moments, smallest),
            "couplings": Couplings(length=flow.frame_length),
        }
        if (voicing := density.voicing) is not None:
            parts["voicing"] = _PitchSearch.pack(voicing.search, voicing.low_pass, voicing.length)
        if flow.code is not None:
            parts["code"] = Linear.of(flow.code, smallest)
            parts |= _pack_couplings(flow, None if smallest is None else smallest // COUPLING_SHARE)
        self._density = _LinearPrediction(
            frame_length=density.frame_length,
            subframe_length=density.subframe_length,
            margin=prediction.margin,
            num_layers=len(layers),
            range=RANGE,
            level=LEVEL,
            softest=SOFTEST,
            affine_bound=flow.affine_bound,
            layers=(Linear * len(layers))(*layers),
            **parts,
        )
        taps = prediction.low_pass[: 2 * prediction.margin + 1, 0]
        self._density.point(position=density.position.float(), low_pass=taps)
        # The structure has copies of these, which keep no tensor alive.
        self._parts = [*parts.values(), *layers]

    @staticmethod
    def takes(density: Sampler) -> bool:
        """Whether the kernel supports this density."""
        if not isinstance(density, SubframeDensity) or not isinstance(density.flow, LinearPrediction):
            return False
        return isinstance(density.flow.inner, CouplingFlow)

    def sample(self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator) -> Tensor:
        """See `Sampler.sample`; on the CPU, in float32."""
        return self.sample_clean(cond, options, noise, 0.0)[0]

    def sample_clean(
        self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator, dither: float
    ) -> tuple[Tensor, Tensor]:
        """See `Sampler.sample_clean`; on the CPU, in float32."""
        assert cond.shape[-1] == self.cond_dim + self.past_dim, cond.shape
        noise = self.draw_noise(cond, noise) * options.temperature
        scale = torch.as_tensor(options.voiced_scale, dtype=torch.float32).expand(*noise.shape[:-1], 1)
        frames, heard = torch.empty(noise.shape), torch.empty(noise.shape)
        inputs = [values.reshape(-1, values.shape[-1]).contiguous() for values in (noise, scale, cond)]
        sizes = len(inputs[0]), dither > 0
        call("linear_prediction", self._density, sizes, *inputs, torch.tensor([dither**2]), frames, heard)
        return frames, heard


def _pack_envelope(prediction: LinearPrediction, smallest: int | None) -> Linear:
    """The envelope with the cepstra's part in it, which is linear, too."""
    weight, bias = prediction.envelope.weight.detach(), prediction.envelope.bias.detach()
    smooth, count = prediction.cepstra.T, prediction.num_cepstra
    return Linear.pack(weight[count:] + smooth @ weight[:count], bias[count:] + smooth @ bias[:count], smallest)


def _pack_couplings(flow: CouplingFlow, smallest: int | None) -> dict[str, Structure]:
    """The couplings' networks, and the code's part of their first layers, for all of them together."""
    half, couplings = flow.frame_length // 2, list(flow.couplings)
    told = torch.cat([coupling.input.weight[:, half:] for coupling in couplings])
    biases = Linear.pack(told, torch.cat([coupling.input.bias for coupling in couplings]), smallest)
    networks, backward = [], []
    for coupling in couplings:
        seen = coupling.input.weight[:, :half]
        networks.append([Linear.pack(seen, None, smallest)])
        networks[-1] += [Linear.of(layer, smallest) for layer in (coupling.layer, coupling.output)]
        matrices = (seen, coupling.layer.weight, coupling.output.weight)
        backward.append([Linear.pack(matrix.T, None, smallest) for matrix in matrices])
    packed = Couplings.pack(networks, backward, couplings[0].bound, list(flow.permutations))
    return {"couplings": packed, "biases": biases}
