"""The thread that owns the server's voices: it runs the scheduler for the jobs of all clients."""

from __future__ import annotations

import dataclasses
import functools
import logging
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from wavetts.audio.stretch import stretch
from wavetts.errors import UserError
from wavetts.synthesis.scheduler import Event as TaskEvent
from wavetts.synthesis.scheduler import Scheduler, Task
from wavetts.synthesis.settings import MAX_SPEED, MIN_SPEED, SynthesisSettings
from wavetts.synthesis.takes import Take, pause_before
from wavetts.synthesis.voice import Voice

logger = logging.getLogger("wavetts.server.batching")


class Failure(Exception):
    """An error that the client cannot correct: an internal error, full memory, a server that shuts down."""


@dataclass(frozen=True)
class Finished:
    """The last event of a job, after all of its audio."""

    tokens: int
    frames: int
    complete: bool  # every sentence was read to its end and stopped there


Event = np.ndarray | Finished | Exception


@dataclass(eq=False)
class Job:
    """A text that a client asked for.

    Attributes:
        voice: name of a voice of the batcher.
        text: what to say.
        seed: seed of the noise.
        temperature: standard deviation of the base noise; None: the voice's default.
        stream: give each frame as it comes, a sentence that broke off as it is (`Voice.stream`); False: try those
            again and give all at once (`Voice.say`).
        emit: called from the batcher's thread with audio (S,) float32, and last with `Finished`, a `UserError` (there
            is nothing to speak in the text) or a `Failure`. A call that raises cancels the job.
        speed: of speech, relative to that of the batcher's settings.
        cancelled: who sets it, from any thread, ends the job before the next frame; no further event comes.
    """

    voice: str
    text: str
    seed: int
    temperature: float | None
    stream: bool
    emit: Callable[[Event], object]
    speed: float = 1.0
    cancelled: bool = False


@dataclass(eq=False)
class _Progress:
    """The progress of a job."""

    job: Job
    audio: list[np.ndarray] = field(default_factory=list)  # not given yet
    complete: bool = True
    begun: bool = False


class Batcher:
    """Runs a `Scheduler` for all jobs in a thread of its own.

    The result of a job does not depend on the others; it is that of `Voice.say` or `Voice.stream` with its text, seed
    and temperature. An exception ends the job that it concerns, not the thread.
    """

    def __init__(
        self,
        voices: Mapping[str, Voice],
        settings: SynthesisSettings,
        on_step: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        """Creates a batcher; `start` starts its thread.

        Args:
            voices: by name; nobody else may use them while the thread runs.
            settings: how to speak; seed and temperature are those of each job.
            on_step: called after every step with the number of sentences and the seconds that it took.
        """
        self._voices, self._settings = voices, settings
        self._new_scheduler = functools.partial(Scheduler, settings.batch_size, on_step)
        self._scheduler = self._new_scheduler()
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._open: dict[Task, _Progress] = {}
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; jobs that are not finished fail."""
        self._arrivals.put(None)
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Adds a job, from any thread; the caller limits how many may wait."""
        self._arrivals.put(job)

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def speaking(self) -> int:
        """Number of sentences in the batch."""
        return self._scheduler.speaking

    def _run(self) -> None:
        while self._receive():
            try:
                self._drop_cancelled()
                self._handle(self._scheduler.step())
            except Exception as error:
                # The scheduler guards each task: nobody knows what it holds now.
                self._end_all(_failure(error))
                self._scheduler = self._new_scheduler()
        self._end_all(Failure("the server is shutting down"))

    def _receive(self) -> bool:
        """Takes what has arrived, waits if there is nothing to do; False: the end."""
        while True:
            try:
                job = self._arrivals.get(block=not self._scheduler.busy)
            except queue.Empty:
                return True
            if job is None:
                return False
            try:
                task = self._new_task(job)
            except Exception as error:
                self._emit(job, _failure(error))
                continue
            self._open[task] = _Progress(job)
            self._scheduler.add(task)

    def _new_task(self, job: Job) -> Task:
        voice = self._voices[job.voice]
        speed = min(MAX_SPEED, max(MIN_SPEED, job.speed * self._settings.speed))
        settings = voice.settled(dataclasses.replace(self._settings, temperature=job.temperature, speed=speed))
        return Task(voice.engine, voice.sample_rate, voice.pieces(job.text, job.seed), settings, job.stream)

    def _drop_cancelled(self) -> None:
        for task in [task for task, progress in self._open.items() if progress.job.cancelled]:
            task.cancelled = True
            del self._open[task]

    def _handle(self, events: list[tuple[Task, TaskEvent]]) -> None:
        for task, event in events:
            # None: it has failed meanwhile.
            if (progress := self._open.get(task)) is not None:
                try:
                    self._handle_event(task, progress, event)
                except Exception as error:
                    self._end(task, _failure(error))
        for progress in self._open.values():
            if progress.job.stream and progress.audio:
                self._give(progress)

    def _handle_event(self, task: Task, progress: _Progress, event: TaskEvent) -> None:
        if isinstance(event, np.ndarray):
            progress.audio.append(event)
        elif isinstance(event, Take):
            progress.complete &= event.complete
            if not progress.job.stream:
                pause = [pause_before(event.piece, task.settings, task.sample_rate)] if progress.begun else []
                progress.audio += [*pause, stretch(event.audio, task.sample_rate, task.settings.speed)]
                progress.begun = True
        elif event is None:
            self._give(progress)
            self._end(task, Finished(task.tokens, task.frames, progress.complete))
        else:
            self._end(task, event if isinstance(event, UserError) else _failure(event))

    def _give(self, progress: _Progress) -> None:
        audio, progress.audio = progress.audio, []
        if audio:
            self._emit(progress.job, np.concatenate(audio))

    def _end(self, task: Task, event: Finished | Exception) -> None:
        task.cancelled = True
        self._emit(self._open.pop(task).job, event)

    def _end_all(self, failure: Failure) -> None:
        for task in list(self._open):
            self._end(task, failure)

    def _emit(self, job: Job, event: Event) -> None:
        if job.cancelled:
            return
        try:
            job.emit(event)
        except Exception:
            # Who asked for it is not there any more.
            job.cancelled = True


def _failure(error: Exception) -> Failure:
    """The client learns what kind of error it was; the log learns where, but not its message, which may hold a text."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("speaking failed: %s\n%s", type(error).__name__, where)
    if type(error).__name__ == "OutOfMemoryError":
        return Failure("the device's memory is full: start the server with a smaller batch size")
    return Failure(f"speaking failed ({type(error).__name__}); the server's log says where")
