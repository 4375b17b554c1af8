"""The density of the probability-flow ODE (Song et al. 2021, section 4.3), and its map between data and noise.

With gamma as time the ODE is dz/dgamma = (sigma eps_hat(z, gamma) - sigma^2 z) / 2. It takes data, here alpha x at
gamma_min, to noise at gamma_max, one to one; the density changes by the divergence. With the exact denoiser it gives
the marginals of the diffusion; with a learned one it is a density of its own, so its likelihood is an estimate and
neither the bound's model's nor exact.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from wavetts.model.density.diffusion.bound import EpsModel
from wavetts.model.density.diffusion.prediction import scales
from wavetts.model.density.diffusion.samplers import spaced_levels

# Up to so many values the divergence is the exact trace of the Jacobian; above it is Hutchinson's estimate.
MOST_EXACT = 160
# Spacing of the levels: of 1 to 4 the one whose error is smallest for mixtures.
ODE_STRETCH = 3.0
# Tangents at once.
CHUNK = 40


class Encoded(NamedTuple):
    """The result of `encode`."""

    z: Tensor  # (N, n) at gamma_max
    log_det: Tensor  # (N,) log |dz / dx|


def ode_levels(gamma_min: Tensor, gamma_max: Tensor, steps: int = 128) -> Tensor:
    """Levels (steps + 1,) from data to noise for Heun's method; do not trust log-determinants of under 128 steps."""
    return spaced_levels(gamma_min, gamma_max, steps, ODE_STRETCH).flip(0)


def encode(
    model: EpsModel, x: Tensor, gammas: Tensor, generator: torch.Generator | None = None, exact: bool | None = None
) -> Encoded:
    """Data to noise, by Heun's method.

    Args:
        model: the denoiser.
        x: (N, n).
        gammas: (steps + 1,) levels, from data to noise, as of `ode_levels`.
        generator: of Hutchinson's probes.
        exact: divergences by exact traces; None: up to n = `MOST_EXACT`.
    """
    n = x.shape[-1]
    if n <= MOST_EXACT if exact is None else exact:
        probes = torch.eye(n, dtype=x.dtype, device=x.device)[:, None].expand(n, *x.shape)
    else:
        # Rademacher, one for each row and the same at every level (their appendix D.2).
        device = x.device if generator is None else generator.device
        signs = torch.randint(0, 2, (1, *x.shape), generator=generator, device=device)
        probes = (2 * signs - 1).to(x)
    alpha, _ = scales(gammas[0])
    z, log_det = alpha * x, n * torch.log(alpha).expand(len(x))
    for first, last in pairwise(gammas):
        step = last - first
        slope, divergence = _slope(model, z, first, probes)
        ahead, ahead_divergence = _slope(model, z + step * slope, last, probes)
        z = z + 0.5 * step * (slope + ahead)
        log_det = log_det + 0.5 * step * (divergence + ahead_divergence)
    return Encoded(z, log_det)


def decode(model: EpsModel, z: Tensor, gammas: Tensor) -> Tensor:
    """Noise (N, n) to data (N, n) by the same ODE; `gammas` as of `encode`."""
    for first, last in pairwise(gammas.flip(0)):
        step, slope = last - first, _flow(model, z, first)
        z = z + 0.5 * step * (slope + _flow(model, z + step * slope, last))
    return z / scales(gammas[0])[0]


def log_prob(
    model: EpsModel,
    x: Tensor,
    gammas: Tensor,
    mean: Tensor | float = 0.0,
    variance: Tensor | float = 1.0,
    generator: torch.Generator | None = None,
    exact: bool | None = None,
) -> Tensor:
    """Log-density (N,) of x (N, n) with a noise floor of e^(gamma_min / 2), in nats.

    What is left of the data at gamma_max is taken for Gaussian, with the data's mean and variance.

    Args:
        model: the denoiser.
        x: (N, n).
        gammas: as of `encode`.
        mean: of the data, a number or (n,).
        variance: the same.
        generator: as of `encode`.
        exact: as of `encode`.
    """
    z, log_det = encode(model, x, gammas, generator, exact)
    alpha, sigma = scales(gammas[-1])
    spread = torch.as_tensor(alpha**2 * variance + sigma**2).expand_as(z)
    return log_det - 0.5 * ((z - alpha * mean).square() / spread + spread.log() + math.log(2 * math.pi)).sum(-1)


def _flow(model: EpsModel, z: Tensor, gamma: Tensor) -> Tensor:
    _, sigma = scales(gamma)
    return 0.5 * sigma * (model(z, gamma) - sigma * z)


def _slope(model: EpsModel, z: Tensor, gamma: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    """dz/dgamma (N, n) and its divergence (N,): the sum over probes (P, N, n) of probe^T J probe."""

    def tangent(probe: Tensor) -> tuple[Tensor, Tensor]:
        value, change, *_ = torch.func.jvp(lambda values: _flow(model, values, gamma), (z,), (probe,))
        return value, (probe * change).sum(-1)

    values, traces = torch.func.vmap(tangent, chunk_size=CHUNK)(probes)
    return values[0], traces.sum(0)
