"""Langevin dynamics: in the space of the values, and in the noise space of a flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from wavetts.model.density.energy.objectives import LogDensity, gradients, score_of


def langevin_step(values: Tensor, score: Tensor, size: float | Tensor, noise: Tensor | float) -> Tensor:
    """y + size^2 / 2 * score + size * noise: an Euler step of the diffusion whose law is the density."""
    return values + 0.5 * size**2 * score + size * noise


def langevin(log_density: LogDensity, values: Tensor, size: float | Tensor, noises: Iterable[Tensor | float]) -> Tensor:
    """A chain of `langevin_step`s.

    Args:
        log_density: of values (N, n), up to a constant.
        values: (N, n), where it starts.
        size: of the steps, a number or (N, 1).
        noises: (N, n) for each step; 0 climbs.

    Returns:
        (N, n), without gradients.
    """
    with gradients():
        values = values.detach().clone()
        for noise in noises:
            values = langevin_step(values, score_of(log_density, values), size, noise).detach()
    return values


def noise_space_langevin(
    score: Callable[[Tensor], Tensor],
    noise: Tensor,
    size: float,
    noises: Iterable[Tensor],
    temperature: float | Tensor = 1.0,
) -> Tensor:
    """A chain in the noise space of a flow, of N(z; 0, I) exp s(z), s being the score of what the flow makes of z.

    A step is that of the preconditioned Crank-Nicolson Langevin proposal (Cotter et al. 2013, section 4.3): the
    Gaussian's part is solved exactly, so that with s = 0 no step changes the law, whatever its size. Nijkamp et al.
    2022 (MCMC should mix) run such chains for energies on flows.

    Args:
        score: s of noise (N, n), (N,).
        noise: (N, n), where it starts: a draw of the flow.
        size: delta, above 0.
        noises: (N, n) standard normal for each step.
        temperature: of these, a number or (N, 1).

    Returns:
        (N, n), without gradients.
    """
    with gradients():
        noise = noise.detach().clone()
        for fresh in noises:
            slope = score_of(score, noise)
            step = (2 - size) * noise + 2 * size * slope + temperature * (8 * size) ** 0.5 * fresh
            noise = (step / (2 + size)).detach()
    return noise


def split_noise(noise: Tensor, length: int) -> list[Tensor]:
    """(N, steps * n) as the noises (N, n) of the steps."""
    return list(torch.split(noise, length, -1))
