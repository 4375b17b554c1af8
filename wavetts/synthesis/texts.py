"""Reads texts to speak from lists and standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wavetts.corpus.columns import find_columns
from wavetts.corpus.formats import AUDIO_SUFFIXES, check_id
from wavetts.errors import UserError
from wavetts.files import decode_utf8, numbered_lines, read_utf8
from wavetts.jsonlines import read_json_lines


@dataclass(frozen=True)
class Text:
    """One text to speak: `id` names its output file, `source` (file:line) its origin in messages."""

    id: str
    text: str
    source: str


def read_texts(path: str) -> list[Text]:
    """Read the texts of a list, by the kind of file.

    - `.jsonl`: an object with "id" and "text" on each line; other keys are ignored, so manifests of preprocess do.
    - `.csv`: the metadata of a corpus, as `corpus.formats.read_corpus` takes it: `id|text` and the like.
    - anything else, and `-` for standard input: one text on each line; `NAME-0012` is the text of line 12.

    Blank lines are skipped.

    Raises:
        UserError: the file is missing, not UTF-8 or without a text; a line has no text, no id or the id of an
            earlier line; an id is no plain file name. The message names file and line.
    """
    source = "standard input" if path == "-" else path
    texts: dict[str, Text] = {}
    for name, text, where in _read_entries(path, source):
        check_id(name, where)
        if not text.strip():
            raise UserError(f"{where}: no text; remove the line or give it one")
        # Compared without case: on some systems ID.wav and id.wav are one file.
        earlier = texts.setdefault(name.lower(), Text(name, text, where)).source
        if earlier != where:
            raise UserError(f"{where}: id {name!r} was given at {earlier} already; ids name the output files")
    if not texts:
        raise UserError(f"{source}: no text in it")
    return list(texts.values())


def _read_entries(path: str, source: str) -> Iterator[tuple[str, str, str]]:
    """Yield id, text and "file:line"."""
    suffix = Path(path).suffix.lower()
    if suffix == ".jsonl":
        for where, item in read_json_lines(Path(path)):
            if not all(isinstance(item.get(key), str) for key in ("id", "text")):
                raise UserError(f'{where}: expected an object with "id" and "text", both strings')
            yield item["id"], item["text"], where
        return
    stem = "text" if path == "-" else Path(path).stem
    content = decode_utf8(sys.stdin.buffer.read(), source) if path == "-" else read_utf8(Path(path))
    lines = list(numbered_lines(content))
    if suffix == ".csv" and lines:
        rows = [(f"{source}:{number}", line.split("|")) for number, line in lines]
        columns = find_columns(rows)
        for where, cells in rows[columns.has_header :]:
            name, text, normalised, _ = columns.read(cells, where)
            yield Path(name).stem if name.lower().endswith(AUDIO_SUFFIXES) else name, normalised or text, where
        return
    for number, line in lines:
        yield f"{stem}-{number:04d}", line.strip(), f"{source}:{number}"


def read_stdin() -> Text:
    """All of standard input as one text, in paragraphs that blank lines separate.

    Raises:
        UserError: it is not UTF-8 or there is nothing to speak.
    """
    text = decode_utf8(sys.stdin.buffer.read(), "standard input")
    if not text.strip():
        raise UserError("standard input: no text in it")
    return Text("speech", text, "standard input")
