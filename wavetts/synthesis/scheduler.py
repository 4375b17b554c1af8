"""The synthesis loop: takes texts, generates frames in batches, decides on retries, returns audio and sentences.

It has no thread of its own. `Voice` runs it to the end of a text, the server's thread while there are clients.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from wavetts.audio.stretch import Stretcher
from wavetts.model.generate import Engine, Generation, RunningBatch
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Take, judge, new_generation, pause_before

# Sentences are prepared between two steps; this limits how long the running ones wait for it, in seconds.
ADMIT_SECONDS = 0.05
# How many batches of sentences a task may be ahead of its first unfinished sentence; limits the memory.
BATCHES_AHEAD = 4
# A task beside another may have so many times its places. On a CPU a step of 16 takes four times as long as one alone.
MOST_TIMES = 3

# Events of a task, in the order of its text: samples (S,) at the requested speed if it streams, each sentence's take,
# and last None (the end) or the exception that ended it.
Event = np.ndarray | Take | Exception | None


@dataclass(eq=False)
class _Slot:
    """The state of a sentence from its first try until it is returned."""

    piece: Piece
    attempt: int = 0
    generation: Generation | None = None  # this try; None: it waits for the next one
    paused: bool = False
    final: bool = False  # there is no further try: `best` is the result
    best: Take | None = None
    frames_given: int = 0
    stretcher: Stretcher | None = None  # of a streamed one

    @property
    def runs(self) -> bool:
        """Whether it is in the batch."""
        return self.generation is not None and not self.paused and not self.final

    @property
    def waits(self) -> bool:
        """Whether it waits for a place in the batch."""
        return self.paused or (self.generation is None and not self.final)


@dataclass(eq=False)
class Task:
    """A text in a scheduler.

    Attributes:
        engine: the engine of its voice.
        sample_rate: of the engine, in Hz.
        pieces: its sentences, requested one by one as places become free. An exception of it ends the task.
        settings: how to speak; temperature and guidance must not be None.
        stream: return every frame at once. There are no retries then.
        cancelled: may be set by any thread; ends the task before the next step, without a further event.
        frames: number of frames generated so far, in all tries.
        tokens: number of tokens of the sentences requested so far.
    """

    engine: Engine
    sample_rate: int
    pieces: Iterator[Piece]
    settings: SynthesisSettings
    stream: bool = False
    cancelled: bool = False
    frames: int = field(default=0, init=False)
    tokens: int = field(default=0, init=False)
    _slots: deque[_Slot] = field(default_factory=deque, init=False, repr=False)
    _given: int = field(default=0, init=False, repr=False)  # sentences
    _served: int = field(default=0, init=False, repr=False)  # when it last got a place
    _all_drawn: bool = field(default=False, init=False, repr=False)

    @property
    def speaking(self) -> int:
        """Number of its sentences in the batch."""
        return sum(slot.runs for slot in self._slots)

    @property
    def retries(self) -> int:
        """How often a sentence that broke off is tried again; at temperature 0 all tries are the same."""
        return self.settings.retries if self.settings.temperature and not self.stream else 0


class Scheduler:
    """Speaks tasks together, up to `batch_size` sentences at once over all engines.

    A free place goes to the task with the fewest places, among these to the one that has waited longest. If no place is
    free, the task with the most gives one up if it has at least two more than the other: its last sentence pauses and
    is resumed later. No task has more than `MOST_TIMES` the places of another, as a step takes longer the more
    sentences are in the batch. So a long text fills the batch while it is alone, and does not delay short ones. The
    result of a task does not depend on the others, as far as `RunningBatch` guarantees it.
    """

    def __init__(
        self, batch_size: int, on_step: Callable[[int, float], None] = lambda sentences, seconds: None
    ) -> None:
        """Creates a scheduler without tasks.

        Args:
            batch_size: largest number of sentences in the batch, over all engines.
            on_step: called after every step of an engine with the number of sentences and the seconds it took.
        """
        self.batch_size, self._on_step = batch_size, on_step
        self.tasks: list[Task] = []  # in the order of their arrival
        self._turns = 0
        self._batches: dict[Engine, RunningBatch] = {}
        self._events: list[tuple[Task, Event]] = []

    def add(self, task: Task) -> None:
        """Adds a task; it begins with the next step."""
        self.tasks.append(task)

    @property
    def busy(self) -> bool:
        """Whether there are tasks, or sentences of cancelled ones."""
        return bool(self.tasks or self._batches)

    @property
    def speaking(self) -> int:
        """Number of sentences in the batch; may be called from any thread."""
        return sum(len(batch.speaking) for batch in list(self._batches.values()))

    def step(self) -> list[tuple[Task, Event]]:
        """Generates one frame of every sentence in the batch.

        An exception ends the tasks that it concerns: while a sentence is prepared or judged, its task; in a step, all
        tasks with a sentence in the batch, whose state is then undefined.

        Returns:
            Pairs of a task and an event.
        """
        self._drop_cancelled()
        self._admit()
        for engine, batch in list(self._batches.items()):
            self._step_batch(engine, batch)
        for task in list(self.tasks):
            self._guard(task, self._give)
        events, self._events = self._events, []
        return events

    def _drop_cancelled(self) -> None:
        for task in [task for task in self.tasks if task.cancelled]:
            self._remove(task)

    def _remove(self, task: Task) -> None:
        self.tasks.remove(task)
        for slot in task._slots:
            if slot.generation is not None:
                slot.generation.cancelled = True

    def _guard(self, task: Task, action: Callable[[Task], None]) -> None:
        """Calls `action(task)`; an exception ends the task."""
        try:
            action(task)
        except Exception as error:
            self._remove(task)
            self._events.append((task, error))

    def _admit(self) -> None:
        """Gives free places, and places of tasks that have too many, to tasks that wait."""
        until = time.monotonic() + ADMIT_SECONDS
        while time.monotonic() < until:
            able = [task for task in self.tasks if self._has_work(task)]
            if not able:
                break
            task = min(able, key=lambda task: (task.speaking, task._served))
            if task.speaking and self._has_enough(task, task.speaking + 1):
                break
            if sum(other.speaking for other in self.tasks) >= self.batch_size:
                # The newest of those that have the most.
                richest = max(reversed(self.tasks), key=lambda task: task.speaking)
                if richest.speaking < task.speaking + 2:
                    break
                self._guard(richest, self._pause_last)
            self._guard(task, self._start_next)
        for task in list(self.tasks):
            while task in self.tasks and self._has_enough(task, task.speaking):
                self._guard(task, self._pause_last)

    def _has_enough(self, task: Task, places: int) -> bool:
        """Whether so many places are more than a task may have beside the others."""
        others = [other.speaking for other in self.tasks if other is not task and other.speaking]
        return bool(others) and places > MOST_TIMES * min(others)

    def _has_work(self, task: Task) -> bool:
        if any(slot.waits for slot in task._slots):
            return True
        return not task._all_drawn and len(task._slots) < BATCHES_AHEAD * self.batch_size

    def _pause_last(self, task: Task) -> None:
        slot = next(slot for slot in reversed(task._slots) if slot.runs)
        assert slot.generation is not None
        self._batches[task.engine].pause(slot.generation)
        slot.paused = True

    def _start_next(self, task: Task) -> None:
        """Adds a waiting sentence of a task to the batch, or the next sentence of its text."""
        self._turns += 1
        task._served = self._turns
        slot = next((slot for slot in task._slots if slot.waits), None)
        if slot is None:
            piece = next(task.pieces, None)
            if piece is None:
                task._all_drawn = True
                return
            slot = _Slot(piece)
            task._slots.append(slot)
            task.tokens += len(piece.tokens)
        batch = self._batches.setdefault(task.engine, RunningBatch(task.engine))
        if slot.paused:
            assert slot.generation is not None
            batch.resume(slot.generation)
            slot.paused = False
            return
        frame_rate = task.sample_rate / task.engine.frame_length
        generation = new_generation(slot.piece, task.settings, slot.attempt, frame_rate)
        batch.add(generation)
        slot.generation = generation

    def _step_batch(self, engine: Engine, batch: RunningBatch) -> None:
        started = time.perf_counter()
        try:
            spoken = batch.step()
        except Exception as error:
            del self._batches[engine]
            for task in [task for task in self.tasks if task.engine is engine]:
                if any(slot.generation is not None and not slot.final for slot in task._slots):
                    self._remove(task)
                    self._events.append((task, error))
            return
        if spoken:
            self._on_step(len(spoken), time.perf_counter() - started)
        elif not any(slot.paused for task in self.tasks if task.engine is engine for slot in task._slots):
            # Frees its tensors.
            del self._batches[engine]

    def _give(self, task: Task) -> None:
        """Judges the sentences that have ended, and creates the events of those that are next in the text."""
        for slot in task._slots:
            if slot.runs and slot.generation is not None and slot.generation.ended:
                self._finish_try(task, slot, slot.generation)
        while task._slots:
            slot = task._slots[0]
            if task.stream:
                self._give_frames(task, slot)
            if not slot.final:
                return
            self._events.append((task, slot.best))
            task._slots.popleft()
            task._given += 1
        if task._all_drawn:
            self.tasks.remove(task)
            self._events.append((task, None))

    def _finish_try(self, task: Task, slot: _Slot, generation: Generation) -> None:
        task.frames += len(generation.samples)
        take = judge(slot.piece, generation, slot.attempt)
        slot.best = take if slot.best is None else slot.best.better(take)
        if take.complete or slot.attempt >= task.retries:
            slot.final = True
        else:
            slot.attempt, slot.generation = slot.attempt + 1, None

    def _give_frames(self, task: Task, slot: _Slot) -> None:
        samples = slot.generation.samples if slot.generation is not None else []
        if slot.stretcher is None:
            slot.stretcher = Stretcher(task.sample_rate, task.settings.speed)
        if samples and task._given and not slot.frames_given:
            self._events.append((task, pause_before(slot.piece, task.settings, task.sample_rate)))
        chunks = [slot.stretcher.write(frame) for frame in samples[slot.frames_given :]]
        slot.frames_given = len(samples)
        if slot.final:
            chunks.append(slot.stretcher.finish())
        self._events += [(task, chunk) for chunk in chunks if len(chunk)]
