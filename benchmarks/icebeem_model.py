"""The networks of ICE-BeeM's simulations: a flow of an odd number of values, and a dot-product tilt of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from icebeem_data import COMPONENTS
from scipy.stats import ortho_group
from torch import Tensor, nn

from wavetts.model.density.base import Flow
from wavetts.model.density.energy.heads import Augmentation, DotProduct
from wavetts.model.density.transforms import AffineCoupling
from wavetts.model.layers import module_list


class Rotation(nn.Module):
    """A fixed rotation of (N, d)."""

    matrix: Tensor

    def __init__(self, size: int, seed: int) -> None:
        super().__init__()
        matrix = ortho_group.rvs(size, random_state=seed)
        self.register_buffer("matrix", torch.as_tensor(matrix, dtype=torch.float32))

    def forward(self, x: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        return x @ self.matrix, x.new_zeros(len(x))

    def inverse(self, z: Tensor, cond: Tensor) -> Tensor:
        return z @ self.matrix.T


class UnevenCoupling(AffineCoupling):
    """Changes the last values of (N, d), given the first: d may be odd."""

    def __init__(self, size: int, kept: int, width: int) -> None:
        super().__init__(bound=2.0)
        self.kept = kept
        self.network = mlp(kept, width, 2, 2 * (size - kept))
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def _shift_scale(self, kept: Tensor, cond: Any) -> Tensor:
        return self.network(kept)

    def forward(self, x: Tensor, cond: Any) -> tuple[Tensor, Tensor]:  # ty: ignore[invalid-method-override]
        kept, rest = x[:, : self.kept], x[:, self.kept :]
        rest, log_det = super().forward(kept, rest, cond)
        return torch.cat([kept, rest], 1), log_det

    def inverse(self, z: Tensor, cond: Any) -> Tensor:  # ty: ignore[invalid-method-override]
        kept, rest = z[:, : self.kept], z[:, self.kept :]
        return torch.cat([kept, super().inverse(kept, rest, cond)], 1)


class Marginal(Flow):
    """A flow of rows, whatever their segment; its context is a zero."""

    def __init__(self, size: int, couplings: int = 6, width: int = 32) -> None:
        super().__init__(size, 1)
        self.parts = module_list(
            part
            for number in range(couplings)
            for part in (Rotation(size, number), UnevenCoupling(size, size // 2 + number % 2, width))
        )

    def layers(self, cond: Tensor) -> Iterator[tuple[Any, Any]]:
        return ((part, cond) for part in self.parts)


def mlp(inputs: int, width: int, layers: int, outputs: int) -> nn.Sequential:
    """Dense layers with leaky ReLUs between them."""
    sizes = itertools.pairwise([inputs, *[width] * layers])
    hidden = [part for a, b in sizes for part in (nn.Linear(a, b), nn.LeakyReLU(0.1))]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


class Unmixing(nn.Module):
    """Features (N, d) of whitened rows (N, d): a rotation at the start, and a network that bends it.

    A network that starts anywhere gets stuck where two features give the same source.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.linear = nn.Linear(COMPONENTS, COMPONENTS)
        nn.init.orthogonal_(self.linear.weight)
        self.network = mlp(COMPONENTS, width, layers, COMPONENTS)
        nn.init.zeros_(self.network[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.network(x)


class Energy(nn.Module):
    """log m(x | e) - log q(x) = f(x) . g(e) + h(x) - log Z(e): a dot-product tilt of a frozen flow.

    h is what all segments share (the base measure of the sources, the Jacobian of the mixture, and what q makes wrong).
    The theory leaves it free.
    """

    def __init__(self, layers: int, segments: int, augmentation: Augmentation, width: int) -> None:
        super().__init__()
        # Of a segment's number as one of so many: a table.
        g = nn.Embedding(segments, COMPONENTS * (1 + (augmentation == "squared")))
        nn.init.normal_(g.weight, std=0.05)
        self.score = DotProduct(Unmixing(width, layers), g, augmentation)
        self.base, self.log_z = mlp(COMPONENTS, width, layers, 1), nn.Parameter(torch.zeros(segments))
        self.register_buffer("numbers", torch.arange(segments))

    def forward(self, x: Tensor) -> Tensor:
        """(N, E), of rows (N, d) for every segment."""
        return self.score(x[:, None], self.score.prepare(self.numbers)) + self.base(x) - self.log_z
