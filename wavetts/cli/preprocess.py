"""`wavetts preprocess`: converts a corpus to training data."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.messages import tell_written


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "preprocess",
        "turn a corpus into training data: resample, trim, phonemise, split",
        "wavetts preprocess LJSpeech-1.1 data/ljspeech\n"
        "wavetts preprocess corpora/asterisk_en data/asterisk_en --sample-rate 16000 --dev 20 --test 20 --jobs 2",
    )
    sub.add_argument("folder", metavar="FOLDER", type=Path, help="metadata.csv and wavs/ as in LJSpeech, or JSON lines")
    sub.add_argument("output", metavar="OUTPUT", type=Path, help="folder to write")
    add = sub.add_argument
    add("--sample-rate", type=int, default=24000, metavar="HZ", help="rate of the training audio (default %(default)s)")
    add("--language", default="en-us", metavar="CODE", help="espeak language of the texts (default %(default)s)")
    add(
        "--top-db",
        type=float,
        default=45.0,
        metavar="DB",
        help="trim edges this far below the peak; 0: no trim (default %(default)s)",
    )
    add(
        "--margin",
        type=float,
        default=0.1,
        metavar="S",
        help="seconds of silence kept at either end (default %(default)s)",
    )
    add(
        "--loudness",
        type=_loudness,
        default=None,
        metavar="DBFS",
        help="RMS level in dBFS of every clip, or off (default off)",
    )
    add("--min-seconds", type=float, default=0.3, metavar="S", help="drop shorter clips (default %(default)s)")
    add("--max-seconds", type=float, default=20.0, metavar="S", help="drop longer clips (default %(default)s)")
    add(
        "--dev",
        type=int,
        default=100,
        metavar="N",
        help="clips held out for evaluation in training (default %(default)s)",
    )
    add("--test", type=int, default=100, metavar="N", help="clips held out for tests (default %(default)s)")
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the choice of dev and test clips (default %(default)s)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="worker processes (default %(default)s)")
    add("--overwrite", action="store_true", help="start again instead of continuing from the clips in OUTPUT")


def _loudness(value: str) -> float | None:
    return None if value == "off" else float(value)


_loudness.__name__ = "level in dBFS or 'off'"


def run(args: argparse.Namespace) -> None:
    """Makes training data and prints its report."""
    from wavetts.corpus.preprocess import PreprocessOptions, preprocess

    names = [item.name for item in dataclasses.fields(PreprocessOptions)]
    preprocess(args.folder, args.output, PreprocessOptions(**{name: getattr(args, name) for name in names}))
    print((args.output / "report.md").read_text(encoding="utf-8"))
    tell_written(args.output, what="train with `wavetts train CONFIG --data " + f"{args.output} --run DIR`")
