"""The command line: chooses the command and sets the exit code. `wavetts --help` lists the commands.

Modules that import torch are imported by the command that needs them, so that `--help` is fast.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import signal
import sys
import textwrap
import threading
import warnings
from collections.abc import Generator
from typing import Any

from wavetts.errors import Parser, UserError, dashed, one_line
from wavetts.version import __version__

# In the order of use; each is a module of this package with `add` (its arguments) and `run` (what it does).
GROUPS = {
    "speak": ("say", "synthesize", "repair", "voices", "demo", "serve"),
    "train": ("preprocess", "config", "train", "distill", "curves"),
    "measure and pass on": ("evaluate", "analyse", "export"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)


def main(argv: list[str] | None = None) -> None:
    """Runs a command, then exits with 0, 2 after a `UserError`, or 128 plus the number of a signal.

    Args:
        argv: the arguments; None for those of the process.
    """
    _open_closed_streams()
    try:
        with warnings.catch_warnings(), _signals_end_in_order():
            # The standard library documents that it may be replaced; its type is that of the one function.
            warnings.showwarning = _print_warning  # ty: ignore[invalid-assignment]
            try:
                _run(dashed(sys.argv[1:] if argv is None else argv))
            except SystemExit:
                sys.stdout.flush()  # --help and --version end so
                raise
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone, as in `wavetts config | head`.
        _drop_output()
        sys.exit(1)
    except (UserError, OSError) as error:
        _drop_output()
        closed = isinstance(error, OSError) and error.errno == errno.EBADF
        print(f"wavetts: error: {'standard output is closed' if closed else one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        # torch has no class of its own for the CPU's memory.
        if not isinstance(error, MemoryError) and not ("memory" in str(error) and "allocate" in str(error)):
            raise
        _drop_output()
        print("wavetts: error: memory is full: take a smaller model, batch or text", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("wavetts: interrupted", file=sys.stderr)
        sys.exit(130)


def _run(argv: list[str]) -> None:
    parser = _build_parser()
    if not argv:
        parser.print_help()
        return
    args, rest = parser.parse_known_args(argv)
    # argparse takes the overrides only where they directly follow CONFIG, and the words of `say` TEXT.
    if args.command in ("train", "distill", "export"):
        args.overrides += [word for word in rest if "=" in word and not word.startswith("-")]
        rest = [word for word in rest if word not in args.overrides]
    if args.command == "say" and not any(word.startswith("-") and word != "-" for word in rest):
        args.text += rest
        rest = []
    if rest:
        raise UserError(
            f"unrecognized arguments: {' '.join(rest)}; run `wavetts {args.command} --help` for those that it takes"
        )
    importlib.import_module(f"wavetts.cli.{args.command}").run(args)


def _open_closed_streams() -> None:
    """Opens a replacement for standard streams that were closed (`<&-`, `>&-`), which Python sets to None.

    Otherwise the next file to be opened would get the free descriptor. Writing to a closed standard output then fails
    when it is flushed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


def _drop_output() -> None:
    """Discards buffered output: the interpreter would otherwise flush it at exit and report the error again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _signals_end_in_order() -> Generator[None]:
    """Context in which SIGTERM and SIGHUP raise an exception, so that temporary files are removed."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {}
    # A library may run commands in another thread, where signals do not arrive; and `nohup` ignores one of them.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_warning(message: Warning | str, *_: Any) -> None:
    line = f"wavetts: warning: {one_line(' '.join(str(message).split()))}"
    # Above a progress bar, if there may be one.
    write = sys.modules["tqdm"].tqdm.write if "tqdm" in sys.modules else print
    write(line, file=sys.stderr)


def _build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="wavetts",
        usage="wavetts [--help] [--version] COMMAND ...",
        description="Wave-Tacotron: text to waveform in one network. "
        "Options may be spelled --like-this or --like_this.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wavetts {__version__}")
    # They are listed below, by group.
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser, prog="wavetts", help=argparse.SUPPRESS
    )
    summaries = {}

    def command(name: str, summary: str, examples: str, details: str = "") -> argparse.ArgumentParser:
        summaries[name] = summary
        return subparsers.add_parser(
            name,
            description=textwrap.fill(f"{summary[0].upper()}{summary[1:]}.{details}", 80),
            epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            # An abbreviation would silently change its meaning when an option is added.
            allow_abbrev=False,
        )

    for name in COMMANDS:
        importlib.import_module(f"wavetts.cli.{name}").add(command)
    groups = (
        "\n".join([f"{title}:", *(f"  {name:<12}{summaries[name]}" for name in GROUPS[title])]) for title in GROUPS
    )
    parser.epilog = "\n\n".join([*groups, "`wavetts COMMAND --help` explains a command and gives examples."])
    return parser
