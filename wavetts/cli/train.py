"""`wavetts train`: trains a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "train",
        "train a model",
        "wavetts train recipes/train/ljspeech_paper_phonemes.yaml --data data/ljspeech --run runs/paper\n"
        "wavetts train recipes/train/toy.yaml train.max_steps=100 --data data/toy --run runs/toy\n"
        "wavetts train recipes/train/toy.yaml --data data/toy --run runs/toy --resume\n"
        "torchrun --nproc-per-node 4 -m -- wavetts train recipes/train/ljspeech_paper_phonemes.yaml --data D --run R",
    )
    sub.add_argument("config", metavar="CONFIG", type=Path, help="YAML file; complete ones are in recipes/train/")
    sub.add_argument(
        "overrides",
        metavar="section.field=value",
        nargs="*",
        default=[],
        help="fields that differ (`wavetts config` lists all)",
    )
    sub.add_argument("--data", metavar="DIR", type=Path, required=True, help="what `wavetts preprocess` made")
    sub.add_argument(
        "--run", metavar="DIR", type=Path, required=True, dest="run_dir", help="folder of checkpoints and logs"
    )
    sub.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run")
    sub.add_argument("--init-from", metavar="FILE", type=Path, help="start with this model's weights")
    add_device(sub)


def run(args: argparse.Namespace) -> None:
    """Trains a model."""
    from wavetts.config.load import load_config

    config = load_config(args.config, args.overrides)
    from wavetts.synthesis.catalog import voice_folders
    from wavetts.training.loop import train

    train(
        config,
        args.data,
        args.run_dir,
        resume=args.resume,
        init_from=args.init_from,
        voice_folders=voice_folders(),
        device=args.device,
        threads=args.threads,
    )
