from __future__ import annotations

import numpy as np
import pytest

from wavetts.evaluation.intervals import mean_interval, paired_interval


def test_interval_of_a_normal_mean():
    """Its width is the textbook's: 2 x 1.96 standard errors."""
    values = np.random.default_rng(1).standard_normal(400)
    found = mean_interval(values, np.ones(400))
    assert found["mean"] == pytest.approx(values.mean())
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)
    assert found["low"] < found["mean"] < found["high"]
    assert found["count"] == 400


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    draws = [mean_interval(rng.exponential(size=60), np.ones(60)) for _ in range(200)]
    assert 0.88 <= np.mean([found["low"] < 1 < found["high"] for found in draws]) <= 0.99


def test_weighted_mean_is_the_rate_of_all_together():
    found = mean_interval([0.0, 0.5, 1.0], [10, 2, 4])
    assert found["mean"] == pytest.approx(5 / 16)
    assert 0 <= found["low"] <= found["high"] <= 1


def test_one_utterance_has_no_interval():
    assert mean_interval([3.0], [1.0]) == {"mean": 3.0, "low": None, "high": None, "count": 1}


def test_same_numbers_same_interval():
    assert mean_interval([1, 2, 3], [1, 1, 1]) == mean_interval([1, 2, 3], [1, 1, 1])


def test_pairing_takes_out_what_both_have_in_common():
    """Sentences differ by 100, systems by 0.1: unpaired intervals overlap, the paired one leaves out zero."""
    rng = np.random.default_rng(3)
    hard = 100 * rng.standard_normal(50)
    a, b = hard + 0.1 + 0.1 * rng.standard_normal(50), hard
    ones = np.ones(50)
    found = paired_interval((a, ones), (b, ones))
    assert found["mean"] == pytest.approx((a - b).mean())
    assert 0 < found["low"] < 0.1 < found["high"] < 0.2
    alone = mean_interval(a, ones), mean_interval(b, ones)
    assert alone[0]["low"] < alone[1]["high"]


def test_difference_of_rates_with_weights_of_their_own():
    found = paired_interval(([0.5, 0.0], [2, 6]), ([0.0, 1.0], [1, 1]))
    assert found["mean"] == pytest.approx(1 / 8 - 1 / 2)
