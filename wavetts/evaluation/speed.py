"""Real-time factor, latency of the first audio and peak memory of a system, measured in a process of its own."""

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
from typing import Any, Literal, Protocol

import numpy as np

from wavetts.errors import UserError
from wavetts.synthesis.settings import SynthesisSettings


class Speaker(Protocol):
    """A text-to-speech system, as `measure_speed` uses it."""

    sample_rate: int

    def speak(self, texts: list[str]) -> list[np.ndarray]:
        """Returns the samples (S,) of each text, computed as one batch if the system can."""

    def stream(self, text: str) -> Iterator[np.ndarray]:
        """Yields the samples of one text as they are generated."""


class VoiceSpeaker:
    """A voice of this package."""

    def __init__(
        self,
        path: str,
        device: str,
        threads: int,
        settings: SynthesisSettings,
        precision: Literal["auto", "float32", "int8"] = "auto",
    ) -> None:
        """Arguments as for `load_voice`."""
        from wavetts.synthesis.voice import load_voice

        self.voice, self.settings = load_voice(path, device, threads, precision), settings
        self.sample_rate = self.voice.sample_rate

    def speak(self, texts: list[str]) -> list[np.ndarray]:
        """See `Speaker.speak`."""
        settings = dataclasses.replace(self.settings, batch_size=len(texts))
        results = self.voice.synthesize([(text, settings.seed) for text in texts], settings)
        return [result.audio for result in results]

    def stream(self, text: str) -> Iterator[np.ndarray]:
        """See `Speaker.stream`."""
        yield from self.voice.stream(text, self.settings.seed, self.settings)


def measure_speed(
    build: Callable[..., Speaker], arguments: tuple, texts: list[str], batch_size: int, threads: int, runs: int = 3
) -> dict[str, Any]:
    """Measures a system in a new process, so that its peak memory and number of threads are its own.

    Args:
        build: returns the system when called with `arguments`; picklable.
        arguments: for `build`; they also set the system's number of threads.
        texts: the texts to speak.
        batch_size: number of texts spoken at once.
        threads: number of threads, only passed on to the result.
        runs: number of timed runs, after one to warm up.

    Returns:
        "threads", "batch"; "seconds": total duration of the speech; "real_time_factor": seconds of computation per
        second of speech, median over the runs; "fastest": that of the fastest run; "first_audio": seconds from a text
        to its first samples, median over texts (None unless `batch_size` is 1); "memory": peak resident bytes of the
        process, with interpreter and libraries.

    Raises:
        UserError: the process died. Exceptions of `build` are passed on.
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
    # An incomplete last batch would be measured as a whole one.
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
    """Peak resident memory of this process in bytes.

    On Linux this is not `ru_maxrss`, whose value a new process inherits from its parent.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
