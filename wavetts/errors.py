"""The one exception that a user's mistake raises, and how a program ends with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """A mistake that the user can mend: bad input, a missing file, an unknown option.

    The message is one line that says what is wrong, where (file, line, value) and what to do.
    The command line prints it without a traceback and exits with code 2.
    """


class Parser(argparse.ArgumentParser):
    """Mistakes in a command line are one line, as all others are; the usage is a `--help` away."""

    def error(self, message: str) -> NoReturn:
        """Raises a UserError."""
        raise UserError(f"{message}; see `{self.prog} --help`")


def run(main: Callable[[list[str]], None]) -> None:
    """Run a script's `main(argv)`: mistakes become one line on stderr and exit code 2, Ctrl-C exit code 130.

    Options may be spelled `--flag-name` or `--flag_name`: `main` sees the former.
    """
    try:
        main(dashed(sys.argv[1:]))
    except (UserError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        sys.exit(130)


def one_line(error: UserError | OSError) -> str:
    """The message for the user; of an `OSError` (a disk that failed, a folder without access) its file and reason."""
    if isinstance(error, UserError) or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def dashed(argv: list[str]) -> list[str]:
    """The arguments with every `--flag_name` (or `--flag_name=value`) before a bare `--` spelled `--flag-name`."""
    end = argv.index("--") if "--" in argv else len(argv)
    options = []
    for argument in argv[:end]:
        name, equals, value = argument.partition("=")
        options.append(name.replace("_", "-") + equals + value if name.startswith("--") else argument)
    return options + argv[end:]
