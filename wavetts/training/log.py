"""The log of a run: metrics.jsonl, TensorBoard and the progress bar."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavetts.audio.figures import read_metrics
from wavetts.errors import UserError
from wavetts.files import write_atomic
from wavetts.progress import progress_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    # Protobuf makes these classes when they are imported.
    from tensorboard.compat.proto.event_pb2 import Event  # ty: ignore[missing-module-member]
    from tensorboard.compat.proto.summary_pb2 import Summary  # ty: ignore[missing-module-member]


class RunLog:
    """Writes the figures of a run to metrics.jsonl, to TensorBoard and beside the progress bar.

    Args:
        run_dir: the run folder; lines of metrics.jsonl after `step` are removed, TensorBoard is told to ignore its own.
        step: number of steps so far.
        done: share of the run that is done, from 0 to 1.

    Raises:
        UserError: metrics.jsonl cannot be read or written.
    """

    def __init__(self, run_dir: Path, step: int, done: float) -> None:
        self.run_dir = Path(run_dir)
        path = self.run_dir / "metrics.jsonl"
        kept = [line for line in read_metrics(path) if line["step"] <= step] if step and path.is_file() else []
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))
        with self._writing():
            self.file = path.open("a", encoding="utf-8")
            # A purge step hides what an earlier process logged beyond it, at the very step too.
            self.board = Board(self.run_dir / "tensorboard", purge_step=step + 1)
        self.shown: dict[str, str] = {"step": str(step)}
        # Steps or wall time end a run, whichever comes first: the bar counts neither but the run.
        layout = "{percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"
        self.bar = progress_bar(total=1.0, initial=done, bar_format=layout, mininterval=0.5)

    def figures(self, kind: str, step: int, minutes: float, values: dict[str, Any]) -> None:
        """Records figures.

        Args:
            kind: "train", "dev" or "bad_batch".
            step: steps done.
            minutes: of training so far.
            values: numbers also go to TensorBoard, as KIND/NAME.

        Raises:
            UserError: the disk is full or the like.
        """
        from torch.utils.tensorboard import summary

        line = {"kind": kind, "step": step, "time": round(time.time(), 3), "minutes": round(minutes, 4), **values}
        with self._writing():
            self.file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self.file.flush()
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self.board.add(summary.scalar(f"{kind}/{name}", value), step)
            self.board.flush()

    def advance(self, step: int, done: float) -> None:
        """Moves the bar.

        Args:
            step: steps done.
            done: the share of the run that is done.
        """
        self.shown = {**self.shown, "step": str(step)}
        self.bar.set_postfix(self.shown, refresh=False)
        self.bar.update(done - self.bar.n)

    def show(self, **values: str) -> None:
        """Shows figures beside the bar, until others of the same name."""
        self.shown.update(values)
        self.bar.set_postfix(self.shown, refresh=False)

    def show_training(self, figures: dict[str, float], minutes: float) -> None:
        """Shows what was recorded of the last steps beside the bar."""
        bits = figures.get("bits_per_sample")
        self.show(
            loss=f"{figures['loss']:.3f}",
            **({} if bits is None else {"bits": f"{bits:.3f}"}),
            norm=f"{figures['grad_norm']:.2f}",
            lr=f"{figures['learning_rate']:.1e}",
            speed=f"{figures['audio_seconds_per_second']:.1f}x",
            min=f"{minutes:.1f}",
        )

    def say(self, message: str) -> None:
        """Prints a line above the bar."""
        self.bar.write(message, file=sys.stderr)

    def tell_end(
        self, step: int, minutes: float, best: float, stopped_by: signal.Signals | None, figures: dict[str, float]
    ) -> None:
        """Says that the run has come to its end, or was stopped, and what it left.

        Args:
            step: steps done.
            minutes: of training.
            best: held-out bits per sample, or loss of a density without a likelihood; infinite if nothing was held out.
            stopped_by: the signal that stopped it; None at its end.
            figures: the last held-out ones.
        """
        if stopped_by is not None:
            print(f"stopped by {stopped_by.name} after step {step}; it can be resumed", file=sys.stderr)
            return
        name = "loss" if "loss" in figures else "bits per sample"
        figure = f", best held-out {name} {best:.3f} (best.safetensors)" if math.isfinite(best) else ""
        print(f"trained: {step} steps in {minutes:.1f} minutes{figure}", file=sys.stderr)
        print(f"wrote {self.run_dir / 'model.safetensors'}", file=sys.stderr)

    def figure(self, tag: str, figure: Figure, step: int) -> None:
        """Draws a figure into TensorBoard; errors as of `figures`."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from torch.utils.tensorboard import summary

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        with self._writing():
            self.board.add(summary.image(tag, pixels, dataformats="HWC"), step)

    def audio(self, tag: str, waveform: np.ndarray, rate: int, step: int) -> None:
        """Puts a waveform (S,) into TensorBoard; errors as of `figures`."""
        from torch.utils.tensorboard import summary

        with self._writing():
            self.board.add(summary.audio(tag, np.clip(waveform, -1.0, 1.0)[None], sample_rate=rate), step)

    def close(self) -> None:
        """Writes out everything; errors as of `figures`."""
        self.bar.close()
        with self._writing():
            self.file.close()
            self.board.close()

    @contextmanager
    def _writing(self) -> Generator[None]:
        """A context that turns an OSError, such as a full disk, into a UserError."""
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write to {self.run_dir}: {error.strerror}; mend that and resume") from None


class Board:
    """A TensorBoard event file. Unlike torch's `SummaryWriter` it has no thread: errors are raised by the failing call.

    Args:
        folder: created if missing.
        purge_step: TensorBoard ignores entries of earlier files in the folder from this step on.

    Raises:
        OSError: the file cannot be written, for instance as the disk is full; every method may raise it.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # ty: ignore[missing-module-member]
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard sorts files by name: the newest last.
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now}"
        self._event, self._file = Event, (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, summary: Summary, step: int) -> None:
        """Adds the result of a function of `torch.utils.tensorboard.summary`."""
        self._write(self._event(summary=summary, step=step))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Shows it to TensorBoard."""
        self._file.flush()

    def close(self) -> None:
        """Writes out everything."""
        self._file.close()


class Stopwatch:
    """Minutes of training so far, over all resumed processes, without evaluation and synthesis."""

    def __init__(self, minutes: float) -> None:
        """Starts from `minutes`."""
        self.before, self.since = minutes, time.perf_counter()

    def read(self) -> float:
        """The minutes so far."""
        return self.before + (time.perf_counter() - self.since) / 60

    @contextmanager
    def paused(self) -> Generator[None]:
        """A context whose time does not count."""
        minutes = self.read()
        try:
            yield
        finally:
            self.before, self.since = minutes, time.perf_counter()
