"""Corpora as they come: LJSpeech's layout, JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wavetts.errors import UserError
from wavetts.files import numbered_lines, read_utf8
from wavetts.jsonlines import read_json_lines

AUDIO_SUFFIXES = (".wav", ".flac")
# With ".flac" and the temporary name's additions this stays below the 255 bytes that file systems allow.
MAX_ID_BYTES = 200


@dataclass(frozen=True)
class Recording:
    """One line of a corpus: what is said, and in which file."""

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


def read_corpus(source: Path) -> list[Recording]:
    r"""Read a corpus' lines, in their order.

    A folder has `metadata.csv` or `metadata.jsonl`; a file is one of these by its suffix. A line of `metadata.csv` is
    split at "|" and nowhere else (quotation marks are plain characters):

    - `id|text` and `id|text|normalised text` (LJSpeech): the audio is wavs/ID.wav or wavs/ID.flac;
    - `file.wav|text` and `file.wav|speaker|text`: the file is in wavs/ or beside the metadata.

    An object of `metadata.jsonl` has "text", "audio" (a path from the metadata's folder) or "id", optionally both,
    and optionally "speaker".

    Args:
        source: the folder or the metadata file.

    Raises:
        UserError: nothing to read, a line that is not as above, an id that cannot be a file name or comes twice.
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
    """An id is a plain file name without its suffix.

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
    for number, line in numbered_lines(read_utf8(path)):
        where = f"{path}:{number}"
        columns = line.split("|")
        if len(columns) not in (2, 3):
            found = f"found {len(columns)} column(s) in {line[:60]!r}"
            raise UserError(f"{where}: expected 'id|text' or 'id|text|normalised text' divided by '|', {found}")
        name = columns[0].strip()
        if name.lower().endswith(AUDIO_SUFFIXES):
            speaker = columns[1].strip() if len(columns) == 3 else None
            audio = path.parent / "wavs" / name
            audio = audio if audio.is_file() else path.parent / name
            yield Recording(Path(name).stem, audio, columns[-1].strip(), speaker or None, where)
        else:
            # Some corpora in this layout leave the normalised column empty.
            text = columns[-1].strip() or columns[1].strip()
            yield Recording(name, _audio_of(path.parent, name), text, None, where)


def _read_json(path: Path) -> Iterator[Recording]:
    for where, item in read_json_lines(path):
        for key, value in item.items():
            if key in ("id", "audio", "text", "speaker") and not isinstance(value, str):
                raise UserError(f"{where}: '{key}' must be a string, not {value!r}")
        if "text" not in item or not (item.get("audio") or item.get("id")):
            raise UserError(f"{where}: an object needs 'text' and 'audio' (or 'id'); it has {sorted(item)}")
        identifier = item.get("id") or Path(item["audio"]).stem
        audio = path.parent / item["audio"] if item.get("audio") else _audio_of(path.parent, identifier)
        yield Recording(identifier, audio, item["text"].strip(), item.get("speaker") or None, where)


def _audio_of(folder: Path, identifier: str) -> Path:
    """wavs/ID.wav, or wavs/ID.flac if only that is there."""
    paths = [folder / "wavs" / f"{identifier}{suffix}" for suffix in AUDIO_SUFFIXES]
    return next((path for path in paths if path.is_file()), paths[0])
