"""A flow for nearly white values: mean and scale of each, then couplings conditioned on a code of the context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Flow, Layer
from wavetts.model.density.transforms import (
    AffineCoupling,
    Permutation,
    alternate,
    bounded,
    network_precision,
    zero_linear,
)
from wavetts.model.layers import module_list


@dataclass
class CouplingFlowConfig(DensityConfig):
    """Mean and scale of each value, then couplings in the values' own order."""

    kind: Literal["couplings"] = opt("couplings", "conditional affine, MLP couplings with a narrow code of the context")
    num_couplings: int = opt(8, "coupling layers, even; 0: a diagonal Gaussian", at_least=0)
    hidden_dim: int = opt(192, "width of the coupling networks", at_least=1)
    code_dim: int = opt(64, "what the couplings are told of the context; they all share it", at_least=1)
    affine_bound: float = opt(4.0, "bound of the conditional affine layer's log-scale", above=0)
    scale_bound: float = opt(2.0, "bound of a coupling's log-scale", above=0)
    precision: Literal["float32", "bf16"] = opt(
        "float32", "of all networks' products in training; evaluation and synthesis are float32"
    )

    def check(self) -> None:
        """See `Section.check`."""
        if self.num_couplings % 2:
            raise UserError(f"num_couplings: {self.num_couplings} is odd; couplings come in pairs")

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        if length % 2:
            raise UserError(f"{field}: {length} is odd; couplings split it in two")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> CouplingFlow:
        """See `DensityConfig.build`."""
        return CouplingFlow(self, length, cond_dim)


class Affine:
    """An affine map of every value; its `cond` is mean and log-scale, (N, length) each."""

    def __call__(self, x: Tensor, cond: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """See `Layer.__call__`."""
        mean, log_scale = cond
        return (x - mean) * torch.exp(-log_scale), -log_scale.sum(-1)

    def inverse(self, z: Tensor, cond: tuple[Tensor, Tensor]) -> Tensor:
        """See `Layer.inverse`."""
        mean, log_scale = cond
        return z * log_scale.exp() + mean


class CodedCoupling(AffineCoupling):
    """An affine coupling of halves (N, length) by a network of the kept half and a code of the context.

    `cond` is the code (N, code_dim), concatenated with the kept half. Projecting the whole context in each coupling,
    as `MLPCoupling` does, would dominate the cost of small couplings without a better likelihood.
    """

    def __init__(self, length: int, code_dim: int, hidden_dim: int, bound: float, bf16: bool) -> None:
        super().__init__(bound)
        self.bf16 = bf16
        self.input = nn.Linear(length + code_dim, hidden_dim)
        self.layer = nn.Linear(hidden_dim, hidden_dim)
        self.output = zero_linear(hidden_dim, 2 * length)

    def _shift_scale(self, kept: Tensor, cond: Tensor) -> Tensor:
        with network_precision(kept, self.bf16 and self.training):
            code = cond.expand(*kept.shape[:-1], -1)
            hidden = F.silu(self.input(torch.cat([kept.to(cond), code], -1)))
            hidden = hidden + F.silu(self.layer(hidden))
            return self.output(hidden).to(kept)


class CouplingFlow(Flow):
    """A conditional affine layer, then pairs of couplings, with a permutation before each pair.

    The first pair splits the values into even and odd ones, the others at random, in the same way in every model.

    Args:
        config: the options of the flow.
        frame_length: n, number of values, even.
        cond_dim: D, width of the context.
    """

    broadcasts = True

    def __init__(self, config: CouplingFlowConfig, frame_length: int, cond_dim: int) -> None:
        super().__init__(frame_length, cond_dim)
        half, self.bf16 = frame_length // 2, config.precision == "bf16"
        self.affine_bound, self.affine = config.affine_bound, Affine()
        # Mean and log-scale of each value, zero at the start.
        self.moments = zero_linear(cond_dim, 2 * frame_length)
        self.code = nn.Linear(cond_dim, config.code_dim) if config.num_couplings else None
        self.couplings = module_list(
            CodedCoupling(half, config.code_dim, config.hidden_dim, config.scale_bound, self.bf16)
            for _ in range(config.num_couplings)
        )
        generator = torch.Generator().manual_seed(0)
        orders = [torch.arange(frame_length).view(half, 2).T.flatten()]
        orders += [torch.randperm(frame_length, generator=generator) for _ in range(config.num_couplings // 2 - 1)]
        self.permutations = module_list(Permutation(order) for order in orders[: config.num_couplings // 2])

    def layers(self, cond: Tensor) -> Iterator[tuple[Layer, Any]]:
        """See `Flow.layers`."""
        bf16 = self.bf16 and self.training
        with network_precision(cond, bf16):
            # Converted to the products' precision once, for both of them.
            context = cond.bfloat16() if bf16 else cond
            mean, log_scale = self.moments(context).to(cond).chunk(2, -1)
            code = None if self.code is None else self.code(context)
        yield self.affine, (mean, bounded(log_scale, self.affine_bound))
        yield from alternate(self.permutations, self.couplings, [code] * len(self.couplings))
