"""`wavetts train`: trains a model."""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "train",
        "train a model",
        "wavetts train compact_16k --data data/mine --run runs/mine train.max_minutes=60\n"
        "wavetts train compact_16k --data data/mine --run runs/mine --resume\n"
        "wavetts train compact_16k --data data/mine --run runs/other --init-from joe\n"
        "wavetts train mine.yaml --data data/mine --run runs/again\n"
        "torchrun --nproc-per-node 4 -m -- wavetts train ljspeech_paper_phonemes --data D --run R",
    )
    sub.add_argument("config", metavar="CONFIG", help="name of a config (`wavetts config --list`), or a YAML file")
    sub.add_argument(
        "overrides",
        metavar="section.field=value",
        nargs="*",
        default=[],
        help="config fields to change (`wavetts config` lists all)",
    )
    sub.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder that `wavetts preprocess` made")
    sub.add_argument(
        "--run", metavar="DIR", type=Path, required=True, dest="run_dir", help="folder to write checkpoints and logs to"
    )
    sub.add_argument("--resume", action="store_true", help="continue from the last checkpoint of the run")
    sub.add_argument(
        "--init-from", metavar="NAME|PATH", help="start with the weights of this voice, model file or run folder"
    )
    add_device(sub)


def run(args: argparse.Namespace) -> None:
    """Trains a model."""
    from wavetts.config.load import load_config

    config = load_config(args.config, args.overrides)
    from wavetts.synthesis.catalog import find_voice, voice_folders

    init_from = find_voice(args.init_from) if args.init_from is not None else None
    from wavetts.training.loop import train

    # Of several processes one tells what to do next.
    tell = functools.partial(print, file=sys.stderr) if int(os.environ.get("RANK", 0)) == 0 else lambda _: None
    try:
        train(
            config,
            args.data,
            args.run_dir,
            resume=args.resume,
            init_from=init_from,
            voice_folders=voice_folders(),
            device=args.device,
            threads=args.threads,
        )
    except SystemExit:
        tell("go on with --resume")
        raise
    voice = shlex.quote(str(args.run_dir / "model.safetensors"))
    tell(f'hear it: wavetts say --voice {voice} "Hello."')
