"""Messages of commands on standard error, beside their results on standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from wavetts.errors import printable


def tell(message: str) -> None:
    """Prints a line to standard error."""
    print(printable(message), file=sys.stderr)


def tell_written(*paths: Path | str, what: str = "") -> None:
    """Prints the names of the files that a command has written."""
    tell(f"wrote {', '.join(map(str, paths))}{what and f': {what}'}")


def speech_made(seconds: float, elapsed: float, more: str = "") -> str:
    """One line: seconds of speech, of computation, and the ratio."""
    speed = f", {seconds / elapsed:.2f} x real time" if elapsed > 0 else ""
    return f"{seconds:.1f} s of speech in {elapsed:.1f} s{speed}{more}"
