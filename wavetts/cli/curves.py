"""`wavetts curves`: draws training curves of several runs in one figure."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.messages import tell_written


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "curves",
        "draw the training curves of runs into one picture",
        "wavetts curves runs/paper\nwavetts curves runs/gaussian runs/compact runs/flow --over minutes -o compared.png",
        " Thin lines are training figures, points held-out ones.",
    )
    sub.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run folder, or its metrics.jsonl")
    sub.add_argument("--key", default="bits_per_sample", help="quantity of metrics.jsonl to draw (default %(default)s)")
    sub.add_argument(
        "--over",
        choices=["step", "minutes"],
        default="step",
        help="quantity of the horizontal axis (default %(default)s)",
    )
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("curves.png"),
        help="image file to write (default %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Draws training curves."""
    from wavetts.audio.figures import curve_figure, save_figure

    save_figure(curve_figure(args.runs, args.key, args.over), args.output)
    tell_written(args.output)
