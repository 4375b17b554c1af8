"""Recognises the columns of a corpus: by a header line, or by their contents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wavetts.errors import UserError

# What a first line may call a column, by what it is.
_NAMES = {
    "file": {"id", "audio", "audio_file", "audio_path", "clip", "file", "file_name", "filename", "path", "wav", "wavs"},
    "text": {"text", "transcript", "transcription", "sentence", "raw_text"},
    "normalised text": {"normalised", "normalized", "normalised_text", "normalized_text", "normalised text"},
    "speaker": {"speaker", "speaker_id", "speaker_name", "spk", "client_id"},
}
_NAMES["normalised text"] |= {"normalized text", "text_normalized", "text_normalised"}
# A name of a speaker has no more words and characters than this.
_SPEAKER_WORDS, _SPEAKER_LENGTH = 3, 40
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Columns:
    """The meaning of the columns of a corpus.

    Attributes:
        kinds: for each column `file`, `text`, `normalised text` or `speaker`, "" if it is not used.
        has_header: whether the first line names the columns.
        told_by: how the columns were recognised, for the report.
    """

    kinds: tuple[str, ...]
    has_header: bool
    told_by: str

    @property
    def description(self) -> str:
        """One line for the report: the columns, and how they were recognised."""
        return f"{'|'.join(kind or 'not used' for kind in self.kinds)} (by {self.told_by})"

    def read(self, cells: Sequence[str], where: str) -> tuple[str, str, str | None, str | None]:
        """Returns file or id, text, normalised text (or None) and speaker (or None) of a line.

        Args:
            cells: the cells of the line.
            where: "file:line" for messages.

        Raises:
            UserError: the line has another number of columns.
        """
        kinds = self.kinds
        if not self.has_header and len(cells) == 2:
            kinds = ("file", "text")
        if len(cells) != len(kinds):
            raise UserError(f"{where}: expected {'|'.join(kinds)}, found {_found(cells)}")
        values = {kind: cell.strip() for kind, cell in zip(kinds, cells, strict=True) if kind}
        normalised = values.get("normalised text") or None
        return values["file"], values.get("text", normalised or ""), normalised, values.get("speaker") or None


def find_columns(rows: Sequence[tuple[str, list[str]]]) -> Columns:
    """Recognises the columns of a corpus.

    A header line decides. Without one, two columns are file and text; single lines of a file with three columns may
    have two. With three columns, the last two are a text and its normalised form if they share most words, else a text
    and a speaker: names of speakers are short, and repeat or have a single word.

    Args:
        rows: "file:line" and the cells of each line; at least one line.

    Raises:
        UserError: lines have neither names nor two or three columns, or a speaker cannot be told from a text.
    """
    where, first = rows[0]
    kinds = tuple(_kind_of(cell) for cell in first)
    if "file" in kinds and ("text" in kinds or "normalised text" in kinds):
        if len(set(kinds) - {""}) < len([kind for kind in kinds if kind]):
            raise UserError(f"{where}: two columns have names of the same kind: {'|'.join(first)}")
        return Columns(kinds, True, "their names in the first line")
    for place, cells in rows:
        if len(cells) not in (2, 3):
            raise UserError(
                f"{place}: expected 'id|text' or 'id|text|normalised text' divided by '|', found {_found(cells)}"
            )
    full = [(place, [cell.strip() for cell in cells]) for place, cells in rows if len(cells) == 3]
    if not full:
        return Columns(("file", "text"), False, "their number")
    return Columns(("file", *_order(full)), False, "what they hold")


def _kind_of(name: str) -> str:
    name = name.strip().lower()
    return next((kind for kind, names in _NAMES.items() if name in names), "")


def _order(rows: list[tuple[str, list[str]]]) -> tuple[str, str]:
    """The kinds of the second and the third column."""
    where, (file, *_) = rows[0]
    _, one, other = ([cells[index] for _, cells in rows] for index in range(3))
    if _same_words(one, other):
        return "text", "normalised text"
    speakers = _are_speakers(one, other), _are_speakers(other, one)
    if speakers[0] != speakers[1]:
        return ("speaker", "text") if speakers[0] else ("text", "speaker")
    if _look_like_names(one) and _look_like_names(other):
        # A corpus of words or short commands: there are more of these than speakers.
        distinct = len(set(one)), len(set(other))
        if distinct[0] != distinct[1]:
            return ("speaker", "text") if distinct[0] < distinct[1] else ("text", "speaker")
        if "." in file:
            raise UserError(
                f"{where}: cannot tell which of {one[0]!r} and {other[0]!r} is the text and which the speaker: begin "
                "the file with a line of names, such as 'file|text|speaker'"
            )
    # LJSpeech's layout.
    return "text", "normalised text"


def _are_speakers(column: list[str], other: list[str]) -> bool:
    """Whether a column names speakers, and the other holds what they say."""
    given = [cell for cell in column if cell]
    repeated = len(set(given)) <= len(given) // 2
    words = sum(len(cell.split()) for cell in given), sum(len(cell.split()) for cell in other)
    return _look_like_names(column) and (repeated or words[1] >= 2 * words[0])


def _look_like_names(column: list[str]) -> bool:
    """Whether all cells of a column are short, as names are."""
    return all(
        len(cell) <= _SPEAKER_LENGTH and len(cell.split()) <= _SPEAKER_WORDS and cell[-1] not in ".!?…。"
        for cell in column
        if cell
    )


def _same_words(one: list[str], other: list[str]) -> bool:
    """Whether two columns are a text and its normalised form: half of the words are in both, or one is empty."""
    lines = [
        [set(_WORD.findall(cell.lower())) for cell in cells] for cells in zip(one, other, strict=True) if all(cells)
    ]
    same = [len(a & b) >= max(1, min(len(a), len(b)) / 2) for a, b in lines]
    return sum(same) >= len(same) / 2


def _found(cells: Sequence[str]) -> str:
    return f"{len(cells)} column{'s' * (len(cells) != 1)} in {'|'.join(cells)[:60]!r}"
