"""How fast a system speaks, when its first sound is there and how much memory it takes, in a process of its own."""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wavetts.errors import UserError
from wavetts.synthesis.settings import SynthesisSettings


class Speaker(Protocol):
    """A text-to-speech system as `measure_speed` runs it."""

    sample_rate: int

    def speak(self, texts: list[str]) -> list[np.ndarray]:
        """Samples (S,) of each text, all at once if the system can."""

    def stream(self, text: str) -> Iterator[np.ndarray]:
        """The samples of one text as soon as they are there."""


class VoiceSpeaker:
    """One of our models."""

    def __init__(
        self, path: str, device: str, threads: int, settings: SynthesisSettings, precision: str = "auto"
    ) -> None:
        """Arguments as for `load_voice`."""
        from wavetts.synthesis.voice import load_voice

        self.voice, self.settings = load_voice(path, device, threads, precision), settings
        self.sample_rate = self.voice.sample_rate

    def speak(self, texts: list[str]) -> list[np.ndarray]:
        """Samples of each text."""
        settings = dataclasses.replace(self.settings, batch_size=len(texts))
        results = self.voice.synthesize([(text, settings.seed) for text in texts], settings)
        return [result.audio for result in results]

    def stream(self, text: str) -> Iterator[np.ndarray]:
        """Frame by frame."""
        yield from self.voice.stream(text, self.settings.seed, self.settings)


def measure_speed(
    build: Callable[..., Speaker], arguments: tuple, texts: list[str], batch_size: int, threads: int, runs: int = 3
) -> dict[str, Any]:
    """Runs a system in a fresh process: its peak memory is its own, and threads are set before it starts.

    Args:
        build: a class or function that can be pickled; called with
        arguments: which set the number of threads if the system has any.
        texts: what to speak.
        batch_size: how many of them at once.
        threads: for the report.
        runs: counted ones, after one to warm up.

    Returns:
        "threads", "batch"; "seconds" of speech in all; "real_time_factor", time over speech, median of the runs, with
        the fastest as "fastest"; "first_audio", seconds from a text to its first samples, median over texts (batch 1
        only); "memory", peak resident bytes, the interpreter and its libraries included.

    Raises:
        UserError: the process died, or what building the system raises.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        try:
            measured = executor.submit(_measure, build, arguments, texts, batch_size, runs).result()
        except BrokenProcessPool:
            raise UserError(f"the process that speaks {batch_size} texts at once died (out of memory?)") from None
    return {"threads": threads, "batch": batch_size, **measured}


def _measure(build: Callable[..., Speaker], arguments: tuple, texts: list[str], size: int, runs: int) -> dict[str, Any]:
    speaker = build(*arguments)
    groups = [texts[start : start + size] for start in range(0, len(texts), size)]
    # Half a batch is not one.
    groups = [group for group in groups if len(group) == size] or [texts]
    speaker.speak(groups[0])
    times, seconds = [], 0.0
    for _ in range(runs):
        start = time.perf_counter()
        spoken = [audio for group in groups for audio in speaker.speak(group)]
        times.append(time.perf_counter() - start)
        seconds = sum(map(len, spoken)) / speaker.sample_rate
    first = [_first_audio(speaker, text) for text in texts] if size == 1 else []
    return {
        "seconds": seconds,
        "real_time_factor": statistics.median(times) / seconds,
        "fastest": min(times) / seconds,
        "first_audio": statistics.median(first) if first else None,
        "memory": peak_memory(),
    }


def _first_audio(speaker: Speaker, text: str) -> float:
    start = time.perf_counter()
    next(iter(speaker.stream(text)))
    return time.perf_counter() - start


def peak_memory() -> int:
    """The most memory that this process had, in bytes.

    Not `ru_maxrss` on Linux, which a started process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
