"""`wavetts config`: documents every config field; lists and prints the configs that come with wavetts."""

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
    sub.add_argument(
        "name", metavar="NAME", nargs="?", help="print the config of this name, which `wavetts train` takes"
    )
    sub.add_argument("--list", action="store_true", help="list the names of the configs that come with wavetts")


def run(args: argparse.Namespace) -> None:
    """Prints every config field, the list of named configs, or one of these configs."""
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
