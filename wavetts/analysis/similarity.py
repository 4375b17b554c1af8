"""How alike two sets of features are: everything is fitted on some rows and scored on others.

In-sample figures say nothing: the canonical correlations of independent features of 256 values reach 0.65 on 500 rows.
So nothing here computes them. Only the singular values and assignments of the fitted rows are used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Of a feature's variance, that principal components keep.
VARIANCE = 0.99
# Relative to the features' size: less than this is the rounding of a constant.
ROUNDING = 1e-10
# Rows for each component below which held-out figures tell of the number of rows rather than of the features.
ROWS_PER_COMPONENT = 10


@dataclass(frozen=True)
class Components:
    """Principal components of unit variance.

    Attributes:
        mean: (D,).
        directions: (D, k), each divided by the standard deviation along it.
    """

    mean: np.ndarray
    directions: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, variance: float = VARIANCE) -> Components:
        """The fewest components that hold a share `variance` of the variance of features (N, D)."""
        mean = features.mean(0)
        _, values, rows = np.linalg.svd(features - mean, full_matrices=False)
        # What is left of a constant is rounding.
        rank = int((values > ROUNDING * np.linalg.norm(features)).sum())
        shares = np.cumsum(values[:rank] ** 2) / max(np.sum(values**2), np.finfo(float).tiny)
        count = min(rank, int(np.searchsorted(shares, variance - 1e-12)) + 1)
        scale = np.sqrt(len(features)) / values[:count]
        return cls(mean, rows[:count].T * scale)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (N, D) in these components, (N, k)."""
        return (features - self.mean) @ self.directions


@dataclass(frozen=True)
class Canonical:
    """Canonical correlation analysis (Hotelling 1936): the pairs of directions that correlate most, in turn.

    Attributes:
        first: components of the first features, rotated; (D1, k).
        second: of the second, (D2, k).
    """

    first: Components
    second: Components

    @classmethod
    def fit(cls, first: Components, second: Components, a: np.ndarray, b: np.ndarray) -> Canonical:
        """The analysis of features a (N, D1) and b (N, D2), within their principal components.

        Components are white, so that the canonical directions are the singular vectors of their covariance.
        """
        left, _, right = np.linalg.svd(first(a).T @ second(b), full_matrices=False)
        return cls(
            Components(first.mean, first.directions @ left), Components(second.mean, second.directions @ right.T)
        )

    def correlations(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(k,): the correlation of each canonical pair on other rows, negative where it turned round."""
        return _paired_correlations(self.first(a), self.second(b))


@dataclass(frozen=True)
class Matching:
    """One-to-one pairs of features, by the Hungarian method, so that the mean absolute correlation is greatest.

    Attributes:
        first: (k,) columns of the first features.
        second: (k,) those that they are paired with.
        signs: (k,) of their correlations.
    """

    first: np.ndarray
    second: np.ndarray
    signs: np.ndarray

    @classmethod
    def fit(cls, a: np.ndarray, b: np.ndarray) -> Matching:
        """The pairs of columns of a (N, D1) and b (N, D2); k is the smaller of D1 and D2."""
        from scipy.optimize import linear_sum_assignment

        correlations = _standard(a).T @ _standard(b)
        first, second = linear_sum_assignment(np.abs(correlations), maximize=True)
        return cls(first, second, np.sign(correlations[first, second]))

    def correlations(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(k,): the correlation of each pair on other rows, negative where it turned round."""
        return self.signs * _paired_correlations(a[:, self.first], b[:, self.second])


@dataclass(frozen=True)
class Scores:
    """How alike features of two models are, on rows that nothing was fitted on.

    Attributes:
        weak: mean correlation of the canonical pairs (the weak MCC of Khemakhem et al. 2020): 1 if the features are the
            same up to a linear map.
        strong: mean correlation coefficient of matched features: 1 if they are the same up to permutation and scale.
        forward: R^2, the share of the second features' variance that a linear map of the first gives.
        backward: of the first features' variance, by the second.
        components: how many principal components each has.
        canonical: the correlation of each canonical pair, in the order of the fitted rows.
    """

    weak: float
    strong: float
    forward: float
    backward: float
    components: tuple[int, int]
    canonical: np.ndarray


def similarity(a: np.ndarray, b: np.ndarray, fitted: np.ndarray, variance: float = VARIANCE) -> Scores:
    """Compares features of the same rows.

    Args:
        a: (N, D1), of the first model.
        b: (N, D2), of the second.
        fitted: (N,) bool, rows that components, canonical directions, pairs and linear maps are fitted on. The others
            are scored.
        variance: the share that principal components keep.

    Raises:
        ValueError: there are fewer than two rows of either kind.
    """
    if min(fitted.sum(), (~fitted).sum()) < 2:
        raise ValueError(f"{fitted.sum()} rows to fit and {(~fitted).sum()} to score: two of each are the least")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    (fit_a, a), (fit_b, b) = (a[fitted], a[~fitted]), (b[fitted], b[~fitted])
    first, second = Components.fit(fit_a, variance), Components.fit(fit_b, variance)
    canonical = Canonical.fit(first, second, fit_a, fit_b).correlations(a, b)
    matched = Matching.fit(fit_a, fit_b).correlations(a, b)
    return Scores(
        weak=_mean(canonical),
        strong=_mean(matched),
        forward=explained(first, fit_a, fit_b, a, b),
        backward=explained(second, fit_b, fit_a, b, a),
        components=(first.directions.shape[1], second.directions.shape[1]),
        canonical=canonical,
    )


def explained(components: Components, fit_a: np.ndarray, fit_b: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """R^2 of the least-squares map from the components of a to b: 1 - (squared error) / (variance), of all columns.

    Args:
        components: of `fit_a`.
        fit_a: (M, D1), what the map is fitted on.
        fit_b: (M, D2).
        a: (N, D1), what is scored.
        b: (N, D2).
    """
    mean = fit_b.mean(0)
    weights = components(fit_a).T @ (fit_b - mean) / len(fit_a)
    error = np.square(b - mean - components(a) @ weights).sum()
    total = np.square(b - b.mean(0)).sum()
    return float(1 - error / total) if total > (ROUNDING * np.linalg.norm(b)) ** 2 else 0.0


def split_utterances(utterances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool: the rows of a random half of the utterances.

    Neighbouring frames are alike. With some of an utterance among the fitted rows, its other rows would not be new.

    Args:
        utterances: (N,) the number of each row's utterance; there are two at least.
        rng: draws the half.
    """
    numbers = rng.permutation(np.unique(utterances))
    assert len(numbers) > 1, "half of one utterance"
    return np.isin(utterances, numbers[: (len(numbers) + 1) // 2])


def shuffled(fitted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) an order of the rows that moves fitted rows among themselves, and the others too: pairs mean nothing."""
    order = np.arange(len(fitted))
    for rows in (np.flatnonzero(fitted), np.flatnonzero(~fitted)):
        order[rows] = rng.permutation(rows)
    return order


def _standard(features: np.ndarray) -> np.ndarray:
    """Columns of zero mean and unit length; constant ones are zero."""
    centred = features - features.mean(0)
    length = np.linalg.norm(centred, axis=0)
    constant = length <= ROUNDING * np.linalg.norm(features, axis=0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, length))


def _paired_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (_standard(a) * _standard(b)).sum(0)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
