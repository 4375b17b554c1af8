"""Means with bootstrap confidence intervals, and differences of two systems on the same sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0


def mean_interval(values: Sequence[float], weights: Sequence[float]) -> dict[str, Any]:
    """A weighted mean and its interval by bootstrap over utterances (percentiles).

    Args:
        values: one per utterance.
        weights: one per utterance: 1 for a plain mean; the length of the text for an error rate, so that the mean is
            the rate over all texts.

    Returns:
        "mean", "low" and "high" (None for a single utterance, which gives no interval) and "count".
    """
    value, weight = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    drawn = _draw(len(value))
    return _summary(value, weight, (value * weight)[drawn].sum(1) / weight[drawn].sum(1))


def paired_interval(ours: tuple[Sequence, Sequence], theirs: tuple[Sequence, Sequence]) -> dict[str, Any]:
    """The difference of two weighted means over the same utterances, in the same order, with its interval.

    Both systems are resampled with the same utterances, so that sentences that are hard for both do not widen the
    interval.

    Args:
        ours: values and weights as for `mean_interval`.
        theirs: the same of the system that is subtracted.

    Returns:
        As `mean_interval`; "mean" is the mean of `ours` minus that of `theirs`.
    """
    (a, a_weight), (b, b_weight) = (tuple(np.asarray(x, dtype=np.float64) for x in pair) for pair in (ours, theirs))
    drawn = _draw(len(a))
    means = [(x * w)[drawn].sum(1) / w[drawn].sum(1) for x, w in ((a, a_weight), (b, b_weight))]
    difference = (a * a_weight).sum() / a_weight.sum() - (b * b_weight).sum() / b_weight.sum()
    return {**_summary(a, a_weight, means[0] - means[1]), "mean": float(difference)}


def _draw(count: int) -> np.ndarray:
    """(RESAMPLES, count) indices, the same for all measures of as many utterances."""
    return np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))


def _summary(values: np.ndarray, weights: np.ndarray, means: np.ndarray) -> dict[str, Any]:
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    one = len(values) == 1
    return {
        "mean": float((values * weights).sum() / weights.sum()),
        "low": None if one else float(low),
        "high": None if one else float(high),
        "count": len(values),
    }
