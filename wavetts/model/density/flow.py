"""The paper's density: a multi-stage normalizing flow over the frame's samples (section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wavetts.config import FlowConfig
from wavetts.model.density.base import NormalizingFlow
from wavetts.model.density.transforms import ActNorm, ConvCoupling, InvertibleConv, Squeeze


class FlowStep(nn.Module):
    """ActNorm, invertible 1x1 convolution and affine coupling of (N, J, channels); `cond` as `ConvCoupling` takes it.

    ActNorm and convolution are one affine map of the channels, and computed as one.
    """

    def __init__(self, channels: int, config: FlowConfig):
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.conv = InvertibleConv(channels)
        self.coupling = ConvCoupling(channels // 2, config.hidden_dim, config.scale_bound)

    def forward(self, x: Tensor, cond: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Data to noise."""
        weight, log_scale = self.conv.weight, self.actnorm.log_scale
        mixed = torch.addmm(self.actnorm.shift @ weight, x.flatten(0, 1), log_scale.exp()[:, None] * weight)
        log_det = (torch.linalg.slogdet(weight).logabsdet + log_scale.sum()) * x.shape[1]
        kept, changed = mixed.view_as(x).chunk(2, -1)
        changed, coupling_log_det = self.coupling(kept, changed, cond)
        return torch.cat((kept, changed), -1), log_det + coupling_log_det

    def inverse(self, z: Tensor, cond: tuple[Tensor, Tensor], inverse_map: tuple[Tensor, Tensor]) -> Tensor:
        """Noise to data; `inverse_map` is what `invert_map` gives."""
        kept, changed = z.chunk(2, -1)
        changed = self.coupling.inverse(kept, changed, cond)
        matrix, shift = inverse_map
        return torch.addmm(shift, torch.cat((kept, changed), -1).flatten(0, 1), matrix).view_as(z)

    def invert_map(self) -> tuple[Tensor, Tensor]:
        """Matrix (channels, channels) and shift (channels,) that undo convolution and ActNorm."""
        weight, scale = self.conv.weight, torch.exp(-self.actnorm.log_scale.double())
        matrix = torch.linalg.inv(weight.double()) * scale
        return matrix.to(weight.dtype), (-self.actnorm.shift * scale).to(weight.dtype)


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

    def conds(self, frame_biases: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What the couplings take as cond, from the projected cond (N, num_steps * hidden_dim)."""
        count = len(self.steps)
        position_biases = self.positions @ self.position_weight
        return list(zip(frame_biases.chunk(count, -1), position_biases.chunk(count, -1), strict=True))


def position_features(length: int, dim: int) -> Tensor:
    """Sinusoids (length, dim) of positions 0..length-1, of 1 to about 1 / length radians per position."""
    frequencies = float(length) ** (-torch.arange(dim // 2) / max(dim // 2, 1))
    angles = torch.outer(torch.arange(length), frequencies).to(torch.get_default_dtype())
    return torch.cat((angles.sin(), angles.cos()), -1)


class MultiStageFlow(NormalizingFlow):
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

    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """See `NormalizingFlow.forward`."""
        return self._forward(frames, cond, initialize=False)

    @torch.no_grad()
    def initialize(self, frames: Tensor, cond: Tensor) -> None:
        """Normalise the output of every ActNorm over these frames, first to last; only the first call does anything."""
        with torch.autocast(frames.device.type, enabled=False):
            self._forward(self._pack(frames), self._pack(cond), initialize=True)

    def _forward(self, frames: Tensor, cond: Tensor, initialize: bool) -> tuple[Tensor, Tensor]:
        x, log_det = frames[..., None], frames.new_zeros(frames.shape[0])
        biases = self.cond_linear(cond).chunk(len(self.stages), -1)
        for squeeze, stage, frame_biases in zip(self.squeezes, self.stages, biases, strict=True):
            x, _ = squeeze(x)
            for step, step_cond in zip(stage.steps, stage.conds(frame_biases), strict=True):
                if initialize:
                    step.actnorm.initialize(x)
                x, step_log_det = step(x, step_cond)
                log_det = log_det + step_log_det
            if initialize:
                stage.actnorm.initialize(x)
            x, stage_log_det = stage.actnorm(x)
            log_det = log_det + stage_log_det
        return x.flatten(1), log_det

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """See `NormalizingFlow.inverse`; no gradient reaches the 1x1 convolutions and ActNorms."""
        biases = self.cond_linear(cond).chunk(len(self.stages), -1)
        inverse_maps = iter(reversed(self._inverted_steps()))
        z = noise.unflatten(1, (len(self.stages[-1].positions), -1))
        for squeeze, stage, frame_biases in reversed(list(zip(self.squeezes, self.stages, biases, strict=True))):
            z = stage.actnorm.inverse(z)
            for step, step_cond in reversed(list(zip(stage.steps, stage.conds(frame_biases), strict=True))):
                z = step.inverse(z, step_cond, next(inverse_maps))
            z = squeeze.inverse(z)
        return z.flatten(1)

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
