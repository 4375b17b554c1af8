"""Importance sampling: the normaliser of weights, how much it is worth, and resampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from wavetts.errors import UserError
from wavetts.model.density.base import Density


class Normaliser(NamedTuple):
    """An estimate of log E[w] from n draws."""

    log_mean: Tensor  # (...) nats
    standard_error: Tensor  # (...) nats, of the delta method
    sample_size: Tensor  # (...) effective sample size, from 1 to n


def normaliser(log_weights: Tensor) -> Normaliser:
    """log of the mean weight, over the last dimension.

    The effective sample size is (sum w)^2 / sum w^2 (Kong 1992). The variance of log Z is about 1 / ESS - 1 / n, and it
    is too low by half of that on average.

    Args:
        log_weights: (..., n).
    """
    highest = log_weights.amax(-1, keepdim=True)
    weights = torch.exp(log_weights - highest)
    count = weights.shape[-1]
    size = weights.sum(-1).square() / weights.square().sum(-1)
    variance = (1 / size - 1 / count).clamp(min=0.0)
    return Normaliser(highest[..., 0] + torch.log(weights.mean(-1)), variance.sqrt(), size)


def resample(candidates: Tensor, log_weights: Tensor, uniform: Tensor) -> Tensor:
    """One of the candidates, as likely as its weight says (sampling importance resampling, Rubin 1988).

    Args:
        candidates: (..., n, K).
        log_weights: (..., n).
        uniform: (..., 1) in [0, 1].

    Returns:
        (..., K).
    """
    shares = torch.softmax(log_weights, -1).cumsum(-1)
    index = (shares < uniform).sum(-1, keepdim=True).clamp(max=shares.shape[-1] - 1)
    return torch.take_along_dim(candidates, index[..., None], -2)[..., 0, :]


def check_sample_size(sizes: Tensor, draws: int, least: float) -> None:
    """Refuses an estimate whose weights are too uneven: by the harmonic mean of the effective sample sizes.

    The variance of log Z falls as one over the size, so that it is the harmonic mean that says how good a sum of
    estimates is.

    Raises:
        UserError: it is below `least`.
    """
    mean = len(sizes.flatten()) / float((1 / sizes).sum()) if sizes.numel() else math.inf
    if not mean >= least:
        raise UserError(
            f"likelihood: the effective sample size of its normaliser is {mean:.1f} of {draws} draws, below "
            f"{least:g}: no estimate; take more draws, or train longer or less far"
        )


def estimates_normaliser(density: Density) -> bool:
    """Whether a density's `log_prob` estimates normalisers, which takes hundreds of draws for each context."""
    return any(hasattr(part, "sample_size") for part in density.modules())


def sample_sizes(density: Density, count: int) -> Tensor:
    """Effective sample sizes of what `log_prob` has estimated last, (count,): for each frame the harmonic mean.

    A part of the density that estimates a normaliser keeps them as `sample_size`, of the frames in order and of each
    frame's parts in order.

    Args:
        density: whose `log_prob` was called last with `count` frames.
        count: number of frames.
    """
    found = [part.sample_size for part in density.modules() if hasattr(part, "sample_size")]
    rows = [(1 / sizes.reshape(count, -1)).mean(1) for sizes in found if isinstance(sizes, Tensor)]
    return 1 / torch.stack(rows).mean(0)
