"""JSON lines: one object a line, files that are written at once and journals that grow line by line."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wavetts.errors import UserError
from wavetts.files import numbered_lines, read_utf8, write_atomic


def read_json_lines(path: Path) -> Iterator[tuple[str, dict]]:
    """Read a file of one JSON object a line; blank lines are skipped.

    Yields:
        "file:line" and the object.

    Raises:
        UserError: the file is missing, or a line is not a JSON object.
    """
    for number, line in numbered_lines(read_utf8(path)):
        where = f"{path}:{number}"
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not JSON ({error})") from error
        if not isinstance(item, dict):
            raise UserError(f"{where}: expected a JSON object, not {line[:40]!r}")
        yield where, item


def write_json_lines(path: Path, items: Iterable[dict]) -> None:
    """Write one JSON object a line, atomically."""
    write_atomic(path, "".join(json_line(item) for item in items))


def json_line(item: dict) -> str:
    """One line of JSON, with the letters as they are and the line's end."""
    return json.dumps(item, ensure_ascii=False) + "\n"


def read_journal(path: Path) -> list[dict]:
    """Read JSON lines that were appended one at a time, without a last line that a kill or a full disk cut off.

    Raises:
        UserError: the file cannot be read, or another line is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    items = []
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            raise UserError(f"{path}:{number}: not JSON; the file was not written by wavetts, or is damaged") from None
        if not isinstance(item, dict):
            raise UserError(f"{path}:{number}: not a JSON object; the file was not written by wavetts")
        items.append(item)
    return items


@contextmanager
def append_journal(path: Path) -> Generator[Callable[[dict], None]]:
    """Give a function that appends an object to a journal, at once, so that a kill loses none before it.

    Raises:
        UserError: the disk is full, or the like.
    """

    def append(item: dict) -> None:
        line = json_line(item).encode()
        with _writing(path):
            # A disk that fills up takes a part of the line without an error.
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with _writing(path):
        file = path.open("ab", buffering=0)
    with file:
        yield append


@contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; mend that and run the same command again") from error
