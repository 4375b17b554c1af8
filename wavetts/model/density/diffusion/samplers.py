"""From noise to data with one denoiser: discretisations of the reverse diffusion and of its probability-flow ODE.

Each steps through a grid of levels; `draw` gives fresh noise. Sources: ancestral sampling of
Kingma et al. 2021, appendix A.4; DDIM (Song, Meng and Ermon 2021); the others from Song et al. 2021 (2011.13456), in
the time of gamma, where the variance-preserving process has beta dt = sigma^2 dgamma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from wavetts.model.density.diffusion.bound import EpsModel
from wavetts.model.density.diffusion.prediction import noised, scales

Draw = Callable[[], Tensor]
# Signal-to-noise ratio of a corrector's step (Song et al. 2021, appendix G).
CORRECTOR_RATIO = 0.16


@dataclass(frozen=True)
class Known:
    """Known values, or known linear combinations of them, for inpainting; the others are drawn.

    Attributes:
        values: (N, n), of which only the projection by `project` is used.
        project: the orthogonal projection (N, n) -> (N, n) onto the known subspace; for known values it is a mask.
    """

    values: Tensor
    project: Callable[[Tensor], Tensor]

    def impose(self, z: Tensor, gamma: Tensor, noise: Tensor) -> Tensor:
        """Replaces the known part of z by the known data at this level of noise (Song et al. 2021, appendix I.2)."""
        return z + self.project(noised(self.values, noise, gamma) - z)


@dataclass(frozen=True)
class Path:
    """The arguments of a sampler besides the initial noise.

    Attributes:
        model: the denoiser: noisy values (N, n) and a level () to the noise in them.
        gammas: (steps + 1,) levels, from noise to data.
        draw: gives fresh standard normal noise (N, n).
        temperature: scale of the noise that is added in each step, a number or (N, 1).
        known: the known part of the data, for inpainting; None: all values are drawn.
        corrections: Langevin steps after each of a predictor-corrector.
    """

    model: EpsModel
    gammas: Tensor
    draw: Draw
    temperature: float | Tensor = 1.0
    known: Known | None = None
    corrections: int = 1

    def impose(self, z: Tensor, gamma: Tensor) -> Tensor:
        """z with its known part imposed, see `Known.impose`."""
        return z if self.known is None else self.known.impose(z, gamma, self.draw())


def ancestral_step(path: Path, z: Tensor, gamma_t: Tensor, gamma_s: Tensor) -> Tensor:
    """Draws z_s from q(z_s | z_t, x) with the predicted x."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = scales(gamma_t), scales(gamma_s)
    share = -torch.expm1(gamma_s - gamma_t)
    mean = alpha_s / alpha_t * (z - share * sigma_t * path.model(z, gamma_t))
    return mean + path.temperature * sigma_s * share.sqrt() * path.draw()


def ddim_step(path: Path, z: Tensor, gamma_t: Tensor, gamma_s: Tensor) -> Tensor:
    """z_s from the predicted x and eps: an Euler step of the ODE in z / alpha over sigma / alpha."""
    return _move(z, path.model(z, gamma_t), gamma_t, gamma_s)


def heun_step(path: Path, z: Tensor, gamma_t: Tensor, gamma_s: Tensor) -> Tensor:
    """A DDIM step with the mean of the slopes at both ends (Heun's method)."""
    slope = path.model(z, gamma_t)
    ahead = path.model(_move(z, slope, gamma_t, gamma_s), gamma_s)
    return _move(z, 0.5 * (slope + ahead), gamma_t, gamma_s)


def euler_maruyama_step(path: Path, z: Tensor, gamma_t: Tensor, gamma_s: Tensor) -> Tensor:
    """A step of the reverse SDE, with drift and noise at the start of the step."""
    _, sigma = scales(gamma_t)
    beta = sigma.square() * (gamma_t - gamma_s)
    drift = 0.5 * z - path.model(z, gamma_t) / sigma
    return z + beta * drift + path.temperature * beta.sqrt() * path.draw()


