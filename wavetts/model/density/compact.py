"""A flow of dense layers over the frame's DCT: few large matrix products, for CPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wavetts.config import CompactFlowConfig
from wavetts.model.density.base import NormalizingFlow
from wavetts.model.density.transforms import DCT, ConditionalAffine, MLPCoupling, Permutation


class CompactFlow(NormalizingFlow):
    """An orthonormal DCT of the frame, a conditional affine layer, then pairs of MLP couplings, permuted between pairs.

    The coefficients are split into even and odd ones, so that both halves span the spectrum; the couplings of a pair
    change one half each.

    Args:
        config: its options.
        frame_length: K, samples per frame, even.
        cond_dim: C, width of the conditioning.
    """

    def __init__(self, config: CompactFlowConfig, frame_length: int, cond_dim: int):
        super().__init__(frame_length, cond_dim)
        half, hidden_dim = frame_length // 2, config.hidden_dim
        self.dct = DCT(frame_length)
        self.affine = ConditionalAffine(frame_length, cond_dim, config.affine_bound, config.num_cepstra)
        # The couplings' first biases, all of them in one product.
        self.cond_linear = nn.Linear(cond_dim, config.num_couplings * hidden_dim)
        self.couplings = nn.ModuleList(
            MLPCoupling(half, hidden_dim, config.num_layers, config.scale_bound, config.precision == "bf16")
            for _ in range(config.num_couplings)
        )
        # The first order parts even from odd; the others are random, but the same in every model.
        generator = torch.Generator().manual_seed(0)
        orders = [torch.arange(frame_length).view(half, 2).T.flatten()]
        orders += [torch.randperm(frame_length, generator=generator) for _ in range(config.num_couplings // 2 - 1)]
        self.permutations = nn.ModuleList(Permutation(order) for order in orders)

    def _cond_biases(self, cond: Tensor) -> tuple[Tensor, ...]:
        """cond (N, C) as each coupling's first bias (N, hidden_dim), in the precision of the couplings' networks."""
        with self.couplings[0].network_precision(cond):
            return self.cond_linear(cond).chunk(len(self.couplings), -1)

    def forward(self, frames: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """See `NormalizingFlow.forward`."""
        x, _ = self.dct(frames)
        x, log_det = self.affine(x, cond)
        biases = self._cond_biases(cond)
        for i, permutation in enumerate(self.permutations):
            x, _ = permutation(x)
            first, second = x.chunk(2, -1)
            second, second_log_det = self.couplings[2 * i](first, second, biases[2 * i])
            first, first_log_det = self.couplings[2 * i + 1](second, first, biases[2 * i + 1])
            x = torch.cat((first, second), -1)
            log_det = log_det + first_log_det + second_log_det
        return x, log_det

    def inverse(self, noise: Tensor, cond: Tensor) -> Tensor:
        """See `NormalizingFlow.inverse`."""
        x, biases = noise, self._cond_biases(cond)
        for i, permutation in reversed(list(enumerate(self.permutations))):
            first, second = x.chunk(2, -1)
            first = self.couplings[2 * i + 1].inverse(second, first, biases[2 * i + 1])
            second = self.couplings[2 * i].inverse(first, second, biases[2 * i])
            x = permutation.inverse(torch.cat((first, second), -1))
        return self.dct.inverse(self.affine.inverse(x, cond))
