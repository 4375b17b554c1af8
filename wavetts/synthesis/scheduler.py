"""The loop behind all speech: texts come in, frames and finished sentences go out, and it decides on new tries.

It has no thread of its own. `Voice` runs it to the end of a text, the server's thread for as long as there are clients.
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

# Sentences are made ready to speak between two frames; those who speak already wait no longer than about this.
ADMIT_SECONDS = 0.05
# A task may be so many batches of sentences ahead of the first one that is not finished: what waits takes memory.
BATCHES_AHEAD = 4

# What comes of a task, in the text's order: samples of a streamed one, each sentence's take, and last None (all is
# spoken) or what went wrong.
Event = np.ndarray | Take | Exception | None


@dataclass(eq=False)
class _Slot:
    """A sentence from its first try until it is given away."""

    piece: Piece
    attempt: int = 0
    generation: Generation | None = None  # of this try; None: it waits for the next one
    paused: bool = False
    final: bool = False  # `best` is what is given
    best: Take | None = None
    frames_given: int = 0
    stretcher: Stretcher | None = None  # of a streamed task

    @property
    def runs(self) -> bool:
        """It has a place in the batch."""
        return self.generation is not None and not self.paused and not self.final

    @property
    def waits(self) -> bool:
        """It needs a place."""
        return self.paused or (self.generation is None and not self.final)


@dataclass(eq=False)
class Task:
    """A text in a scheduler.

    Attributes:
        engine: who speaks.
        sample_rate: in Hz, of `engine`.
        pieces: its sentences; each is asked for when there is a place for it. What it raises ends the task.
        settings: how to speak, with temperature and guidance that are not None.
        stream: give each frame as it comes. What was heard cannot be tried again, so there is one try.
        cancelled: who sets it, from any thread, ends the task before the next frame; no further event comes.
        frames: that were spoken so far, in all tries.
        tokens: of the sentences that were asked for so far.
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
        """How many of its sentences have a place in the batch."""
        return sum(slot.runs for slot in self._slots)

    @property
    def retries(self) -> int:
        """New tries for a sentence that broke off; without noise every try is the same."""
        return self.settings.retries if self.settings.temperature and not self.stream else 0


class Scheduler:
    """Speaks tasks together, up to `batch_size` sentences at once over all engines.

    A place that becomes free goes to the task that has the fewest, of these to the one that has waited longest for its
    turn. If none is free, the task that has the most gives one up, as long as it has two more than the other: its last
    sentence pauses and goes on later. So a long text fills the batch when it is alone and does not hold up short ones.
    What comes of a task does not depend on the others, as exactly as `RunningBatch` says.
    """

    def __init__(
        self, batch_size: int, on_step: Callable[[int, float], None] = lambda sentences, seconds: None
    ) -> None:
        """No tasks yet.

        Args:
            batch_size: the most sentences that speak at once.
            on_step: told of every step of an engine how many sentences spoke a frame and how long it took.
        """
        self.batch_size, self._on_step = batch_size, on_step
        self.tasks: list[Task] = []  # in the order of their arrival
        self._turns = 0
        self._batches: dict[Engine, RunningBatch] = {}
        self._events: list[tuple[Task, Event]] = []

    def add(self, task: Task) -> None:
        """Takes a task; it begins with the next step."""
        self.tasks.append(task)

    @property
    def busy(self) -> bool:
        """There is something to do."""
        return bool(self.tasks or self._batches)

    @property
    def speaking(self) -> int:
        """How many sentences are in the batch; any thread may ask."""
        return sum(len(batch.speaking) for batch in list(self._batches.values()))

    def step(self) -> list[tuple[Task, Event]]:
        """Speaks a frame of every sentence that has a place.

        An error ends the tasks that it concerns, and no other: what cannot be prepared or judged its own task, a step
        that fails all tasks that have a sentence in it, as nobody knows what the batch holds then.

        Returns:
            What came of the tasks.
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
        """Does something for a task, which ends if that fails."""
        try:
            action(task)
        except Exception as error:
            self._remove(task)
            self._events.append((task, error))

    def _admit(self) -> None:
        """Fills the places that are free, or taken by a task that has too many."""
        until = time.monotonic() + ADMIT_SECONDS
        while time.monotonic() < until:
            able = [task for task in self.tasks if self._has_work(task)]
            if not able:
                return
            task = min(able, key=lambda task: (task.speaking, task._served))
            if sum(other.speaking for other in self.tasks) >= self.batch_size:
                # The newest of those that have the most.
                richest = max(reversed(self.tasks), key=lambda task: task.speaking)
                if richest.speaking < task.speaking + 2:
                    return
                self._guard(richest, self._pause_last)
            self._guard(task, self._start_next)

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
        """Gives a place to the first sentence that waits for one, or to the next of the text."""
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
            # Its tensors go with it.
            del self._batches[engine]

    def _give(self, task: Task) -> None:
        """Judges the sentences that have ended, and gives away what is next in the text's order."""
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
