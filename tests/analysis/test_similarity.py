"""Similarity of features: what is the same has a score of 1, what is independent one of 0."""

from __future__ import annotations

import numpy as np
import pytest

from wavetts.analysis.similarity import (
    Canonical,
    Components,
    Matching,
    Scores,
    explained,
    shuffled,
    similarity,
    split_utterances,
)

ROWS = 2000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def halves(rows: int = ROWS) -> np.ndarray:
    return np.arange(rows) < rows // 2


def figures(scores: Scores) -> list[float]:
    return [scores.weak, scores.strong, scores.forward, scores.backward]


def test_a_linear_map_is_seen_through_and_is_not_the_same_features(rng):
    x = rng.standard_normal((ROWS, 12))
    mixed = x @ rng.standard_normal((12, 12)) + 3.0
    scores = similarity(x, mixed, halves(), variance=1.0)
    np.testing.assert_allclose(scores.canonical, 1, atol=1e-9)
    assert scores.weak == pytest.approx(1, abs=1e-9)
    assert scores.forward == pytest.approx(1, abs=1e-9) and scores.backward == pytest.approx(1, abs=1e-9)
    assert scores.strong < 0.8
    assert scores.components == (12, 12)


def test_permutation_sign_scale_and_shift_leave_features_the_same(rng):
    x = rng.standard_normal((ROWS, 12)) * np.linspace(0.5, 2, 12)
    other = 5 - 2 * x[:, rng.permutation(12)] * rng.choice([-1, 1], 12)
    for features in (x, other):
        assert figures(similarity(x, features, halves(), variance=1.0)) == pytest.approx([1] * 4, abs=1e-9)


def test_independent_features_have_nothing_in_common_out_of_sample(rng):
    """In sample, CCA would find 0.65 here."""
    a, b = rng.standard_normal((2, 1000, 256))
    fitted = halves(1000)
    components = Components.fit(a[fitted], 1.0), Components.fit(b[fitted], 1.0)
    analysis = Canonical.fit(*components, a[fitted], b[fitted])
    assert analysis.correlations(a[fitted], b[fitted]).mean() > 0.6
    scores = similarity(a, b, fitted)
    assert abs(scores.weak) < 0.05 and abs(scores.strong) < 0.05
    # A map that was fitted to noise makes things worse.
    assert scores.forward < 0 and scores.backward < 0


def test_scores_do_not_depend_on_an_orthonormal_basis_or_the_unit_but_for_the_strong_one(rng):
    signal = rng.standard_normal((ROWS, 6))
    a = signal @ rng.standard_normal((6, 10)) + 0.5 * rng.standard_normal((ROWS, 10))
    b = signal @ rng.standard_normal((6, 8)) + 0.5 * rng.standard_normal((ROWS, 8))
    rotation, _ = np.linalg.qr(rng.standard_normal((10, 10)))
    plain, turned = similarity(a, b, halves()), similarity(7 * a @ rotation - 2, b, halves())
    assert [turned.weak, turned.forward, turned.backward] == pytest.approx(
        [plain.weak, plain.forward, plain.backward], abs=1e-9
    )
    assert 0.3 < plain.weak < 0.99
    assert turned.strong != pytest.approx(plain.strong, abs=1e-3)


def test_forward_and_backward_tell_which_of_two_holds_the_other(rng):
    x = rng.standard_normal((ROWS, 8))
    scores = similarity(x, x[:, :2], halves(), variance=1.0)
    assert scores.forward == pytest.approx(1)
    assert scores.backward == pytest.approx(0.25, abs=0.03)
    assert scores.weak == pytest.approx(1) and len(scores.canonical) == 2


def test_r_squared_is_that_of_least_squares(rng):
    a = rng.standard_normal((ROWS, 5)) @ rng.standard_normal((5, 5))
    b = a @ rng.standard_normal((5, 3)) + rng.standard_normal((ROWS, 3))
    fitted = halves()
    design = np.hstack([a, np.ones((ROWS, 1))])
    weights, *_ = np.linalg.lstsq(design[fitted], b[fitted], rcond=None)
    rest = b[~fitted] - design[~fitted] @ weights
    expected = 1 - (rest**2).sum() / ((b[~fitted] - b[~fitted].mean(0)) ** 2).sum()
    components = Components.fit(a[fitted], 1.0)
    assert explained(components, a[fitted], b[fitted], a[~fitted], b[~fitted]) == pytest.approx(expected, abs=1e-9)


