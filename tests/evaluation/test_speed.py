from __future__ import annotations

import time

import numpy as np
import pytest

from wavetts.errors import UserError
from wavetts.evaluation.speed import measure_speed

RATE = 1000


class Clock:
    """Speaks 0.1 s a text in 20 ms, one after the other, and has its first sound after 5 ms."""

    sample_rate = RATE

    def __init__(self, megabytes: int = 0) -> None:
        self.memory = np.ones(megabytes * 2**20, dtype=np.uint8)

    def speak(self, texts):
        time.sleep(0.02 * len(texts))
        return [np.zeros(100)] * len(texts)

    def stream(self, text):
        time.sleep(0.005)
        yield np.zeros(10)
        raise AssertionError("no one needs the second")


def broken():
    raise UserError("not installed")


def test_known_times():
    found = measure_speed(Clock, (), ["a", "b", "c"], 1, 1)
    assert found["seconds"] == pytest.approx(0.3)
    assert 0.2 <= found["fastest"] <= found["real_time_factor"] < 0.5
    assert 0.005 <= found["first_audio"] < 0.05
    assert (found["threads"], found["batch"]) == (1, 1)


def test_batches_are_full_ones():
    found = measure_speed(Clock, (), ["a", "b", "c"], 2, 1, runs=1)
    assert found["seconds"] == pytest.approx(0.2)
    assert found["first_audio"] is None


def test_memory_is_the_system_s_own():
    """Whatever this process holds."""
    ballast = np.ones(300 * 2**20, dtype=np.uint8)
    small, large = (measure_speed(Clock, (size,), ["a"], 1, 1, runs=1)["memory"] for size in (0, 200))
    assert 150e6 < large - small < 250e6
    assert small < len(ballast)


def test_mistakes_come_back():
    with pytest.raises(UserError, match="not installed"):
        measure_speed(broken, (), ["a"], 1, 1)
