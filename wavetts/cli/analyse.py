"""`wavetts analyse`: whether two models have learnt the same features."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device, positive
from wavetts.cli.messages import tell_written
from wavetts.extras import require

FEATURES = ("cond", "attention", "density", "f", "g")


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "analyse",
        "tell whether two models have learnt the same features",
        "wavetts analyse runs/seed1 runs/seed2 data/mine\n"
        "wavetts analyse runs/seed1 runs/seed2 data/mine/dev.jsonl --features f g --output same.json --plot same.png\n"
        "wavetts analyse joe allison data/mine --max-utterances 50",
        " Both read the same held-out utterances, teacher forced. On a half of the utterances canonical correlations, "
        "matchings and linear maps are fitted, on the others they are scored. Two controls stand beside: pairs that "
        "were shuffled, and an untrained model. docs/analysis.md says what theory promises. Needs pip install "
        "'wavetts[evaluate]'.",
    )
    sub.add_argument("first", metavar="A", help="model file, run folder or name of a voice")
    sub.add_argument("second", metavar="B", help="the other one; of the same sample rate and frame length")
    sub.add_argument(
        "data", metavar="DATA", type=Path, help="a manifest of `wavetts preprocess`, or its folder (test.jsonl)"
    )
    sub.add_argument(
        "--features",
        nargs="+",
        choices=FEATURES,
        default=[],
        metavar="NAME",
        help=f"{', '.join(FEATURES)} (default: those that both models have)",
    )
    sub.add_argument("--max-utterances", type=positive, default=0, metavar="N", help="the first N (default: all)")
    sub.add_argument(
        "--splits", type=positive, default=4, metavar="N", help="random halves of the utterances (default %(default)s)"
    )
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="of halves and controls (default %(default)s)")
    sub.add_argument("--output", metavar="FILE", type=Path, help="write all figures as JSON")
    sub.add_argument("--plot", metavar="FILE", type=Path, help="draw the canonical correlations of each feature")
    add_device(sub)


def run(args: argparse.Namespace) -> None:
    """Compares two models."""
    if args.plot is not None:
        require("--plot", "evaluate", "matplotlib")
    from wavetts.analysis.compare import Options, analyse
    from wavetts.analysis.report import correlation_figure, render
    from wavetts.audio.figures import save_figure
    from wavetts.files import write_atomic

    options = Options(tuple(dict.fromkeys(args.features)), args.max_utterances, args.splits, args.seed)
    results = analyse(args.first, args.second, args.data, options, args.device, args.threads)
    print(render(results), end="")
    written = [path for path in (args.output, args.plot) if path is not None]
    if args.plot is not None:
        save_figure(correlation_figure(results), args.plot)
    if args.output is not None:
        write_atomic(args.output, json.dumps(results, indent=2) + "\n")
    if written:
        tell_written(*written)
