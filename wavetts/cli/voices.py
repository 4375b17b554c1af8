"""`wavetts voices`: lists the installed voices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from wavetts.cli.messages import tell
from wavetts.errors import printable


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "voices",
        "list the voices that have a name",
        "wavetts voices\n"
        "wavetts voices --json\n"
        "wavetts export runs/paper ~/.local/share/wavetts/voices/mine/model.safetensors",
        " Those that came with the installation, and your own: folders with a model.safetensors (and a README.md as "
        "a card) in $WAVETTS_VOICES, or else in wavetts/voices of $XDG_DATA_HOME (~/.local/share).",
    )
    sub.add_argument("--json", action="store_true", help="print JSON, with the paths of the files")


def run(args: argparse.Namespace) -> None:
    """Lists the installed voices."""
    from wavetts.synthesis.catalog import list_voices, user_folder

    entries = list_voices()
    if args.json:
        lines = [{**vars(entry), "path": str(entry.path), "default": entry == entries[0]} for entry in entries]
        print(json.dumps(lines, indent=2, ensure_ascii=False))
        return
    rows = [("name", "language", "Hz", "licence", "description")]
    for entry in entries:
        name = f"{entry.name} (default)" if entry == entries[0] else entry.name
        cells = (name, entry.language, str(entry.sample_rate), entry.licence, entry.description)
        rows.append(tuple(map(printable, cells)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    tell(f"your own: {user_folder()}/NAME/model.safetensors")
