"""Reads the metadata of corpora: LJSpeech's layout, other columns, JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wavetts.corpus.columns import find_columns
from wavetts.errors import UserError
from wavetts.files import numbered_lines, read_utf8
from wavetts.jsonlines import read_json_lines

# Where there are several files of a name, the first of these counts.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
# With ".flac" and the temporary name's additions this stays below the 255 bytes that file systems allow.
MAX_ID_BYTES = 200


@dataclass(frozen=True)
class Recording:
    """One line of a corpus: a text and its audio file."""

    # A name that is unique in the corpus and is a file name without its suffix.
    id: str
    # The audio file; whether it is there has not been checked.
    audio: Path
    # The text as given: the normalised column of LJSpeech's three.
    text: str
    # Who speaks, or None if the corpus does not say.
    speaker: str | None
    # "file:line" for messages.
    where: str
    # What the columns of the metadata were taken for.
    columns: str


def read_corpus(source: Path) -> list[Recording]:
    r"""Reads the lines of a corpus, in their order.

    A folder has `metadata.csv` or `metadata.jsonl`; a file is one of these by its suffix. A line of `metadata.csv` is
    split at "|" and nowhere else (quotation marks are plain characters). Its first column is an id or a file name; the
    audio, of any of `AUDIO_SUFFIXES` in capitals or not, is in wavs/ or beside the metadata. The others are

    - a text;
    - a text and its normalised form, which is used (LJSpeech);
    - a text and a speaker, in either order, recognised by their contents (see `corpus.columns`);
    - or the columns that a header line names: `audio_file|text|speaker_name` and the like.

    An object of `metadata.jsonl` has "text", "audio" (a path from the metadata's folder) or "id", optionally both,
    and optionally "speaker"; null is the same as a missing key.

    Args:
        source: the folder or the metadata file.

    Raises:
        UserError: there is no metadata, a line has another form, or an id is not a valid file name or occurs twice.
    """
    candidates = [source] if source.is_file() else [source / "metadata.csv", source / "metadata.jsonl"]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise UserError(f"{source}: no metadata.csv or metadata.jsonl there; give a folder in LJSpeech's layout")
    utterances = list(_read_json(path) if path.suffix == ".jsonl" else _read_columns(path))
    first: dict[str, str] = {}
    for utterance in utterances:
        check_id(utterance.id, utterance.where)
        # Compared without case: on some systems ID.flac and id.flac are one file.
        if first.setdefault(utterance.id.lower(), utterance.where) != utterance.where:
            earlier = first[utterance.id.lower()]
            raise UserError(
                f"{utterance.where}: id '{utterance.id}' is taken by {earlier}; make ids differ in more than case"
            )
    if not utterances:
        raise UserError(f"{path}: it has no lines")
    return utterances


def check_id(name: str, where: str) -> None:
    """Checks that an id is a plain file name without a suffix.

    Args:
        name: the id.
        where: "file:line" for the message.

    Raises:
        UserError: it is empty, hidden or too long, or has path separators or control characters.
    """
    if len(name.encode()) > MAX_ID_BYTES:
        raise UserError(f"{where}: id '{name[:60]}...' is longer than {MAX_ID_BYTES} bytes")
    if not name or name.startswith(".") or any(sign in "/\\" or not sign.isprintable() for sign in name):
        raise UserError(
            f"{where}: id {name!r} cannot name a file; use no '/', '\\' or control signs, and no leading dot"
        )


def _read_columns(path: Path) -> Iterator[Recording]:
    rows = [(f"{path}:{number}", line.split("|")) for number, line in numbered_lines(read_utf8(path))]
    if not rows:
        return
    columns = find_columns(rows)
    audio = _AudioFiles(path.parent)
    for where, cells in rows[columns.has_header :]:
        name, text, normalised, speaker = columns.read(cells, where)
        # Some corpora in LJSpeech's layout leave the normalised column empty.
        text = normalised or text
        if name.lower().endswith(AUDIO_SUFFIXES):
            yield Recording(Path(name).stem, audio.of_name(name), text, speaker, where, columns.description)
        else:
            yield Recording(name, audio.of_id(name), text, speaker, where, columns.description)


def _read_json(path: Path) -> Iterator[Recording]:
    audio_files = _AudioFiles(path.parent)
    for where, item in read_json_lines(path):
        item = {key: value for key, value in item.items() if value is not None}
        for key, value in item.items():
            if key in ("id", "audio", "text", "speaker") and not isinstance(value, str):
                raise UserError(f"{where}: '{key}' must be a string, not {value!r}")
        if "text" not in item or not (item.get("audio") or item.get("id")):
            raise UserError(f"{where}: an object needs 'text' and 'audio' (or 'id'); it has {sorted(item)}")
        identifier = item.get("id") or Path(item["audio"]).stem
        audio = path.parent / item["audio"] if item.get("audio") else audio_files.of_id(identifier)
        yield Recording(identifier, audio, item["text"].strip(), item.get("speaker") or None, where, "JSON lines")


class _AudioFiles:
    """Index of the audio files in a folder and in its wavs/, by file name without suffix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_stem: dict[str, Path] = {}
        for place in (folder / "wavs", folder):
            files = [file for file in (place.iterdir() if place.is_dir() else []) if _suffix_rank(file) is not None]
            for file in sorted(files, key=lambda file: (_suffix_rank(file), file.name)):
                self._by_stem.setdefault(file.stem, file)

    def of_id(self, identifier: str) -> Path:
        """The audio file of an id; wavs/ID.wav if there is none."""
        return self._by_stem.get(identifier, self._folder / "wavs" / f"{identifier}.wav")

    def of_name(self, name: str) -> Path:
        """The audio file of that name, or one with another suffix."""
        places = self._folder / "wavs" / name, self._folder / name
        there = next((place for place in places if place.is_file()), None)
        return there or self._by_stem.get(Path(name).stem, places[1])


def _suffix_rank(file: Path) -> int | None:
    suffix = file.suffix.lower()
    return AUDIO_SUFFIXES.index(suffix) if suffix in AUDIO_SUFFIXES else None
