"""`wavetts synthesize`: speaks texts into a folder, a file or standard output."""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device, add_precision, add_settings, settings_of
from wavetts.cli.messages import speech_made, tell, tell_written
from wavetts.cli.speaking import DEFAULT_OUTPUT, check_output, read_input, speak_one_file, speaking_bar
from wavetts.errors import UserError
from wavetts.extras import require


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "synthesize",
        "speak texts with a trained model",
        'wavetts synthesize runs/paper "Hello there." -o hello.wav\n'
        "wavetts synthesize runs/paper --input recipes/synthesize/sentences.txt --output-dir out\n"
        "wavetts synthesize runs/paper/best.safetensors --input data/ljspeech/test.jsonl --output-dir out --plots\n"
        "wavetts synthesize runs/paper --input texts.csv --output-dir out --settings recipes/synthesize/default.yaml\n"
        "cat chapter.txt | wavetts synthesize runs/paper - -o - | aplay\n"
        "torchrun --nproc-per-node 2 -m -- wavetts synthesize runs/paper --input texts.txt --output-dir out",
        " Long texts are split into sentences. A sentence that did not reach its end is tried again.",
    )
    sub.add_argument("model", metavar="MODEL", help="model file, run folder or name of a voice")
    sub.add_argument("text", metavar="TEXT", nargs="?", help="what to say; -, or nothing and a pipe: standard input")
    sub.add_argument(
        "--input",
        metavar="FILE",
        help="texts to speak: .txt or - (standard input), one a line; .csv, id|text or id|text|normalised; "
        '.jsonl, {"id": ..., "text": ...}',
    )
    sub.add_argument("--output-dir", metavar="DIR", type=Path, help="write DIR/ID.wav and DIR/report.jsonl")
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"write all texts into one .wav or .flac; -: WAV to standard output (default {DEFAULT_OUTPUT})",
    )
    sub.add_argument(
        "--overwrite", action="store_true", help="synthesize texts again whose files are in --output-dir already"
    )
    sub.add_argument(
        "--plots",
        action="store_true",
        help="with --output-dir: also draw the attention (DIR/ID.png) and the spectrogram (DIR/ID.spectrogram.png)",
    )
    sub.add_argument(
        "--settings", metavar="FILE", type=Path, help="YAML file with the options below; flags take precedence"
    )
    add_settings(sub)
    add_device(sub)
    add_precision(sub)


def run(args: argparse.Namespace) -> None:
    """Speaks texts into a folder, a file or standard output."""
    settings = settings_of(args)
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    texts = read_input(args)
    if args.output_dir is None:
        if args.plots or args.overwrite:
            raise UserError("--plots and --overwrite go with --output-dir DIR")
        if args.output is None and args.input is not None:
            raise UserError(
                "say where the speech goes: --output-dir DIR for a file per text, or -o FILE for one in all"
            )
        if world_size > 1:
            raise UserError("one file is written by one process: give --output-dir DIR, or run without torchrun")
        check_output(args.output or DEFAULT_OUTPUT)
    elif args.output is not None:
        raise UserError("give --output-dir DIR or -o FILE, not both")
    if args.plots:
        require("--plots", "train", "matplotlib")
    from wavetts.synthesis.voice import load_voice

    voice = load_voice(args.model, args.device, args.threads, args.precision)
    if args.output_dir is None:
        speak_one_file(voice, texts, args.output or DEFAULT_OUTPUT, settings)
        return
    from wavetts.synthesis.outputs import report_path, speak_to_folder

    started = time.perf_counter()
    with speaking_bar(len(texts[rank::world_size])) as progress:
        lines = speak_to_folder(
            voice, texts, args.output_dir, settings, progress, args.overwrite, args.plots, rank, world_size
        )
    spoken = [line for line in lines if "error" not in line]
    report = report_path(args.output_dir, rank, world_size)
    made = speech_made(sum(line["seconds"] for line in spoken), time.perf_counter() - started)
    tell_written(f"{len(spoken)} files to {args.output_dir}", report, what=made)
    broken = [line["id"] for line in spoken if not line["complete"]]
    if broken:
        warnings.warn(
            f"{len(broken)} texts did not reach their end, see {report}: {' '.join(broken[:5])}", stacklevel=1
        )
    there = len(texts[rank::world_size]) - len(lines)
    if there:
        tell(f"{there} were there already (--overwrite speaks them again)")
    if len(spoken) < len(lines):
        raise UserError(f"{len(lines) - len(spoken)} of {len(lines)} texts could not be spoken, see {report}")
