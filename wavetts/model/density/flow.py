"""The paper's density: a multi-stage normalizing flow over the frame's samples (section 2.2)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Compose, Flow, Layer
from wavetts.model.density.transforms import ActNorm, ConvCoupling, InvertibleConv, Squeeze


@dataclass
class FlowConfig(DensityConfig):
    """The paper's multi-stage flow over a frame (section 2.2)."""

    kind: Literal["flow"] = opt("flow", "squeeze, then stages of ActNorm, 1x1 convolution, affine coupling")
    squeeze: int = opt(10, "L, samples that one position of the first stage holds", at_least=1)
    num_stages: int = opt(5, "M, stages; between two, time halves and channels double", at_least=1)
    num_steps: int = opt(12, "N, steps per stage", at_least=1)
    hidden_dim: int = opt(256, "channels of the coupling networks", at_least=1)
    position_dim: int = opt(64, "sinusoidal position features, even; 0: none (not published)", at_least=0)
    scale_bound: float = opt(2.0, "bound b of a coupling's log-scale, b tanh(g / b)", above=0)

    def check(self) -> None:
        """See `Section.check`."""
        if self.squeeze % 2:
            raise UserError(f"squeeze: {self.squeeze} is odd; couplings split the channels in two")
        if self.position_dim % 2:
            raise UserError(f"position_dim: {self.position_dim} is odd")

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        unit = self.squeeze * 2 ** (self.num_stages - 1)
        if length % unit:
            raise UserError(f"{field}: {length} is not a multiple of {unit}, squeeze * 2^(num_stages - 1)")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> MultiStageFlow:
        """See `DensityConfig.build`."""
        return MultiStageFlow(self, length, cond_dim)


class StepCond(NamedTuple):
    """What a flow step is conditioned on."""

    frame: Tensor  # (N, hidden_dim), projected cond
    position: Tensor  # (J, hidden_dim), projected position features
    inverse_map: tuple[Tensor, Tensor] | None = None  # of `FlowStep.invert_map`, where it is known


