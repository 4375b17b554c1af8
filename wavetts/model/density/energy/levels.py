"""Levels of noise of a recovery likelihood, and the conditional chain that leads from one down to the one before.

x_{t+1} = sqrt(1 - s_t^2) x_t + s_t eps from data x_0 to noise x_T (Gao et al. 2021, Learning energy-based models by
diffusion recovery likelihood, 2012.08125, section 3.2). With y_t = sqrt(1 - s_t^2) x_t the conditional is
p(y_t | x_{t+1}) = exp(F(y_t, t) - |x_{t+1} - y_t|^2 / (2 s_t^2)) / Z: nearly a Gaussian, however many modes the
marginal exp F has, so that a short chain draws from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wavetts.model.density.energy.langevin import langevin
from wavetts.model.density.energy.objectives import LogDensity


class Pair(NamedTuple):
    """Data at one level, scaled, and the same with the noise of the next."""

    y: Tensor  # (N, n)
    noisy: Tensor  # (N, n)


class Levels(nn.Module):
    """T levels whose log of noise over signal rises evenly from `gamma_min` to `gamma_max`; data are level 0.

    Args:
        count: T.
        gamma_min: of x_1.
        gamma_max: of x_T.

    Attributes:
        signal: (T + 1,) the share of the data in x_t; its square and the noise's variance add up to 1.
        scale: (T,) sqrt(1 - s_t^2), which takes x_t to y_t.
        std: (T,) s_t, of the noise between x_t and x_{t+1}.
    """

    signal: Tensor
    scale: Tensor
    std: Tensor

    def __init__(self, count: int, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        gammas = torch.linspace(gamma_min, gamma_max, count, dtype=torch.float64)
        signal = torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(-gammas).sqrt()])
        scale = signal[1:] / signal[:-1]
        tables = {"signal": signal, "scale": scale, "std": (1 - scale.square()).sqrt()}
        for name, table in tables.items():
            self.register_buffer(name, table.to(torch.get_default_dtype()), persistent=False)

    def __len__(self) -> int:
        """T."""
        return len(self.std)

    def pair(self, x: Tensor, t: Tensor, first: Tensor, second: Tensor) -> Pair:
        """y_t and x_{t+1} of data.

        Args:
            x: (N, n) data.
            t: (N,) levels, from 0 to T - 1.
            first: (N, n) standard normal noise of x_t.
            second: (N, n) that of x_{t+1}.
        """
        signal, scale, std = (table[t][:, None] for table in (self.signal, self.scale, self.std))
        y = scale * (signal * x + (1 - signal.square()).clamp(min=0.0).sqrt() * first)
        return Pair(y, y + std * second)


def recovery_log_density(energy: LogDensity, noisy: Tensor, std: Tensor | float) -> LogDensity:
    """log p(y | noisy) up to a constant.

    Args:
        energy: F of y (N, n).
        noisy: (N, n).
        std: of its noise, a number or (N, 1).
    """
    return lambda y: energy(y) - 0.5 * ((noisy - y) / std).square().sum(-1)


def recovery_chain(
    energy: LogDensity, noisy: Tensor, std: Tensor | float, size: float, noises: Iterable[Tensor | float]
) -> Tensor:
    """A draw of p(y | noisy) by Langevin steps (their algorithm 1).

    In units of x_t = y / sqrt(1 - s^2) a step has size b s, and the chain starts at what is expected of standard normal
    data. (Theirs starts at the noisy value, with b s in units of y; that is the same for small s, and for large ones
    this one is still stable.)

    Args:
        energy: F of y (N, n).
        noisy: (N, n).
        std: s, of its noise, a number or (N, 1), below 1.
        size: b.
        noises: (N, n) for each step.

    Returns:
        (N, n), without gradients.
    """
    scale = (1 - std**2) ** 0.5
    return langevin(recovery_log_density(energy, noisy, std), scale**2 * noisy, size * std * scale, noises)