def test_components_keep_the_share_of_the_variance_that_was_asked_for(rng):
    spread = np.array([10.0, 5, 1, 0.1, 0.01])
    x = rng.standard_normal((ROWS, 5)) * spread
    components = Components.fit(x, 0.99)
    assert components.directions.shape == (5, 2) or components.directions.shape == (5, 3)
    kept = components(x)
    np.testing.assert_allclose(kept.T @ kept / ROWS, np.eye(kept.shape[1]), atol=1e-9)
    share = sum(np.sort(x.var(0))[::-1][: kept.shape[1]]) / x.var(0).sum()
    assert share > 0.99
    assert Components.fit(x, 1.0).directions.shape == (5, 5)
    assert Components.fit(np.full((10, 3), 2.5)).directions.shape == (3, 0)


def test_matching_is_the_best_assignment(rng):
    x = rng.standard_normal((ROWS, 5))
    order = rng.permutation(5)
    matching = Matching.fit(x, -x[:, order] + 0.1 * rng.standard_normal((ROWS, 5)))
    np.testing.assert_array_equal(order[matching.second], matching.first)
    np.testing.assert_array_equal(matching.signs, -1)
    # The greedy choice takes 0.9 first and is left with 0; together 0.8 and 0.8 are more.
    y = np.stack([0.9 * x[:, 0] + 0.8 * x[:, 1], 0.8 * x[:, 0]], 1)
    best = Matching.fit(x[:, :2], y)
    assert list(best.second[np.argsort(best.first)]) == [1, 0]


def test_columns_that_do_not_vary_correlate_with_nothing(rng):
    x = rng.standard_normal((ROWS, 3))
    x[:, 1] = 0.3
    assert similarity(x, x, halves()).strong == pytest.approx(2 / 3)
    nothing = similarity(np.full((ROWS, 2), 0.1), x, halves())
    assert figures(nothing)[:2] == [0, 0] and len(nothing.canonical) == 0
    assert nothing.forward == pytest.approx(0, abs=0.03) and nothing.backward == 0


def test_no_utterance_is_on_both_sides(rng):
    utterances = np.repeat(rng.permutation(31), rng.integers(1, 40, 31))
    fitted = split_utterances(utterances, rng)
    assert not set(utterances[fitted]) & set(utterances[~fitted])
    assert len(set(utterances[fitted])) == 16
    assert (fitted != split_utterances(utterances, rng)).any()


def test_scores_come_from_other_utterances_than_the_fit(rng):
    """Two models that know each utterance by heart, and nothing else. Rows of the same utterances would hide that."""
    utterances = np.repeat(np.arange(40), 50)
    a, b = (
        rng.standard_normal((40, 30))[utterances] + 0.1 * rng.standard_normal((len(utterances), 30)) for _ in range(2)
    )
    leaky = similarity(a, b, rng.random(len(utterances)) < 0.5)
    honest = similarity(a, b, split_utterances(utterances, rng))
    assert leaky.forward > 0.5 and leaky.weak > 0.5
    assert honest.forward < 0 and abs(honest.weak) < 0.2


def test_shuffled_pairs_stay_on_their_side_and_mean_nothing(rng):
    x = rng.standard_normal((ROWS, 6))
    fitted = rng.random(ROWS) < 0.4
    order = shuffled(fitted, rng)
    np.testing.assert_array_equal(np.sort(order), np.arange(ROWS))
    np.testing.assert_array_equal(fitted[order], fitted)
    scores = similarity(x, x[order], fitted)
    assert max(map(abs, figures(scores))) < 0.06


def test_too_few_rows_are_refused(rng):
    x = rng.standard_normal((3, 2))
    with pytest.raises(ValueError, match="1 to score: two of each"):
        similarity(x, x, np.array([True, True, False]))
