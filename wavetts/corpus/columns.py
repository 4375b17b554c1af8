"""What the columns of a corpus' lines are: told by a line of names, or by what they hold."""

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
    """Which column is what.

    Attributes:
        kinds: of every column, "" for one that is not used.
        has_header: the first line names the columns.
        told_by: how that was found out.
    """

    kinds: tuple[str, ...]
    has_header: bool
    told_by: str

    @property
    def description(self) -> str:
        """For the report."""
        return f"{'|'.join(kind or 'not used' for kind in self.kinds)} (by {self.told_by})"

    def read(self, cells: Sequence[str], where: str) -> tuple[str, str, str | None, str | None]:
        """File or id, text, normalised text and speaker of a line; of the last two None where there is none.

        Args:
            cells: of the line.
            where: "file:line" for messages.

        Raises:
            UserError: it has another number of columns.
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
    """Finds out what the columns are.

    A first line of names decides. Else two columns are file and text, also in some lines of a file of three. Of three
    the last two are a text and the same normalised if they are of the same words, or a speaker and a text: a speaker's
    name is short, and the same in many lines or one word where the text is many.

    Args:
        rows: "file:line" and cells of each line; one at least.

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
    """What the second and the third column are."""
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
    """Whether everything in a column is short, as names are, and no sentence."""
    return all(
        len(cell) <= _SPEAKER_LENGTH and len(cell.split()) <= _SPEAKER_WORDS and cell[-1] not in ".!?…。"
        for cell in column
        if cell
    )


def _same_words(one: list[str], other: list[str]) -> bool:
    """Whether two columns are a text and the same normalised: half of the words are in both, or one column is empty."""
    lines = [
        [set(_WORD.findall(cell.lower())) for cell in cells] for cells in zip(one, other, strict=True) if all(cells)
    ]
    same = [len(a & b) >= max(1, min(len(a), len(b)) / 2) for a, b in lines]
    return sum(same) >= len(same) / 2


def _found(cells: Sequence[str]) -> str:
    return f"{len(cells)} column{'s' * (len(cells) != 1)} in {'|'.join(cells)[:60]!r}"
