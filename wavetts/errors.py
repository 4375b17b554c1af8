"""The one exception that a user's mistake raises, its line on the terminal, and how a program ends with it."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from collections.abc import Callable
from typing import NoReturn

# Of an error or a warning; what it quotes may be a whole file.
LONGEST_LINE = 1000


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


def one_line(error: Exception | str) -> str:
    """A message for the user, one line that a terminal can show; of an `OSError` its file and reason.

    What was quoted from a file may be long or hold control characters: the middle of a long line is left out.
    """
    message = str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    message = printable(message)
    left_out = len(message) - LONGEST_LINE
    if left_out <= 0:
        return message
    start = LONGEST_LINE * 2 // 3
    return f"{message[:start]} [... {left_out} characters ...] {message[start + left_out :]}"


def printable(text: str) -> str:
    """A text with its control characters, those of writing direction too, escaped: terminals act on what they are sent.

    Half of a surrogate pair, of a file name that is not UTF-8, is escaped as well: it cannot be printed.
    """
    return "".join(
        sign.encode("unicode_escape").decode() if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign
        for sign in text
    )


def dashed(argv: list[str]) -> list[str]:
    """The arguments with every `--flag_name` (or `--flag_name=value`) before a bare `--` spelled `--flag-name`."""
    end = argv.index("--") if "--" in argv else len(argv)
    options = []
    for argument in argv[:end]:
        name, equals, value = argument.partition("=")
        options.append(name.replace("_", "-") + equals + value if name.startswith("--") else argument)
    return options + argv[end:]
