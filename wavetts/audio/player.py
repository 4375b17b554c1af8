"""Plays audio while it is generated, by an installed program such as aplay or ffplay."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import numpy as np
import soundfile

# By program: how it plays 16-bit mono samples from its standard input, or else a file ({file}).
_FFPLAY = ["ffplay", "-nodisp", "-autoexit", "-loglevel", "error"]
PLAYERS: dict[str, list[str]] = {
    "aplay": ["aplay", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "{rate}"],
    "paplay": ["paplay", "--raw", "--format=s16le", "--channels=1", "--rate={rate}"],
    "ffplay": [*_FFPLAY, "-f", "s16le", "-ar", "{rate}", "-i", "-"],
    "play": ["play", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", "{rate}", "-"],
    "afplay": ["afplay", "{file}"],
}


class Player:
    """Plays samples that are written to it; a missing or failing player is not an exception but a `problem`.

    Attributes:
        problem: why not everything is played, or None.
    """

    def __init__(self, sample_rate: int) -> None:
        """Looks for a player, which is started with the first samples.

        Args:
            sample_rate: in Hz.
        """
        self._rate = sample_rate
        self._program = next((program for program in PLAYERS if shutil.which(program)), None)
        self._process: subprocess.Popen | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="wavetts-", ignore_cleanup_errors=True)
        self._samples, self._file = (Path(self._folder.name, name) for name in ("speech.raw", "speech.wav"))
        self.problem = None if self._program else f"no player is installed (one of {', '.join(PLAYERS)})"

    def write(self, pcm: bytes) -> None:
        """Plays little-endian 16-bit samples after the previous ones."""
        if self.problem is not None:
            return
        assert self._program is not None  # else there is a problem
        if "{file}" in PLAYERS[self._program]:
            with self._samples.open("ab") as file:
                file.write(pcm)
            return
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(pcm)
            process.stdin.flush()
        except OSError:
            self._wait(process)

    def finish(self) -> None:
        """Waits until all samples are played."""
        if self._samples.exists():
            soundfile.write(self._file, np.fromfile(self._samples, "<i2"), self._rate)
            self._start()
        if self._process is not None and self.problem is None:
            self._wait(self._process)

    def close(self) -> None:
        """Ends the player, also if it is still playing."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _start(self) -> subprocess.Popen:
        assert self._program is not None
        command = [word.format(rate=self._rate, file=self._file) for word in PLAYERS[self._program]]
        # Its complaints go to a file: a pipe that nobody reads would fill up.
        with Path(self._folder.name, "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log)
        self._process = process
        return process

    def _wait(self, process: subprocess.Popen) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        code = process.wait()
        log = Path(self._folder.name, "log").read_text(encoding="utf-8", errors="replace")
        complaints = [line.strip() for line in log.splitlines() if line.strip()]
        # ffplay says "audio open failed" and exits with 0.
        failed = [line for line in complaints if "failed" in line.lower()]
        if code or failed:
            reason = [f"exit code {code}", *complaints, *failed[:1]][-1]
            self.problem = f"the player {self._program} failed ({reason}); is there a sound device?"


@contextlib.contextmanager
def open_player(sample_rate: int) -> Generator[Player]:
    """A context with a `Player`; at its end waits until all samples are played, after an exception ends the player."""
    player = Player(sample_rate)
    try:
        yield player
        player.finish()
    finally:
        player.close()
