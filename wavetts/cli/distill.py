"""`wavetts distill`: distils a diffusion model into a student that samples in few steps."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device, positive


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "distill",
        "make a student of few steps from a diffusion",
        "wavetts distill runs/diffusion --steps 4 --data data/ljspeech --run runs/student\n"
        "wavetts distill runs/diffusion train.max_steps=2000 --steps 1 --data data/ljspeech --run runs/student",
        " The student draws a frame in as many passes of its network, guidance included. It has no likelihood. Started "
        "again, the command goes on where it was interrupted.",
    )
    sub.add_argument("teacher", metavar="TEACHER", help="voice, model file or run folder with a diffusion density")
    sub.add_argument(
        "overrides",
        metavar="train.field=value",
        nargs="*",
        default=[],
        help="config fields of each stage's training that differ from the teacher's",
    )
    sub.add_argument(
        "--steps", type=positive, default=4, metavar="N", help="sampling steps of the student (default %(default)s)"
    )
    sub.add_argument(
        "--first-steps",
        type=positive,
        default=16,
        metavar="N",
        help="sampling steps of the first student, halved in each stage down to --steps (default %(default)s)",
    )
    sub.add_argument(
        "--largest-guidance",
        type=float,
        default=2.0,
        metavar="W",
        help="guidance values that a student of a guided teacher is trained for (default %(default)s)",
    )
    sub.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder that `wavetts preprocess` made")
    sub.add_argument(
        "--run",
        metavar="DIR",
        type=Path,
        required=True,
        dest="run_dir",
        help="folder to write, one run folder per stage",
    )
    add_device(sub)


def run(args: argparse.Namespace) -> None:
    """Distils a student from a teacher."""
    from wavetts.synthesis.catalog import find_voice, voice_folders
    from wavetts.training.distill import distill

    student = distill(
        find_voice(args.teacher),
        args.data,
        args.run_dir,
        args.steps,
        args.first_steps,
        args.largest_guidance,
        args.overrides,
        args.device,
        args.threads,
        voice_folders(),
    )
    print(f"{student}: {args.steps} step{'s' * (args.steps > 1)}, no likelihood")
