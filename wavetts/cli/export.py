"""`wavetts export`: writes a model for distribution, in half precision."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.messages import tell, tell_written
from wavetts.errors import UserError


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "export",
        "write a model in half precision, to pass on",
        "wavetts export runs/paper voice.safetensors\nwavetts export runs/paper/best.safetensors voice.safetensors\n"
        "wavetts export runs/mine voice.safetensors --base joe --rank 32\n"
        "wavetts export runs/mine voice.safetensors synthesis.temperature=0.7",
        " Every other command takes the file in place of a run folder.",
    )
    sub.add_argument("model", metavar="MODEL", help="name of a voice, model file or run folder")
    sub.add_argument("output", metavar="OUTPUT", type=Path, help="the .safetensors file to write")
    sub.add_argument(
        "overrides",
        metavar="synthesis.field=value",
        nargs="*",
        default=[],
        help="how the voice speaks unless it is told otherwise (`wavetts config` lists the fields)",
    )
    sub.add_argument(
        "--mantissa-bits",
        type=int,
        choices=range(2, 11),
        metavar="N",
        default=10,
        help="round weights to N of half precision's 10 bits, so that packages compress them (default %(default)s)",
    )
    sub.add_argument(
        "--base",
        metavar="VOICE",
        help="write only the difference from this voice, model file or run folder, which loading needs, too",
    )
    sub.add_argument(
        "--rank",
        type=int,
        default=16,
        metavar="R",
        help="with --base: rank of the change of each matrix; higher is larger and more exact (default %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Writes a model in half precision."""
    from wavetts.config.load import apply_overrides
    from wavetts.model.checkpoint import export_model
    from wavetts.synthesis.catalog import find_voice, voice_folders

    if args.rank < 1:
        raise UserError(f"--rank {args.rank}: must be at least 1")
    for word in args.overrides:
        if not word.startswith("synthesis."):
            raise UserError(f"{word}: only fields of `synthesis` can be changed, e.g. synthesis.temperature=0.7")
    synthesis = apply_overrides({}, args.overrides).get("synthesis")
    base = find_voice(args.base) if args.base else None
    kept = export_model(
        find_voice(args.model), args.output, args.mantissa_bits, base, args.rank, voice_folders(), synthesis
    )
    if kept:
        least = min(kept, key=kept.__getitem__)
        mean = sum(kept.values()) / len(kept)
        tell(f"kept of the changes of {len(kept)} matrices: {mean:.1%} on average, least {kept[least]:.1%} of {least}")
    tell_written(args.output, what=f"{args.output.stat().st_size / 1e6:.1f} MB")
