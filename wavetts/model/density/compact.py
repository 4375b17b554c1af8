"""A normalizing flow of dense layers over the DCT of a frame: few, large matrix products, made for CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wavetts.config import AudioConfig, DensityConfig, opt
from wavetts.errors import UserError
from wavetts.model.density.base import Flow, Layer
from wavetts.model.density.transforms import DCT, ConditionalAffine, MLPCoupling, Permutation, alternate
from wavetts.model.layers import module_list


@dataclass
class CompactFlowConfig(DensityConfig):
    """A flow of dense layers over the frame's DCT, for CPUs."""

    kind: Literal["compact"] = opt("compact", "DCT, conditional affine, MLP couplings")
    num_couplings: int = opt(8, "coupling layers, even", at_least=1)
    hidden_dim: int = opt(384, "width of the coupling networks", at_least=1)
    num_layers: int = opt(1, "residual layers in each coupling network", at_least=0)
    num_cepstra: int = opt(
        0, "smooth functions of frequency in the affine layer's log-scales, learnt sooner than these", at_least=0
    )
    affine_bound: float = opt(6.0, "bound of the conditional affine layer's log-scale", above=0)
    scale_bound: float = opt(2.0, "bound of a coupling's log-scale", above=0)
    precision: Literal["float32", "bf16"] = opt(
        "float32", "of the coupling networks' products in training; evaluation and synthesis are float32"
    )

    def check(self) -> None:
        """See `Section.check`."""
        if self.num_couplings % 2:
            raise UserError(f"num_couplings: {self.num_couplings} is odd; couplings come in pairs")

    def check_length(self, length: int, field: str, section: str) -> None:
        """See `DensityConfig.check_length`."""
        if length % 2:
            raise UserError(f"{field}: {length} is odd; couplings split it in two")

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> CompactFlow:
        """See `DensityConfig.build`."""
        return CompactFlow(self, length, cond_dim)


class CompactFlow(Flow):
    """An orthonormal DCT, an affine layer given cond, then pairs of MLP couplings with permutations between them.

    The first pair splits the coefficients into even and odd ones, so that both halves cover the spectrum; the two
    couplings of a pair change one half each.

    Args:
        config: the options of the flow.
        frame_length: K, samples per frame, even.
        cond_dim: C, width of the conditioning.
    """

    broadcasts = True

    def __init__(self, config: CompactFlowConfig, frame_length: int, cond_dim: int):
        super().__init__(frame_length, cond_dim)
        half, hidden_dim = frame_length // 2, config.hidden_dim
        self.dct = DCT(frame_length)
        self.affine = ConditionalAffine(frame_length, cond_dim, config.affine_bound, config.num_cepstra)
        # Computes the first biases of all couplings in one product.
        self.cond_linear = nn.Linear(cond_dim, config.num_couplings * hidden_dim)
        self.couplings = module_list(
            MLPCoupling(half, hidden_dim, config.num_layers, config.scale_bound, config.precision == "bf16")
            for _ in range(config.num_couplings)
        )
        # The first permutation separates even from odd coefficients; the others are random, and the same in all models.
        generator = torch.Generator().manual_seed(0)
        orders = [torch.arange(frame_length).view(half, 2).T.flatten()]
        orders += [torch.randperm(frame_length, generator=generator) for _ in range(config.num_couplings // 2 - 1)]
        self.permutations = module_list(Permutation(order) for order in orders)

    def layers(self, cond: Tensor) -> Iterator[tuple[Layer, Any]]:
        """See `Flow.layers`."""
        yield self.dct, None
        yield self.affine, cond
        with self.couplings[0].network_precision(cond):
            biases = self.cond_linear(cond).chunk(len(self.couplings), -1)
        yield from alternate(self.permutations, self.couplings, biases)
