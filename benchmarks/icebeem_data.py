"""The data of ICE-BeeM's simulations: Gaussian sources that change from segment to segment, mixed at random.

tcl    independent sources, whose variances change
imca   the same, but they depend on each other within a segment as well
means  independent sources, whose means change too
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import ortho_group, random_correlation

COMPONENTS = 5
SLOPE = 0.2  # of the leaky ReLUs that mix
# Rows of each segment that nothing is trained on.
HELD_OUT = 500
Kind = Literal["tcl", "imca", "means"]


@dataclass(frozen=True)
class Simulation:
    """Rows of a simulation, segment by segment.

    Attributes:
        observed: (N, d), the mixture.
        sources: (N, d).
        segments: (N,) int64.
    """

    observed: np.ndarray
    sources: np.ndarray
    segments: np.ndarray


def simulate(kind: Kind, layers: int, segments: int, samples: int, seed: int) -> tuple[Simulation, Simulation]:
    """Data of the paper's section 5.1: `samples` rows a segment to train on, and others of the same mixture."""
    rng = np.random.default_rng((seed, layers, segments))
    std = rng.uniform(0.01, 3, (segments, COMPONENTS))
    labels = np.repeat(np.arange(segments), samples + HELD_OUT)
    if kind == "imca":
        # What all segments share: a Gaussian with correlations, weakly.
        eigenvalues = rng.random(COMPONENTS)
        base = random_correlation.rvs(eigenvalues / eigenvalues.mean(), random_state=rng)
        shared = np.linalg.inv(base) / (2 * COMPONENTS)
        covariances = [np.linalg.inv(shared + np.diag(1 / row**2)) for row in std]
        drawn = [rng.multivariate_normal(np.zeros(COMPONENTS), each, samples + HELD_OUT) for each in covariances]
        sources = np.concatenate(drawn)
    else:
        means = rng.uniform(-3, 3, std.shape) if kind == "means" else np.zeros(std.shape)
        sources = means[labels] + std[labels] * rng.standard_normal((len(labels), COMPONENTS))
    observed = sources
    for _ in range(layers - 1):
        bent = np.where(observed > 0, observed, SLOPE * observed)
        observed = bent @ ortho_group.rvs(COMPONENTS, random_state=rng)
    training = np.arange(len(labels)) % (samples + HELD_OUT) < samples
    one, other = (Simulation(observed[part], sources[part], labels[part]) for part in (training, ~training))
    return one, other


def target(kind: Kind, sources: np.ndarray) -> np.ndarray:
    """What f is to give: the sources, or their sizes where only these are told by the segments."""
    return sources if kind == "means" else np.abs(sources)