def langevin_step(path: Path, z: Tensor, gamma: Tensor, ratio: float = CORRECTOR_RATIO) -> Tensor:
    """A corrector: one Langevin step at one level; keeps the marginal there to first order in the step size.

    The step size is that of Song et al.'s algorithm 5, with two changes: it uses the expected norm of the noise, so
    that it does not depend on the draw, and it bounds the score's norm from below by that of unit-variance data (Cramer
    and Rao), so that steps stay small at a mode. The norm is computed for each row; rows of only one or two values bias
    the marginal.
    """
    _, sigma = scales(gamma)
    score = -path.model(z, gamma) / sigma
    size = 2 * ratio**2 / score.square().mean(-1, keepdim=True).clamp(min=1.0)
    return z + size * score + path.temperature * (2 * size).sqrt() * path.draw()


def predictor_corrector_step(path: Path, z: Tensor, gamma_t: Tensor, gamma_s: Tensor) -> Tensor:
    """An ancestral step, then Langevin steps at the new level; known values are imposed after each of them."""
    z = ancestral_step(path, z, gamma_t, gamma_s)
    for _ in range(path.corrections):
        z = langevin_step(path, path.impose(z, gamma_s), gamma_s)
    return z


def _move(z: Tensor, slope: Tensor, gamma_t: Tensor, gamma_s: Tensor) -> Tensor:
    """z / alpha moved along d(z / alpha) / d(sigma / alpha) = eps."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = scales(gamma_t), scales(gamma_s)
    return alpha_s * (z / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * slope)


@dataclass(frozen=True)
class Method:
    """A sampler.

    Attributes:
        step: maps z at one level to z at the next.
        evaluations: evaluations of the denoiser per step, with one correction.
        draws: draws of noise per step, with one correction and no known values.
    """

    step: Callable[[Path, Tensor, Tensor, Tensor], Tensor]
    evaluations: int
    draws: int


METHODS = {
    "ancestral": Method(ancestral_step, 1, 1),
    "ddim": Method(ddim_step, 1, 0),
    "heun": Method(heun_step, 2, 0),
    "euler_maruyama": Method(euler_maruyama_step, 1, 1),
    "predictor_corrector": Method(predictor_corrector_step, 2, 2),
}


def spaced_levels(gamma_min: Tensor, gamma_max: Tensor, steps: int, stretch: float = 1.0) -> Tensor:
    """Levels from noise to data, densest where signal and noise are equally strong.

    They are equidistant in the angle whose tangent is (sigma / alpha)^(1 / stretch). A stretch of 1 is a cosine
    schedule, for sampling in few steps; larger values put more steps at both ends, for solving the ODE exactly.

    Returns:
        (steps + 1,), falling from gamma_max to gamma_min.
    """
    return level_at(torch.linspace(0, 1, steps + 1).to(gamma_min), gamma_min, gamma_max, stretch)


def level_at(share: Tensor, gamma_min: Tensor, gamma_max: Tensor, stretch: float = 1.0) -> Tensor:
    """The level after a share (...) of the way from noise to data, by the angle of `spaced_levels`."""
    first, last = (torch.atan(torch.exp(0.5 * gamma / stretch)) for gamma in (gamma_min, gamma_max))
    return 2 * stretch * torch.log(torch.tan(torch.lerp(last, first, share)))


def run(method: str, path: Path, z: Tensor) -> Tensor:
    """Values at the last level of the path, from noise z (N, n) at its first.

    Returns:
        (N, n), divided by alpha: data with a noise floor of e^(gamma / 2).
    """
    z = path.impose(z, path.gammas[0])
    for gamma_t, gamma_s in pairwise(path.gammas):
        z = path.impose(METHODS[method].step(path, z, gamma_t, gamma_s), gamma_s)
    x = z / scales(path.gammas[-1])[0]
    return x if path.known is None else x + path.known.project(path.known.values - x)
