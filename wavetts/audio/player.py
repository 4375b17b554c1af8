"""Audio to the loudspeaker by a player that is installed: a file, or samples while they are made."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wavetts.errors import UserError

# By program: how it plays a file, and how 16-bit mono samples from its standard input (None: it cannot).
_FFPLAY = ["ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"]
_SOX = ["play", "-q"]
PLAYERS: dict[str, tuple[list[str], list[str] | None]] = {
    "aplay": (["aplay", "-q"], ["aplay", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "{rate}"]),
    "paplay": (["paplay"], ["paplay", "--raw", "--format=s16le", "--channels=1", "--rate={rate}"]),
    "ffplay": (_FFPLAY, [*_FFPLAY, "-f", "s16le", "-ar", "{rate}", "-i", "-"]),
    "play": (_SOX, [*_SOX, "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", "{rate}", "-"]),
    "afplay": (["afplay"], None),
}


def play_file(path: Path | str) -> None:
    """Plays an audio file with the first player that is there; does nothing without one."""
    for program, (command, _) in PLAYERS.items():
        if shutil.which(program):
            subprocess.run([*command, str(path)], check=False)
            return


def check_player() -> None:
    """Raises a UserError if no player takes samples from its standard input."""
    _stream_command(16000)


@contextmanager
def open_player(sample_rate: int) -> Iterator[BinaryIO]:
    """A file that plays the 16-bit mono samples that are written to it; at the end it waits until they were heard.

    Args:
        sample_rate: in Hz.

    Raises:
        UserError: there is no player, or it ended before the samples did.
    """
    command = _stream_command(sample_rate)
    player = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert player.stdin is not None
    try:
        yield player.stdin
        player.stdin.close()
        failed = player.wait() != 0
    except BrokenPipeError:
        failed = True
    except BaseException:
        player.kill()
        raise
    finally:
        player.wait()
    if failed:
        raise UserError(f"the player {command[0]} failed; is there a sound device? write a file with -o FILE")


def _stream_command(sample_rate: int) -> list[str]:
    for program, (_, command) in PLAYERS.items():
        if command is not None and shutil.which(program):
            return [word.format(rate=sample_rate) for word in command]
    names = [program for program, (_, command) in PLAYERS.items() if command is not None]
    raise UserError(f"no player is installed: install one of {', '.join(names)}, or write a file with -o FILE")