class FlowStep(nn.Module):
    """ActNorm, invertible 1x1 convolution and affine coupling of (N, J, channels).

    ActNorm and convolution are one affine map of the channels, and computed as one.
    """

    def __init__(self, channels: int, config: FlowConfig):
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.conv = InvertibleConv(channels)
        self.coupling = ConvCoupling(channels // 2, config.hidden_dim, config.scale_bound)

    def forward(self, x: Tensor, cond: StepCond) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        weight, log_scale = self.conv.weight, self.actnorm.log_scale
        mixed = torch.addmm(self.actnorm.shift @ weight, x.flatten(0, 1), log_scale.exp()[:, None] * weight)
        log_det = (torch.linalg.slogdet(weight).logabsdet + log_scale.sum()) * x.shape[1]
        kept, changed = mixed.view_as(x).chunk(2, -1)
        changed, coupling_log_det = self.coupling(kept, changed, cond[:2])
        return torch.cat((kept, changed), -1), log_det + coupling_log_det

    def inverse(self, z: Tensor, cond: StepCond) -> Tensor:
        """Noise to data."""
        kept, changed = z.chunk(2, -1)
        changed = self.coupling.inverse(kept, changed, cond[:2])
        matrix, shift = cond.inverse_map or self.invert_map()
        return torch.addmm(shift, torch.cat((kept, changed), -1).flatten(0, 1), matrix).view_as(z)

    def invert_map(self) -> tuple[Tensor, Tensor]:
        """Matrix (channels, channels) and shift (channels,) that undo convolution and ActNorm."""
        weight, scale = self.conv.weight, torch.exp(-self.actnorm.log_scale.double())
        matrix = torch.linalg.inv(weight.double()) * scale
        return matrix.to(weight.dtype), (-self.actnorm.shift * scale).to(weight.dtype)

    def initialize(self, x: Tensor) -> None:
        """See `ActNorm.initialize`."""
        self.actnorm.initialize(x)


class FlowStage(nn.Module):
    """Flow steps at one resolution and a last ActNorm; `positions` (J, position_dim) are its position features."""

    def __init__(self, channels: int, positions: Tensor, config: FlowConfig):
        super().__init__()
        self.register_buffer("positions", positions, persistent=False)
        # A parameter and not a Linear, which would warn if there are no position features.
        weight = torch.empty(positions.shape[1], config.num_steps * config.hidden_dim)
        self.position_weight = nn.Parameter(weight.uniform_(-1, 1) / max(config.position_dim, 1) ** 0.5)
        self.steps = nn.ModuleList(FlowStep(channels, config) for _ in range(config.num_steps))
        self.actnorm = ActNorm(channels)

    def layers(
        self, frame_biases: Tensor, inverse_maps: Iterator[tuple[Tensor, Tensor] | None]
    ) -> Iterator[tuple[Layer, StepCond | None]]:
        """The stage's layers, as `Compose` takes them, from the projected cond (N, num_steps * hidden_dim)."""
        count = len(self.steps)
        position_biases = self.positions @ self.position_weight
        biases = zip(frame_biases.chunk(count, -1), position_biases.chunk(count, -1), strict=True)
        for step, (frame, position) in zip(self.steps, biases, strict=True):
            yield step, StepCond(frame, position, next(inverse_maps))
        yield self.actnorm, None


def position_features(length: int, dim: int) -> Tensor:
    """Sinusoids (length, dim) of positions 0..length-1, of 1 to about 1 / length radians per position."""
    frequencies = float(length) ** (-torch.arange(dim // 2) / max(dim // 2, 1))
    angles = torch.outer(torch.arange(length), frequencies).to(torch.get_default_dtype())
    return torch.cat((angles.sin(), angles.cos()), -1)


class MultiStageFlow(Flow):
    """Squeeze to J positions, then stages of flow steps; between two, neighbouring positions are joined.

    Args:
        config: its options.
        frame_length: K, samples per frame, a multiple of squeeze * 2^(num_stages - 1).
        cond_dim: C, width of the conditioning.
    """

    def __init__(self, config: FlowConfig, frame_length: int, cond_dim: int):
        super().__init__(frame_length, cond_dim)
        self.squeezes = nn.ModuleList(Squeeze(2 if i else config.squeeze) for i in range(config.num_stages))
        self.stages = nn.ModuleList()
        channels, positions = config.squeeze, position_features(frame_length // config.squeeze, config.position_dim)
        for number in range(config.num_stages):
            if number:
                channels, positions = 2 * channels, positions.unflatten(0, (-1, 2)).mean(1)
            self.stages.append(FlowStage(channels, positions, config))
        # All couplings' first biases in one product; cond repeated at every position would be the same, slower.
        self.cond_linear = nn.Linear(cond_dim, config.num_stages * config.num_steps * config.hidden_dim)
        self._inverse_maps: list[tuple[Tensor, Tensor]] = []
        self._inverted_weights = torch.empty(0)

    def layers(
        self, cond: Tensor, inverse_maps: Iterable[tuple[Tensor, Tensor]] | None = None
    ) -> Iterator[tuple[Layer, Any]]:
        """See `Flow.layers`; they map (N, K, 1) to (N, J, channels). `inverse_maps`: of the steps, if known."""
        maps = itertools.repeat(None) if inverse_maps is None else iter(inverse_maps)
        biases = self.cond_linear(cond).chunk(len(self.stages), -1)
        for squeeze, stage, frame_biases in zip(self.squeezes, self.stages, biases, strict=True):
            yield squeeze, None
            yield from stage.layers(frame_biases, maps)

    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """See `Flow.forward`."""
        z, log_det = Compose(self.layers(cond)).forward(frames[..., None])
        return z.flatten(1), log_det

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """See `Flow.inverse`; no gradient reaches the 1x1 convolutions and ActNorms."""
        z = noise.unflatten(1, (len(self.stages[-1].positions), -1))
        return Compose(self.layers(cond, self._inverted_steps())).inverse(z).flatten(1)

    @torch.no_grad()
    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """Normalises the output of every ActNorm over these frames, first to last; only the first call counts."""
        with torch.autocast(frames.device.type, enabled=False):
            Compose(self.layers(self._pack(cond))).initialize(self._pack(frames)[..., None])

    @torch.no_grad()
    def _inverted_steps(self) -> list[tuple[Tensor, Tensor]]:
        """`FlowStep.invert_map` of every step, kept as long as the weights are the same, to the bit.

        The weights are compared by value: version counters miss writes through `.data`, and cost as much to collect.
        """
        steps = [step for stage in self.stages for step in stage.steps]
        weights = torch.cat([p.flatten() for s in steps for p in (s.conv.weight, s.actnorm.log_scale, s.actnorm.shift)])
        kept = self._inverted_weights
        if kept.dtype != weights.dtype or kept.device != weights.device or not torch.equal(kept, weights):
            self._inverse_maps, self._inverted_weights = [step.invert_map() for step in steps], weights
        return self._inverse_maps
