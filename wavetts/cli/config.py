"""`wavetts config`: every config field."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def add(command: Callable) -> None:
    """The command's arguments."""
    command("config", "print every config field with its default and meaning", "wavetts config | less")


def run(args: argparse.Namespace) -> None:
    """Prints every config field."""
    from wavetts.config.load import describe

    print(describe(), end="")
