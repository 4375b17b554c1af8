"""The terms of the variational bound on -log p(x) (Kingma et al. 2021), in nats, summed over the n values.

-log p(x) <= KL(q(z_1 | x) || N(0, I)) + E[-log p(x | z_0)] + diffusion term. `model(z, gamma)` predicts the noise
(N, n) in z (N, n) at levels gamma (N,) or (). Each function evaluates one draw of noise and time; the caller averages.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from wavetts.model.density.diffusion.prediction import noised
from wavetts.model.density.diffusion.schedule import Schedule, VarianceGate

EpsModel = Callable[[Tensor, Tensor], Tensor]


def prior_kl(x: Tensor, gamma_max: Tensor) -> Tensor:
    """KL(q(z_1 | x) || N(0, I)): (..., n) -> (...)."""
    variance = torch.sigmoid(gamma_max)
    log_variance = F.logsigmoid(gamma_max)
    return 0.5 * (variance + (1 - variance) * x.square() - 1 - log_variance).sum(-1)


def noise_error(model: EpsModel, x: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """|eps - eps_hat|^2 of z = alpha x + sigma eps: (N, n), (N,), (N, n) -> (N,)."""
    return (eps - model(noised(x, eps, gamma), gamma)).square().sum(-1)


def continuous_term(
    model: EpsModel, x: Tensor, schedule: Schedule, t: Tensor, eps: Tensor, gate: VarianceGate | None = None
) -> Tensor:
    """1/2 gamma'(t) |eps - eps_hat|^2 (their equation 15): its mean over t and eps is the diffusion term.

    Args:
        model: the denoiser.
        x: (N, n).
        schedule: of gamma.
        t: (N,) in [0, 1).
        eps: (N, n).
        gate: see `Schedule.forward`; it is given the losses.
    """
    gamma, slope = schedule(t, gate)
    losses = 0.5 * slope * noise_error(model, x, gamma, eps)
    if gate is not None:
        gate.set_losses(losses)
    return losses


def finite_term(model: EpsModel, x: Tensor, schedule: Schedule, steps: int, t: Tensor, eps: Tensor) -> Tensor:
    """T/2 (e^(gamma(t) - gamma(s)) - 1) |eps - eps_hat|^2 at one of T steps (their equation 14), as `continuous_term`.

    Args:
        model: the denoiser.
        x: (N, n).
        schedule: of gamma.
        steps: T.
        t: (N,) in [0, 1); selects the step that contains it.
        eps: (N, n).
    """
    start = torch.floor(t * steps)
    (gamma_s, _), (gamma_t, _) = schedule(start / steps), schedule((start + 1) / steps)
    return 0.5 * steps * torch.expm1(gamma_t - gamma_s) * noise_error(model, x, gamma_t, eps)


def decoder_term(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """-log p(x | z_0) of a Gaussian around `mean`, the denoiser's estimate of x from z_0: (..., n) -> (...).

    If data are Gaussian, and the variance is the posterior's, the whole bound is tight at any gamma_0.
    """
    error = (x - mean).square() * torch.exp(-log_variance)
    return 0.5 * (error + log_variance + math.log(2 * math.pi)).sum(-1)
