"""`wavetts evaluate`: figures of models and other systems on held-out data."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device, add_precision, add_settings, positive, settings_of
from wavetts.cli.messages import tell_written
from wavetts.errors import UserError
from wavetts.extras import require


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "evaluate",
        "measure models and other systems on held-out data",
        "wavetts evaluate runs/paper data/ljspeech/dev.jsonl\n"
        "wavetts evaluate runs/paper data/ljspeech/test.jsonl --synthesize 50 --output results.json --html page\n"
        "wavetts evaluate runs/paper data/ljspeech/test.jsonl --compare runs/small --compare out/piper --csv rows.csv\n"
        "wavetts evaluate out/piper LJSpeech-1.1/metadata.csv --recogniser faster-whisper --whisper-model tiny.en\n"
        "wavetts evaluate allison texts.txt --synthesize 20 --timing",
        " Likelihood and attention are measured teacher forced. --synthesize speaks texts as well, holds the speech "
        "against the recordings (MCD, MSD, F0), has a recogniser and DNSMOS hear both (pip install "
        "'wavetts[evaluate]'), and counts what went wrong. Any other system takes part as a folder of ID.wav.",
    )
    sub.add_argument("model", metavar="MODEL", help="model file, run folder, name of a voice, or folder of WAVs")
    sub.add_argument(
        "manifest",
        metavar="MANIFEST",
        type=Path,
        help="dev.jsonl or test.jsonl of `wavetts preprocess`; or, without likelihoods, a corpus in LJSpeech's layout "
        "or a list of texts (.txt)",
    )
    sub.add_argument(
        "--synthesize",
        metavar="N",
        type=int,
        help="speak and score the first N texts (default: all with a folder of WAVs, --compare or --html, else none)",
    )
    sub.add_argument(
        "--compare",
        metavar="OTHER",
        action="append",
        default=[],
        help="another model or folder of WAVs to evaluate on the same sentences; may be repeated",
    )
    sub.add_argument(
        "--recogniser",
        choices=["pocketsphinx", "faster-whisper"],
        default="pocketsphinx",
        help="speech recogniser that transcribes the speech (default %(default)s)",
    )
    sub.add_argument(
        "--whisper-model", metavar="DIR", type=Path, help="model of faster-whisper (CTranslate2's format) on this disk"
    )
    sub.add_argument(
        "--timing",
        action="store_true",
        help="also measure synthesis speed, on 1 thread and on all (or on --threads), for single texts and batches",
    )
    sub.add_argument(
        "--likelihood",
        choices=["bound", "ode"],
        help="of a diffusion: the variational bound, or the density of its probability-flow ODE, an estimate that "
        "takes minutes for each second of speech (default: what its config says)",
    )
    sub.add_argument(
        "--jobs", type=positive, default=1, metavar="N", help="processes that compute scores (default %(default)s)"
    )
    sub.add_argument("--output", metavar="FILE", type=Path, help="write all metrics as JSON")
    sub.add_argument("--csv", metavar="FILE", type=Path, help="write the metrics of every utterance as CSV")
    sub.add_argument("--markdown", metavar="FILE", type=Path, help="write the printed tables as Markdown")
    sub.add_argument("--html", metavar="DIR", type=Path, help="write a page to listen to, with players and pictures")
    add_settings(sub)
    add_device(sub)
    add_precision(sub)


def run(args: argparse.Namespace) -> None:
    """Prints the figures of models and other systems on held-out data, and writes them."""
    from wavetts.evaluation.evaluate import Options, evaluate
    from wavetts.evaluation.tables import render, render_csv

    settings = settings_of(args)
    threads = (args.threads,) if args.threads else tuple(sorted({1, os.cpu_count() or 1}))
    options = Options(
        args.synthesize,
        args.html is not None,
        args.recogniser,
        args.whisper_model,
        threads if args.timing else (),
        args.jobs,
        args.likelihood,
    )
    if args.html is not None and args.html.exists() and not args.html.is_dir():
        raise UserError(f"--html {args.html}: is a file; name a folder")
    if args.html is not None:
        require("--html", "evaluate", "matplotlib")
    evaluation = evaluate(
        [args.model, *args.compare], args.manifest, options, settings, args.device, args.threads, args.precision
    )
    table = render(evaluation.results)
    print(table, end="")
    if args.html is not None:
        from wavetts.evaluation.listening import write_page

        write_page(evaluation, args.html)
        tell_written(args.html / "index.html")
    from wavetts.files import write_atomic

    if args.output is not None:
        write_atomic(args.output, json.dumps(evaluation.results, indent=2, ensure_ascii=False) + "\n")
    if args.csv is not None:
        write_atomic(args.csv, render_csv(evaluation.results))
    if args.markdown is not None:
        write_atomic(args.markdown, table)
    if written := [path for path in (args.output, args.csv, args.markdown) if path is not None]:
        tell_written(*written)
