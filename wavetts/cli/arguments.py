"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import dataclasses

from wavetts.synthesis.settings import SynthesisSettings, load_settings, setting_type


def add_device(sub: argparse.ArgumentParser) -> None:
    """Adds --device and --threads."""
    sub.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU if there is one)"
    )
    sub.add_argument("--threads", type=positive, default=0, metavar="N", help="CPU threads (default: torch's choice)")


def add_precision(sub: argparse.ArgumentParser) -> None:
    """Adds --precision."""
    sub.add_argument(
        "--precision",
        choices=["auto", "float32", "int8"],
        default="auto",
        help="of the large matrices; int8 is several times faster on CPUs (default: int8 on a CPU, float32 on a GPU)",
    )


def positive(value: str) -> int:
    """A whole number above zero, for argparse."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive whole number")
    return number


def add_settings(sub: argparse.ArgumentParser) -> None:
    """A flag for each field of `SynthesisSettings`."""
    own = "the voice's own"
    for item in dataclasses.fields(SynthesisSettings):
        kind = setting_type(item.name)
        sub.add_argument(
            "--" + item.name.replace("_", "-"),
            type=kind,
            metavar="N" if kind is int else "X",
            help=f"{item.metadata['doc']} (default: {own if item.default is None else item.default})",
        )


def settings_of(args: argparse.Namespace) -> SynthesisSettings:
    """Synthesis settings from a --settings file and the flags of `add_settings`; flags take precedence."""
    base = load_settings(args.settings) if getattr(args, "settings", None) else SynthesisSettings()
    given = {item.name: getattr(args, item.name) for item in dataclasses.fields(base)}
    return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})
