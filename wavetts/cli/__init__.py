"""The command line: which command runs, and how the process ends. `wavetts --help` lists the commands.

Nothing heavy is imported before a command runs, so that help is instant.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import textwrap
import warnings
from typing import Any

from wavetts.errors import Parser, UserError, dashed, one_line
from wavetts.version import __version__

# In the order of use; each is a module of this package with `add` (its arguments) and `run` (what it does).
COMMANDS = (
    "preprocess",
    "train",
    "distill",
    "config",
    "synthesize",
    "say",
    "repair",
    "voices",
    "demo",
    "evaluate",
    "curves",
    "export",
    "serve",
)


def main(argv: list[str] | None = None) -> None:
    """Runs a command and exits the process with 0, 2 for a user's mistake, or 130 for Ctrl-C.

    Args:
        argv: the arguments; None takes the process'.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning
            _run(dashed(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone, as in `wavetts config | head`; the interpreter would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (UserError, OSError) as error:
        print(f"wavetts: error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("wavetts: interrupted", file=sys.stderr)
        sys.exit(130)


def _run(argv: list[str]) -> None:
    parser = _build_parser()
    args, rest = parser.parse_known_args(argv)
    # argparse takes the overrides only where they directly follow CONFIG.
    if args.command in ("train", "distill"):
        args.overrides += [word for word in rest if "=" in word and not word.startswith("-")]
        rest = [word for word in rest if word not in args.overrides]
    if rest:
        raise UserError(f"unrecognized arguments: {' '.join(rest)}; see `wavetts {args.command} --help`")
    importlib.import_module(f"wavetts.cli.{args.command}").run(args)


def _print_warning(message: Warning | str, *_: Any) -> None:
    line = f"wavetts: warning: {' '.join(str(message).split())}"
    # Above a progress bar, if there may be one.
    write = sys.modules["tqdm"].tqdm.write if "tqdm" in sys.modules else print
    write(line, file=sys.stderr)


def _build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="wavetts",
        description="Wave-Tacotron: text to waveform in one network. "
        "Options may be spelled --like-this or --like_this.",
    )
    parser.add_argument("--version", action="version", version=f"wavetts {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)

    def command(name: str, summary: str, examples: str, details: str = "") -> argparse.ArgumentParser:
        sub = subparsers.add_parser(
            name,
            help=summary,
            description=textwrap.fill(f"{summary[0].upper()}{summary[1:]}.{details}", 80),
            epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            # An abbreviation would silently change its meaning when an option is added.
            allow_abbrev=False,
        )
        return sub

    for name in COMMANDS:
        importlib.import_module(f"wavetts.cli.{name}").add(command)
    return parser
