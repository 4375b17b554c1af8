"""Reads the output of `wavetts preprocess`: info.json and manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wavetts.config import Config
from wavetts.errors import UserError
from wavetts.jsonlines import read_json_lines
from wavetts.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest.

    Attributes:
        id: unique in the manifest.
        audio: the audio file.
        samples: length of the audio in samples.
        text: the text of the corpus.
        spoken: the normalised text.
        phonemes: the phonemes of `spoken`.
    """

    id: str
    audio: Path
    samples: int
    text: str
    spoken: str
    phonemes: str

    def transcript(self, text_input: str) -> str:
        """The string that a tokenizer of this input ("phonemes" or "characters") encodes."""
        return self.phonemes if text_input == "phonemes" else self.spoken.lower()


def load_info(data_dir: Path, config: Config) -> dict[str, Any]:
    """Reads the info.json of a preprocessed corpus and compares it with the config.

    Raises:
        UserError: the folder is missing or not preprocessed, or its sample rate or language is not the config's.
    """
    path = Path(data_dir) / "info.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; make the data folder with `wavetts preprocess CORPUS {data_dir}`")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        rate, language, _ = info["sample_rate"], info["language"], info["espeak_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); run `wavetts preprocess` again") from None
    if rate != config.audio.sample_rate:
        raise UserError(
            f"{path}: the data has {rate} Hz, the config audio.sample_rate {config.audio.sample_rate}; "
            f"preprocess it at {config.audio.sample_rate} Hz or set audio.sample_rate={rate}"
        )
    if language != config.text.language:
        raise UserError(
            f"{path}: the data's language is {language}, the config's text.language {config.text.language}; "
            f"preprocess it as {config.text.language} or set text.language={language}"
        )
    return info


def load_manifest(path: Path) -> list[Utterance]:
    """Reads a manifest that `wavetts preprocess` wrote.

    Raises:
        UserError: it is missing, or a line is broken, repeats an id or names audio that is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: no such manifest; make the data folder with `wavetts preprocess CORPUS {path.parent}`"
        )
    utterances: dict[str, Utterance] = {}
    for where, entry in read_json_lines(path):
        utterance = _parse_entry(entry, where, path.parent)
        if utterances.setdefault(utterance.id, utterance) is not utterance:
            raise UserError(f"{where}: id {utterance.id!r} is on an earlier line already")
    return list(utterances.values())


def _parse_entry(entry: dict[str, Any], where: str, folder: Path) -> Utterance:
    fields = {"id": str, "audio": str, "samples": int, "text": str, "spoken": str, "phonemes": str}
    for name, kind in fields.items():
        if not isinstance(entry.get(name), kind):
            raise UserError(f"{where}: {name} is missing or not a {kind.__name__}; run `wavetts preprocess` again")
    audio = folder / entry["audio"]
    if not audio.is_file():
        raise UserError(f"{where}: {audio}: no such file; run `wavetts preprocess` again")
    return Utterance(**{**{name: entry[name] for name in fields}, "audio": audio})


def build_tokenizer(utterances: Sequence[Utterance], info: dict[str, Any], config: Config) -> Tokenizer:
    """The tokenizer of a training manifest: symbols of its transcripts, versions of espeak and the front end."""
    text_input = config.text.input
    transcripts = [utterance.transcript(text_input) for utterance in utterances]
    tokenizer = Tokenizer.build(transcripts, input=text_input, language=config.text.language)
    tokenizer = replace(tokenizer, front_end_version=info.get("front_end_version", ""))
    return replace(tokenizer, espeak_version=info["espeak_version"]) if text_input == "phonemes" else tokenizer
