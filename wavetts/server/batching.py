"""Texts of many clients, spoken in one batch: one thread owns the voices, sentences join and leave between frames."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from wavetts.errors import UserError
from wavetts.model.generate import RunningBatch, Utterance
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Result, Take, pause_before
from wavetts.synthesis.voice import Voice

logger = logging.getLogger("wavetts.server.batching")

# Texts are made ready to speak between two frames; those who speak already wait no longer than about this.
_ADMIT_SECONDS = 0.05
_NOTHING = np.zeros(0, dtype=np.float32)


class Failure(Exception):
    """What the client cannot mend: a defect of ours, a full memory, a server that shuts down."""


@dataclass(frozen=True)
class Finished:
    """The last event of a job: all of its audio was given before."""

    tokens: int
    frames: int
    complete: bool  # every sentence was read to its end and stopped there


Event = np.ndarray | Finished | Exception


@dataclass(eq=False)
class Job:
    """A text that a client asked for.

    Attributes:
        voice: name of a voice that the batcher has.
        text: what to say.
        seed: of its noise.
        temperature: std of the base noise; None: the model's own.
        stream: give each frame as it comes, a sentence that broke off as it is (`Voice.stream`); False: try those
            again and give all at once (`Voice.say`).
        emit: called from the batcher's thread with audio (S,) float32, and last with `Finished`, a `UserError` (there
            is nothing to speak in the text) or a `Failure`. A call that raises cancels the job.
        cancelled: who sets it, from any thread, ends the job before the next frame; no further event comes.
    """

    voice: str
    text: str
    seed: int
    temperature: float | None
    stream: bool
    emit: Callable[[Event], None]
    cancelled: bool = False


@dataclass(eq=False)
class _Progress:
    """How far a job has come."""

    job: Job
    number: int  # of arrival
    settings: SynthesisSettings
    pieces: list[Piece] = field(default_factory=list)  # none: not made ready yet
    waiting: list[tuple[int, int]] = field(default_factory=list)  # piece and attempt, the next one first
    speaking: dict[Utterance, tuple[int, int]] = field(default_factory=dict)
    streams: dict[int, Utterance] = field(default_factory=dict)  # of a streamed job, by piece, until they are given
    next_piece: int = 0  # that is given next, and how many of its frames were
    next_frame: int = 0
    takes: dict[int, Take] = field(default_factory=dict)  # the best of each piece
    finished: int = 0  # pieces that are not tried again
    frames: int = 0  # that were spoken, in all tries

    @property
    def has_work(self) -> bool:
        """It could use a place in the batch."""
        return not self.pieces or bool(self.waiting)


class Batcher:
    """Speaks jobs, `settings.batch_size` sentences at once over all voices.

    A place that becomes free goes to the job that has the fewest, the oldest of these first: a long text does not hold
    up short ones. What comes of a job does not depend on the others; it is what `Voice.say` or `Voice.stream` gives of
    its text, seed and temperature, as exactly as `RunningBatch` says.
    """

    def __init__(
        self,
        voices: Mapping[str, Voice],
        settings: SynthesisSettings,
        on_step: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        """Takes the voices by name.

        Args:
            voices: the batcher's alone from now on.
            settings: how to speak; seed and temperature are each job's own.
            on_step: told of every step how many sentences spoke a frame and how long it took.
        """
        self._voices, self._settings, self._on_step = voices, settings, on_step
        self._batches: dict[str, RunningBatch] = {}
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._jobs: list[_Progress] = []
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; jobs that are not finished fail."""
        self._arrivals.put(None)
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Takes a job, from any thread; how many may wait is the caller's to limit."""
        self._arrivals.put(job)

    @property
    def alive(self) -> bool:
        """The thread runs."""
        return self._thread.is_alive()

    @property
    def speaking(self) -> int:
        """How many sentences are in the batch."""
        return sum(len(batch.utterances) for batch in list(self._batches.values()))

    def _run(self) -> None:
        while self._receive():
            self._drop_cancelled()
            self._admit()
            for name in list(self._batches):
                self._step(name)
        for progress in list(self._jobs):
            self._end(progress, Failure("the server is shutting down"))

    def _receive(self) -> bool:
        """Takes what has arrived, waits if there is nothing to do; False: the end."""
        while True:
            try:
                job = self._arrivals.get(block=not self._jobs)
            except queue.Empty:
                return True
            if job is None:
                return False
            settings = dataclasses.replace(self._settings, temperature=job.temperature)
            settings = self._voices[job.voice].settled(settings)
            self._jobs.append(_Progress(job, next(self._numbers), settings))

    def _drop_cancelled(self) -> None:
        for progress in self._jobs:
            if progress.job.cancelled:
                for utterance in progress.speaking:
                    utterance.cancelled = True
        self._jobs = [progress for progress in self._jobs if not progress.job.cancelled]

    def _admit(self) -> None:
        """Fills the places that are free."""
        free = self._settings.batch_size - sum(len(progress.speaking) for progress in self._jobs)
        new: dict[str, list[Utterance]] = {}
        until = time.monotonic() + _ADMIT_SECONDS
        while free > 0 and time.monotonic() < until:
            able = [progress for progress in self._jobs if progress.has_work]
            if not able:
                break
            progress = min(able, key=lambda progress: (len(progress.speaking), progress.number))
            if not progress.pieces and not self._prepare(progress):
                continue
            piece, attempt = progress.waiting.pop(0)
            voice = self._voices[progress.job.voice]
            utterance = voice.utterance(progress.pieces[piece], progress.settings, attempt)
            progress.speaking[utterance] = piece, attempt
            if progress.job.stream:
                progress.streams[piece] = utterance
            new.setdefault(progress.job.voice, []).append(utterance)
            free -= 1
        for name, utterances in new.items():
            try:
                self._batches.setdefault(name, RunningBatch(self._voices[name].model)).add(utterances)
            except Exception as error:
                self._fail(name, error)

    def _prepare(self, progress: _Progress) -> bool:
        try:
            progress.pieces = self._voices[progress.job.voice].prepare(progress.job.text, progress.job.seed)
        except UserError as error:
            self._end(progress, error)
            return False
        except Exception as error:
            self._end(progress, _failure(error))
            return False
        progress.waiting = [(piece, 0) for piece in range(len(progress.pieces))]
        return True

    def _step(self, name: str) -> None:
        """Speaks a frame with one of the voices and gives away what can be given."""
        started = time.perf_counter()
        try:
            spoken = self._batches[name].step()
        except Exception as error:
            self._fail(name, error)
            return
        if not spoken:
            # Its tensors go with it.
            del self._batches[name]
            return
        self._on_step(len(spoken), time.perf_counter() - started)
        for progress in [progress for progress in self._jobs if progress.job.voice == name]:
            for utterance in [utterance for utterance in progress.speaking if utterance.ended]:
                self._finish_piece(progress, utterance)
            if progress.job.stream:
                self._give_frames(progress)
            if progress.pieces and progress.finished == len(progress.pieces):
                self._finish(progress)

    def _finish_piece(self, progress: _Progress, utterance: Utterance) -> None:
        piece, attempt = progress.speaking.pop(utterance)
        take = self._voices[progress.job.voice].take(progress.pieces[piece], utterance, attempt)
        # An alignment takes more memory than the audio, and nobody asks for it.
        take = dataclasses.replace(take, alignment=_NOTHING, audio=_NOTHING if progress.job.stream else take.audio)
        progress.takes[piece] = max(progress.takes.get(piece, take), take, key=lambda take: take.quality)
        progress.frames += len(utterance.samples)
        # As in `Voice.speak`: without noise every try is the same.
        retries = progress.settings.retries if progress.settings.temperature > 0 and not progress.job.stream else 0
        if take.complete or attempt >= retries:
            progress.finished += 1
        else:
            progress.waiting.insert(0, (piece, attempt + 1))

    def _give_frames(self, progress: _Progress) -> None:
        """Gives the frames that are next in the text's order; what was spoken ahead of it waits."""
        chunks = []
        while utterance := progress.streams.get(progress.next_piece):
            if progress.next_piece and not progress.next_frame:
                piece = progress.pieces[progress.next_piece]
                chunks.append(pause_before(piece, progress.settings, self._voices[progress.job.voice].sample_rate))
            chunks += utterance.samples[progress.next_frame :]
            progress.next_frame = len(utterance.samples)
            if not utterance.ended:
                break
            del progress.streams[progress.next_piece]
            progress.next_piece, progress.next_frame = progress.next_piece + 1, 0
        if chunks:
            self._emit(progress, np.concatenate(chunks))

    def _finish(self, progress: _Progress) -> None:
        takes = [progress.takes[piece] for piece in range(len(progress.pieces))]
        if not progress.job.stream:
            sample_rate = self._voices[progress.job.voice].sample_rate
            self._emit(progress, Result.join(takes, progress.settings, sample_rate).audio)
        tokens = sum(len(piece.tokens) for piece in progress.pieces)
        self._end(progress, Finished(tokens, progress.frames, all(take.complete for take in takes)))

    def _fail(self, name: str, error: Exception) -> None:
        """Ends all who speak with a voice that failed, as nobody knows what its batch holds now."""
        self._batches.pop(name, None)
        failure = _failure(error)
        for progress in [progress for progress in self._jobs if progress.job.voice == name and progress.speaking]:
            self._end(progress, failure)

    def _end(self, progress: _Progress, event: Finished | Exception) -> None:
        self._jobs.remove(progress)
        self._emit(progress, event)

    def _emit(self, progress: _Progress, event: Event) -> None:
        if progress.job.cancelled:
            return
        try:
            progress.job.emit(event)
        except Exception:
            # Who asked for it is not there any more.
            progress.job.cancelled = True


def _failure(error: Exception) -> Failure:
    """The client learns what kind of error it was; the log learns where, but not its message, which may hold a text."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("speaking failed: %s\n%s", type(error).__name__, where)
    if type(error).__name__ == "OutOfMemoryError":
        return Failure("the device's memory is full: start the server with a smaller --batch-size")
    return Failure(f"speaking failed ({type(error).__name__}); the server's log says where")
