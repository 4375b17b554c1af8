"""Scores s(y, c) of values and their context: a network of both, or a dot product f(y) . g(c) of features."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.model.density.transforms import zero_linear
from wavetts.model.layers import module_list

Augmentation: TypeAlias = Literal["none", "nonnegative", "squared"]


class Trunk(nn.Module):
    """Residual blocks of one dense layer, then a layer norm: what is read off it is bounded by the reader's weights.

    Args:
        width: H.
        num_layers: blocks.
    """

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.layers = module_list(nn.Linear(width, width) for _ in range(num_layers))

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) to (..., H)."""
        for layer in self.layers:
            hidden = hidden + layer(F.silu(F.layer_norm(hidden, hidden.shape[-1:])))
        return F.layer_norm(F.silu(hidden), hidden.shape[-1:])


class FeatureNetwork(nn.Module):
    """Features (..., outputs) of values (..., inputs).

    Args:
        inputs: number of values.
        outputs: M, number of features.
        width: H, of the trunk.
        num_layers: of the trunk.
        bias: whether the features have a bias.
        zero: whether the features are zero at the start.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, num_layers: int, bias: bool = True, zero: bool = False
    ) -> None:
        super().__init__()
        self.input, self.trunk = nn.Linear(inputs, width), Trunk(width, num_layers)
        self.output = nn.Linear(width, outputs, bias=bias)
        if zero:
            for parameter in self.output.parameters():
                nn.init.zeros_(parameter)

    def forward(self, values: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return self.output(self.trunk(self.input(values)))


class JointScore(nn.Module):
    """s(y, c) by one network of values and context; zero at the start.

    It has no bias: a constant would cancel against the normaliser.

    Args:
        length: n, values.
        cond_dim: C, width of the context.
        width: H.
        num_layers: residual blocks.
    """

    def __init__(self, length: int, cond_dim: int, width: int, num_layers: int) -> None:
        super().__init__()
        self.input = nn.Linear(length, width, bias=False)
        self.cond_linear = nn.Linear(cond_dim, width)
        self.trunk = Trunk(width, num_layers)
        self.output = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.output.weight)

    def prepare(self, cond: Tensor) -> Tensor:
        """Contexts (..., C), projected once for all values that are scored with them: (..., H)."""
        return self.cond_linear(cond)

    def forward(self, values: Tensor, context: Tensor) -> Tensor:
        """Scores (...) of values (..., n), given `prepare`d contexts that broadcast against them."""
        return self.output(self.trunk(self.input(values) + context))[..., 0]


class DotProduct(nn.Module):
    """s(y, c) = f(y) . g(c): the features that the theory of identifiability is about.

    Khemakhem et al. 2020 (ICE-BeeM, 2002.11537), theorems 1 to 4: trained over one and the same q, f and g of two
    runs agree up to a linear map; with non-negative f, or with f augmented by its squares, up to permutation and scale
    of the features, under the theorems' assumptions.

    Args:
        f: values (..., n) to features (..., M).
        g: contexts (..., C) to features (..., M); (..., 2 M) if f is augmented by its squares.
        augmentation: "nonnegative": softplus of f; "squared": [f, f^2].

    Example:
        >>> head = DotProduct(nn.Linear(4, 2, bias=False), nn.Linear(3, 4), "squared")
        >>> head(torch.zeros(5, 4), head.prepare(torch.zeros(5, 3))).shape
        torch.Size([5])
    """

    def __init__(self, f: nn.Module, g: nn.Module, augmentation: Augmentation = "none") -> None:
        super().__init__()
        self.f, self.g, self.augmentation = f, g, augmentation

    def features(self, values: Tensor) -> Tensor:
        """f of values (..., n), with what it is augmented by: (..., M) or (..., 2 M)."""
        features = self.f(values)
        if self.augmentation == "nonnegative":
            return F.softplus(features)
        return torch.cat([features, features.square()], -1) if self.augmentation == "squared" else features

    def prepare(self, cond: Tensor) -> Tensor:
        """g of contexts (..., C): (..., M) or (..., 2 M)."""
        return self.g(cond)

    def forward(self, values: Tensor, context: Tensor) -> Tensor:
        """Scores (...) of values (..., n), given `prepare`d contexts that broadcast against them."""
        return (self.features(values) * context).sum(-1)


def dot_product(
    length: int, cond_dim: int, num_features: int, width: int, num_layers: int, augmentation: Augmentation = "none"
) -> DotProduct:
    """The dot product of two `FeatureNetwork`s; zero at the start, as g is.

    f has no bias: it would add to the score what depends on the context alone, and cancels against the normaliser.

    Args:
        length: n, values.
        cond_dim: C, width of the context.
        num_features: M.
        width: of both networks.
        num_layers: of both networks.
        augmentation: see `DotProduct`.
    """
    f = FeatureNetwork(length, num_features, width, num_layers, bias=False)
    outputs = 2 * num_features if augmentation == "squared" else num_features
    return DotProduct(f, FeatureNetwork(cond_dim, outputs, width, num_layers, zero=True), augmentation)


def log_normaliser_head(cond_dim: int) -> nn.Linear:
    """A learned log Z(c), linear in the context and zero at the start, for binary noise contrastive estimation."""
    return zero_linear(cond_dim, 1)


Score: TypeAlias = JointScore | DotProduct
