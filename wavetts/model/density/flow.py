"""The paper's density: a multi-stage normalizing flow over the samples of a frame (section 2.2)."""

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
from wavetts.model.layers import module_list


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
    precision: Literal["float32", "bf16"] = opt(
        "float32", "of the coupling networks' products in training; everything else is float32"
    )

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
    inverse_map: tuple[Tensor, Tensor] | None = None  # the result of `FlowStep.invert_map`, if it is known


class FlowStep(nn.Module):
    """ActNorm, invertible 1x1 convolution and affine coupling of (N, J, channels).

    ActNorm and convolution together are one affine map of the channels, and computed as one.
    """

    def __init__(self, channels: int, config: FlowConfig):
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.conv = InvertibleConv(channels)
        self.coupling = ConvCoupling(channels // 2, config.hidden_dim, config.scale_bound, config.precision == "bf16")

    def forward(self, x: Tensor, cond: StepCond) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`; x is (N, J, channels)."""
        weight, log_scale = self.conv.weight, self.actnorm.log_scale
        mixed = torch.addmm(self.actnorm.shift @ weight, x.flatten(0, 1), log_scale.exp()[:, None] * weight)
        log_det = (torch.linalg.slogdet(weight).logabsdet + log_scale.sum()) * x.shape[1]
        kept, changed = mixed.view_as(x).chunk(2, -1)
        changed, coupling_log_det = self.coupling(kept, changed, cond[:2])
        return torch.cat((kept, changed), -1), log_det + coupling_log_det

    def inverse(self, z: Tensor, cond: StepCond) -> Tensor:
        """See `Layer.inverse`."""
        kept, changed = z.chunk(2, -1)
        changed = self.coupling.inverse(kept, changed, cond[:2])
        matrix, shift = cond.inverse_map or self.invert_map()
        return torch.addmm(shift, torch.cat((kept, changed), -1).flatten(0, 1), matrix).view_as(z)

    def invert_map(self) -> tuple[Tensor, Tensor]:
        """Matrix (channels, channels) and shift (channels,) of the inverse of convolution and ActNorm."""
        weight, scale = self.conv.weight, torch.exp(-self.actnorm.log_scale.double())
        matrix = torch.linalg.inv(weight.double()) * scale
        return matrix.to(weight.dtype), (-self.actnorm.shift * scale).to(weight.dtype)

    def initialize(self, x: Tensor) -> None:
        """See `ActNorm.initialize`."""
        self.actnorm.initialize(x)


class FlowStage(nn.Module):
    """The flow steps of one resolution, and an ActNorm.

    Args:
        channels: number of channels.
        positions: (J, position_dim), position features.
        config: the options of the flow.
    """

    positions: Tensor  # (J, position_dim)

    def __init__(self, channels: int, positions: Tensor, config: FlowConfig):
        super().__init__()
        self.register_buffer("positions", positions, persistent=False)
        # A parameter, as a Linear would warn if there are no position features.
        weight = torch.empty(positions.shape[1], config.num_steps * config.hidden_dim)
        self.position_weight = nn.Parameter(weight.uniform_(-1, 1) / max(config.position_dim, 1) ** 0.5)
        self.steps = module_list(FlowStep(channels, config) for _ in range(config.num_steps))
        self.actnorm = ActNorm(channels)

    def layers(
        self, frame_biases: Tensor, inverse_maps: Iterator[tuple[Tensor, Tensor] | None]
    ) -> Iterator[tuple[Layer, StepCond | None]]:
        """The layers of the stage and their `cond`.

        Args:
            frame_biases: (N, num_steps * hidden_dim), projected cond.
            inverse_maps: the result of `FlowStep.invert_map` of each step, or None.
        """
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
    """Squeeze to J positions, then stages of flow steps; between stages neighbouring positions are joined.

    Args:
        config: the options of the flow.
        frame_length: K, samples per frame, a multiple of squeeze * 2^(num_stages - 1).
        cond_dim: C, width of the conditioning.
    """

    def __init__(self, config: FlowConfig, frame_length: int, cond_dim: int):
        super().__init__(frame_length, cond_dim)
        self.squeezes = module_list(Squeeze(2 if i else config.squeeze) for i in range(config.num_stages))
        stages = []
        channels, positions = config.squeeze, position_features(frame_length // config.squeeze, config.position_dim)
        for number in range(config.num_stages):
            if number:
                channels, positions = 2 * channels, positions.unflatten(0, (-1, 2)).mean(1)
            stages.append(FlowStage(channels, positions, config))
        self.stages = module_list(stages)
        # Computes the first biases of all couplings in one product; repeating cond at every position would be slower.
        self.cond_linear = nn.Linear(cond_dim, config.num_stages * config.num_steps * config.hidden_dim)
        self._inverse_maps: list[tuple[Tensor, Tensor]] = []
        self._inverted_weights = torch.empty(0)

    def layers(
        self, cond: Tensor, inverse_maps: Iterable[tuple[Tensor, Tensor]] | None = None
    ) -> Iterator[tuple[Layer, Any]]:
        """See `Flow.layers`; the layers map (N, K, 1) to (N, J, channels).

        Args:
            cond: (N, C).
            inverse_maps: the result of `FlowStep.invert_map` of each step; None: computed where it is needed.
        """
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
        """See `Flow.inverse`; 1x1 convolutions and ActNorms get no gradient."""
        z = noise.unflatten(1, (len(self.stages[-1].positions), -1))
        return Compose(self.layers(cond, self._inverted_steps())).inverse(z).flatten(1)

    @torch.no_grad()
    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """See `Density.initialize`: every ActNorm, first to last, normalises its output over these frames."""
        with torch.autocast(frames.device.type, enabled=False):
            Compose(self.layers(self._pack(cond))).initialize(self._pack(frames)[..., None])

    @torch.no_grad()
    def _inverted_steps(self) -> list[tuple[Tensor, Tensor]]:
        """The result of `FlowStep.invert_map` of every step, cached until a weight changes.

        Weights are compared by value: version counters miss writes through `.data`, and cost as much to collect.
        """
        steps = [step for stage in self.stages for step in stage.steps]
        weights = torch.cat([p.flatten() for s in steps for p in (s.conv.weight, s.actnorm.log_scale, s.actnorm.shift)])
        kept = self._inverted_weights
        if kept.dtype != weights.dtype or kept.device != weights.device or not torch.equal(kept, weights):
            self._inverse_maps, self._inverted_weights = [step.invert_map() for step in steps], weights
        return self._inverse_maps
