"""`wavetts config`: every config field, and the configs that have a name."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "config",
        "print every config field with its default and meaning, or a complete config",
        "wavetts config | less\nwavetts config --list\nwavetts config compact_16k > mine.yaml",
    )
    sub.add_argument("name", metavar="NAME", nargs="?", help="of a config that `wavetts train` takes: print it")
    sub.add_argument("--list", action="store_true", help="the configs that have a name")


def run(args: argparse.Namespace) -> None:
    """Prints every config field, the configs that have a name, or one of them."""
    if args.list:
        from wavetts.config.catalog import describe_config, list_configs

        configs = list_configs()
        width = max(map(len, configs), default=0)
        for name, path in configs.items():
            print(f"{name:{width}}  {describe_config(path)}")
    elif args.name is not None:
        from wavetts.config.catalog import find_config
        from wavetts.files import read_utf8

        print(read_utf8(find_config(args.name)), end="")
    else:
        from wavetts.config.load import describe

        print(describe(), end="")
