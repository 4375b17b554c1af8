"""Noise eps, data x and velocity v = alpha eps - sigma x: the quantities that a denoiser may predict.

They are linear in each other given z = alpha x + sigma eps (Salimans and Ho 2022, appendix D). Scales broadcast:
`gamma` is (...) for values (..., n).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from wavetts.model.density.diffusion.schedule import alpha_sigma

Prediction = Literal["eps", "x", "v"]


def scales(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of `gamma` (...), as (..., 1)."""
    alpha, sigma = alpha_sigma(gamma)
    return alpha[..., None], sigma[..., None]


def noised(x: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
    """z = alpha x + sigma eps."""
    alpha, sigma = scales(gamma)
    return alpha * x + sigma * eps


def velocity(x: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
    """v = alpha eps - sigma x."""
    alpha, sigma = scales(gamma)
    return alpha * eps - sigma * x


def to_eps(value: Tensor, z: Tensor, gamma: Tensor, kind: Prediction) -> Tensor:
    """The noise in z that corresponds to a prediction of the given kind."""
    alpha, sigma = scales(gamma)
    if kind == "x":
        return (z - alpha * value) / sigma
    return value if kind == "eps" else sigma * z + alpha * value


def to_x(value: Tensor, z: Tensor, gamma: Tensor, kind: Prediction) -> Tensor:
    """The data in z that correspond to a prediction of the given kind."""
    alpha, sigma = scales(gamma)
    if kind == "eps":
        return (z - sigma * value) / alpha
    return value if kind == "x" else alpha * z - sigma * value


def standard_normal(z: Tensor, gamma: Tensor, kind: Prediction) -> Tensor:
    """The optimal prediction for standard normal data, for which z is standard normal at every level."""
    alpha, sigma = scales(gamma)
    if kind == "v":
        return z.new_zeros(()).expand_as(z)
    return sigma * z if kind == "eps" else alpha * z
