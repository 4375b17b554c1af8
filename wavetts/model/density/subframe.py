"""A frame as subframes, drawn one after the other: each has a density given the samples before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Density, SamplingOptions
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.pitch import Voicing
from wavetts.model.density.transforms import network_precision

# Upper limit of the log-magnitudes, above those of any speech: drawn samples may be out of range, network inputs not.
LOUDEST = 2.5
# Cepstral coefficients of a random filter; at 16 kHz its response lasts one or two milliseconds.
FILTER_ORDER = 8
# Fields of the compact flow that older files have in the section of the subframes.
_ONCE_HERE = ("num_couplings", "hidden_dim", "num_layers", "num_cepstra", "affine_bound", "scale_bound")


@dataclass
class SubframeConfig(DensityConfig):
    """Parts of a frame one after the other, each by a density that is given the samples before it."""

    kind: Literal["subframe"] = opt("subframe", "subframes one after the other, each by the inner density")
    subframe_length: int = opt(160, "samples of a subframe", at_least=1)
    context_dim: int = opt(512, "width of the network that sees cond and the last samples", at_least=1)
    past_noise: float = opt(
        0.0, "most noise (std) on the samples before a subframe in training, relative to theirs", at_least=0
    )
    past_gain: float = opt(
        0.0, "std of the log of a random gain of the samples before a subframe in training", at_least=0
    )
    past_filter: float = opt(
        0.0, "std of the cepstrum of a random filter of the samples before a frame's parts", at_least=0
    )
    precision: Literal["float32", "bf16"] = opt(
        "float32", "of the products of the network that sees cond and the last samples, in training"
    )
    inner: DensityConfig = opt(CompactFlowConfig, "the density of a subframe")

    @classmethod
    def upgrade(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Older files have the fields of a compact flow among the subframe's, and no `inner`."""
        flat = {key: values[key] for key in _ONCE_HERE if key in values}
        if "inner" in values and not flat:
            return values
        inner = values.get("inner", {})
        if not isinstance(inner, dict) or inner.get("kind", "compact") != "compact":
            return values
        if "precision" in values and "inner" not in values:
            flat["precision"] = values["precision"]
        rest = {key: value for key, value in values.items() if key not in _ONCE_HERE}
        return {**rest, "inner": {"kind": "compact", **inner, **flat}}

    @property
    def guidable(self) -> bool:
        """See `DensityConfig.guidable`."""
        return self.inner.guidable

    @property
    def tilts(self) -> bool:
        """See `DensityConfig.tilts`."""
        return self.inner.tilts

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        if length % self.subframe_length:
            raise UserError(f"{field}: {length} is not a multiple of {self.subframe_length}, {section}.subframe_length")
        self.inner.check_length(self.subframe_length, f"{section}.subframe_length", f"{section}.inner")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> SubframeDensity:
        """See `DensityConfig.build`."""
        return SubframeDensity(self, length, cond_dim, audio)


