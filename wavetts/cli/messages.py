"""What commands tell on standard error beside their results."""

from __future__ import annotations

import sys
from pathlib import Path

from wavetts.errors import printable


def tell(message: str) -> None:
    """Prints a line."""
    print(printable(message), file=sys.stderr)


def tell_written(*paths: Path | str, what: str = "") -> None:
    """Says which files were written: every command that writes does."""
    tell(f"wrote {', '.join(map(str, paths))}{what and f': {what}'}")


def speech_made(seconds: float, elapsed: float, more: str = "") -> str:
    """How much speech was made, and how fast."""
    speed = f", {seconds / elapsed:.2f} x real time" if elapsed > 0 else ""
    return f"{seconds:.1f} s of speech in {elapsed:.1f} s{speed}{more}"
