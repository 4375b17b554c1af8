"""Annealed importance sampling (Neal 2001): the normaliser of the last of a sequence of unnormalised densities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from wavetts.model.density.energy.langevin import langevin_step
from wavetts.model.density.energy.objectives import LogDensity, gradients


def annealed_log_weights(
    log_densities: Sequence[LogDensity],
    values: Tensor,
    sizes: Sequence[float],
    steps: int,
    normal: Callable[[Tensor], Tensor],
    uniform: Callable[[Tensor], Tensor],
) -> Tensor:
    """log weights whose mean weight estimates the last normaliser over the first one, without bias.

    From each density to the next there are `steps` geometric means of the two, with a Metropolis-adjusted Langevin
    step (MALA, Roberts and Tweedie 1996) for each.

    Args:
        log_densities: each up to a constant of its own, of values (N, n).
        values: (N, n) draws of the first one.
        sizes: of the Langevin steps, from each density to the next.
        steps: densities on the way from each to the next.
        normal: standard normal noise like a tensor.
        uniform: noise in [0, 1] like a tensor.

    Returns:
        (N,), without gradients.
    """
    with gradients():
        values = values.detach().clone()
        weights = torch.zeros(len(values)).to(values)
        for (former, latter), size in zip(pairwise(log_densities), sizes, strict=True):
            for step in range(1, steps + 1):
                with torch.no_grad():
                    weights = weights + (latter(values) - former(values)) / steps
                values = mala_step(_between(former, latter, step / steps), values, size, normal, uniform)
    return weights


def mala_step(
    log_density: LogDensity,
    values: Tensor,
    size: float,
    normal: Callable[[Tensor], Tensor],
    uniform: Callable[[Tensor], Tensor],
) -> Tensor:
    """A Langevin step that is accepted or refused, so that it keeps the density exactly; inside `gradients`.

    Arguments as of `annealed_log_weights`.
    """
    here, slope = _value_and_score(log_density, values)
    moved = langevin_step(values, slope, size, normal(values))
    there, back = _value_and_score(log_density, moved)
    forward = (moved - values - 0.5 * size**2 * slope).square().sum(-1)
    backward = (values - moved - 0.5 * size**2 * back).square().sum(-1)
    log_ratio = there - here + (forward - backward) / (2 * size**2)
    accepted = torch.log(uniform(here)) < log_ratio
    return torch.where(accepted[:, None], moved, values)


def _between(former: LogDensity, latter: LogDensity, share: float) -> LogDensity:
    return lambda values: (1 - share) * former(values) + share * latter(values)


def _value_and_score(log_density: LogDensity, values: Tensor) -> tuple[Tensor, Tensor]:
    values = values.detach().requires_grad_()
    value = log_density(values)
    (score,) = torch.autograd.grad(value.sum(), values)
    return value.detach(), score