class SubframeDensity(Density):
    """J subframes of n samples, each with an inner density given cond and the samples before it.

    The density of the frame is the product of those of its subframes, exactly. `log_prob` computes all factors at once,
    `sample` draws one after the other. The decoder, whose recurrence limits the speed of training, still makes one step
    per frame.

    Pitch varies, so that the phases of the harmonics are unpredictable over a frame of 40 ms: a density of whole frames
    learns the spectral envelope early and the relation of the harmonics very late. Over 5 ms the preceding samples
    determine much of it.

    The inner density gets a context (N, J, context_dim). If it has a `past_dim`, the context is linear in cond, with a
    bias for each position in the frame, and is followed by the `past_dim` samples before the subframe. Otherwise a
    network computes the context from cond and from samples, level and spectrum of the last K samples.

    Args:
        config: the options of the density.
        frame_length: K, samples per frame, a multiple of `config.subframe_length`.
        cond_dim: C, width of the conditioning without the samples before the frame.
        audio: passed to the inner density.
    """

    window: Tensor  # (K,)

    def __init__(self, config: SubframeConfig, frame_length: int, cond_dim: int, audio: AudioConfig):
        super().__init__(frame_length, cond_dim)
        self.subframe_length = config.subframe_length
        self.past_noise, self.past_gain, self.past_filter = config.past_noise, config.past_gain, config.past_filter
        self.bf16 = config.precision == "bf16"
        width, count = config.context_dim, frame_length // config.subframe_length
        self.register_buffer("window", torch.hann_window(frame_length), persistent=False)
        self.past_linear = nn.Linear(frame_length + frame_length // 2, width, bias=False)
        self.cond_linear = nn.Linear(cond_dim, width)
        # An embedding of the subframe's position in the frame.
        self.position = nn.Parameter(0.3 * torch.randn(count, width))
        self.layer = nn.Linear(width, width)
        # The inner density; files of the time when it always was a flow call it so.
        self.flow = config.inner.build(config.subframe_length, width, audio)
        self.likelihood, self.guides = self.flow.likelihood, self.flow.guides
        self.loss_is_likelihood = self.flow.loss_is_likelihood
        # An inner density that is conditioned on the past itself needs no network for it.
        self.sees_past = self.flow.past_dim > 0
        if self.sees_past:
            del self.past_linear, self.layer
        self.past_dim = self.flow.past_dim if self.sees_past else frame_length
        self.noise_dim = count * self.flow.noise_dim
        # Without parameters; None where the past is too short to tell.
        self.voicing = Voicing(audio.sample_rate) if self.past_dim >= Voicing.LENGTH * audio.sample_rate else None

    def _context(self, past: Tensor, bias: Tensor) -> Tensor:
        """The context (..., D) of a subframe's density.

        Args:
            past: (..., P), the samples before the subframe.
            bias: (..., context_dim), projected cond and position.
        """
        if self.sees_past:
            return torch.cat([bias, past], -1)
        magnitude = torch.fft.rfft(past * self.window)[..., 1:].abs()
        spectrum = (0.5 * (torch.log(magnitude + 0.1) - 1.0)).clamp(max=LOUDEST)
        level = (past.square().mean(-1, keepdim=True) + 1e-3).sqrt()
        with network_precision(past, self.bf16 and self.training):
            hidden = F.silu(self.past_linear(torch.cat([past / level, spectrum], -1)) + bias)
            hidden = hidden + F.silu(self.layer(hidden))
        return hidden.to(past.dtype)

    def _bias(self, cond: Tensor) -> Tensor:
        """Projected cond (..., C) plus the positions' embeddings: (..., J, context_dim)."""
        return self.cond_linear(cond)[..., None, :] + self.position

    def subframes(
        self, frames: Tensor, cond: Tensor, disturbed: bool = False, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Packed frames (N, K) and cond (N, C + P) as subframes (N, J, n) and their contexts (N, J, D)."""
        cond, before = cond.split([self.cond_dim, self.past_dim], -1)
        seen = torch.cat([before, frames], 1)
        if disturbed and self.past_filter:
            seen = self._filtered(seen, generator)
        past = seen[:, : -self.subframe_length].unfold(1, self.past_dim, self.subframe_length)
        if disturbed and self.past_noise:
            # The strength is uniform up to the maximum, so that the network can learn to rely on cleaner pasts more.
            level = past.std(-1, keepdim=True)
            strength = self.past_noise * torch.rand(level.shape, generator=generator).to(level) * level
            past = past + strength * torch.randn(past.shape, generator=generator).to(past)
        if disturbed and self.past_gain:
            gain = self.past_gain * torch.randn((*past.shape[:-1], 1), generator=generator).to(past)
            past = past * torch.exp(gain)
        return frames.unflatten(1, (-1, self.subframe_length)), self._context(past, self._bias(cond))

    def subframes_alike(
        self, frames: Tensor, conds: Sequence[Tensor], disturbed: bool, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """`subframes` for several contexts, with the same disturbance: subframes and the contexts of each."""
        device = frames.device if generator is None else generator.device
        seed = int(torch.randint(2**62, (), generator=generator, device=device))
        found = [self.subframes(frames, cond, disturbed, torch.Generator().manual_seed(seed)) for cond in conds]
        return [found[0][0], *(contexts for _, contexts in found)]

    def _in_turn(self, method: str, frames: Tensor, cond: Tensor, generator: torch.Generator | None) -> Tensor:
        """`log_prob` or `loss` of the frames, by an inner density that is conditioned on the past itself."""
        with torch.autocast(frames.device.type, enabled=False):
            frames, packed = self._pack(frames), self._pack(cond)
            samples = torch.cat([packed[:, self.cond_dim :], frames[:, : -self.subframe_length]], 1)
            with network_precision(frames, self.bf16 and self.training):
                contexts = self._bias(packed[:, : self.cond_dim])
            parts = frames.unflatten(1, (-1, self.subframe_length))
            values = getattr(self.flow, f"{method}_in_turn")(parts, contexts, samples, generator)
        return values.sum(-1).reshape(cond.shape[:-1])

    def log_prob(self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `Density.log_prob`."""
        if self.sees_past:
            return self._in_turn("log_prob", frames, cond, generator)
        with torch.autocast(frames.device.type, enabled=False):
            parts, contexts = self.subframes(self._pack(frames), self._pack(cond))
            return self.flow.log_prob(parts, contexts, generator).sum(-1).reshape(cond.shape[:-1])

    def loss(
        self, frames: Tensor, cond: Tensor, generator: torch.Generator | None = None, shown: Tensor | None = None
    ) -> Tensor:
        """See `Density.loss`; in training mode the past is disturbed, as drawn samples deviate from recordings.

        `shown` is for an inner density that can be guided, see `Diffusion.loss`.
        """
        disturbed = self.training and bool(self.past_noise or self.past_gain or self.past_filter)
        if self.sees_past and not disturbed:
            return self._in_turn("loss", frames, cond, generator)
        with torch.autocast(frames.device.type, enabled=False):
            frames, conds = self._pack(frames), [self._pack(cond)]
            if shown is None:
                parts, contexts = self.subframes(frames, conds[0], disturbed, generator)
                return self.flow.loss(parts, contexts, generator).sum(-1).reshape(cond.shape[:-1])
            parts, *contexts = self.subframes_alike(frames, [*conds, self._pack(shown)], disturbed, generator)
            return self.flow.loss(parts, contexts[0], generator, contexts[1]).sum(-1).reshape(cond.shape[:-1])

    @torch.no_grad()
    def sample(
        self, cond: Tensor, options: SamplingOptions, noise: Tensor | torch.Generator, null: Tensor | None = None
    ) -> Tensor:
        """See `Sampler.sample`; with `null`, contexts (..., C + P) without text, guided if the inner density can be."""
        parts = self.draw_noise(cond, noise).split(self.flow.noise_dim, -1)

        def draw(j: int, past: Tensor, *contexts: Tensor) -> Tensor:
            return self.flow.sample(contexts[0], self._softened(options, past), parts[j], *contexts[1:])

        return self._draw(cond, null, draw)

    @torch.no_grad()
    def inpaint(
        self,
        cond: Tensor,
        options: SamplingOptions,
        generator: torch.Generator,
        frames: Tensor,
        given: Tensor,
        null: Tensor | None = None,
    ) -> Tensor:
        """See `Sampler.inpaint`: what is given later is looked at within a subframe alone; `null` as of `sample`."""
        parts, masks = frames.split(self.subframe_length, -1), given.split(self.subframe_length)

        def draw(j: int, past: Tensor, *contexts: Tensor) -> Tensor:
            if masks[j].all():
                return parts[j].to(contexts[0])
            if not masks[j].any():
                return self.flow.sample(contexts[0], self._softened(options, past), generator, *contexts[1:])
            return self.flow.inpaint(
                contexts[0], self._softened(options, past), generator, parts[j], masks[j], *contexts[1:]
            )

        return self._draw(cond, null, draw)

    def _draw(self, cond: Tensor, null: Tensor | None, draw: Callable[..., Tensor]) -> Tensor:
        """A frame by `draw` of each subframe from number, past and contexts, with text and, given `null`, without."""
        with torch.autocast(cond.device.type, enabled=False):
            cond, samples = cond.to(self._dtype).split([self.cond_dim, self.past_dim], -1)
            told = [cond] if null is None else [cond, null.to(self._dtype)[..., : self.cond_dim]]
            for j, biases in enumerate(zip(*(self._bias(context).unbind(-2) for context in told), strict=True)):
                past = samples[..., samples.shape[-1] - self.past_dim :]
                samples = torch.cat([samples, draw(j, past, *(self._context(past, bias) for bias in biases))], -1)
        return samples[..., self.past_dim :]

    def _softened(self, options: SamplingOptions, past: Tensor) -> SamplingOptions:
        """The options of the inner density, with the temperature that suits the past (..., P)."""
        if self.voicing is None or (isinstance(options.voiced_scale, float) and options.voiced_scale == 1):
            return options
        temperature = options.temperature * self.voicing(past, options.voiced_scale)
        return replace(options, temperature=temperature, voiced_scale=1.0)

    @torch.no_grad()
    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """See `Density.initialize`."""
        with torch.autocast(frames.device.type, enabled=False):
            parts, contexts = self.subframes(self._pack(frames), self._pack(cond))
            self.flow.initialize(parts.flatten(0, 1), contexts.flatten(0, 1))

    def _filtered(self, samples: Tensor, generator: torch.Generator | None) -> Tensor:
        """Applies to each row of samples (N, S) a random filter that changes its spectral envelope.

        The past then predicts pitch and phase, and the envelope has to be taken from cond. The filter is causal, so
        that no future samples leak into the past: the exponential of a causal cepstrum is causal (Oppenheim and Schafer
        1975, on homomorphic signal processing).
        """
        # Zero padding, so that the circular convolution does not wrap the end of the response around.
        length = max(2 * samples.shape[1], 1024)
        bins = torch.arange(length // 2 + 1, device=samples.device)
        angle = bins[:, None] * torch.arange(1, FILTER_ORDER + 1, device=samples.device) * (2 * math.pi / length)
        waves = torch.polar(torch.ones_like(angle), -angle).to(torch.complex(samples[:1], samples[:1]).dtype)
        cepstrum = self.past_filter * torch.randn(len(samples), FILTER_ORDER, generator=generator).to(samples)
        response = torch.exp(cepstrum.to(waves.dtype) @ waves.T)
        return torch.fft.irfft(torch.fft.rfft(samples, length) * response, length)[:, : samples.shape[1]]
