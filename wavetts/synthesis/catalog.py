"""The available voices: those of the package, the user's own, and models in any folder."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from wavetts.errors import UserError, printable

BUNDLED = Path(__file__).parents[1] / "voices"
DEFAULT = "heart"
_MODEL_NAME = "model.safetensors"
_FRONT_MATTER = re.compile(r"\A---\n(.*?)^---$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class VoiceEntry:
    """A voice that `load_voice` takes by its name.

    Attributes:
        name: name of its folder.
        path: the model file.
        description: one line from its card.
        language: espeak code of its language.
        licence: licence of its weights, from its card.
        sample_rate: in Hz.
        bundled: whether it comes with the package; else it is the user's.
    """

    name: str
    path: Path
    description: str
    language: str
    licence: str
    sample_rate: int
    bundled: bool


def list_voices() -> list[VoiceEntry]:
    """The voices that have a name, the default first; a voice of the user replaces a bundled one of the same name.

    A voice is a folder with `model.safetensors` in it and, if it has a card, `README.md` that begins with the YAML keys
    `description` and `license`. The user's are in `$WAVETTS_VOICES`, or else in `wavetts/voices` of `$XDG_DATA_HOME`
    (`~/.local/share`).

    Example:
        >>> from wavetts import list_voices
        >>> names = [voice.name for voice in list_voices()]
    """
    found = {entry.name: entry for entry in [*_voices_in(BUNDLED, True), *_voices_in(user_folder(), False)]}
    return sorted(found.values(), key=lambda entry: (entry.name != DEFAULT, not entry.bundled, entry.name))


def user_folder() -> Path:
    """Where the user's own voices are; it need not exist."""
    if named := os.environ.get("WAVETTS_VOICES"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "wavetts" / "voices"


def voice_folders() -> list[Path]:
    """The folders whose subfolders are voices: the user's, then the package's."""
    return [user_folder(), BUNDLED]


def find_voice(voice: str | Path | None) -> Path:
    """The path of a voice.

    Names of voices have precedence over files in the working directory, except that `Path` objects, and strings that
    look like paths (with a separator, or ending in .safetensors), are paths first.

    Args:
        voice: the name of a voice, a model file, or the folder of a training run; None takes the default voice.

    Raises:
        UserError: there is no such voice.
    """
    entries = list_voices()
    if voice is None:
        if not entries:
            raise UserError("no voice comes with this installation; name a model file or run folder")
        return entries[0].path
    named = next((entry.path for entry in entries if entry.name == str(voice)), None)
    there = Path(voice) if os.path.lexists(voice) else None
    is_path = isinstance(voice, Path) or looks_like_path(voice)
    found = (there or named) if is_path else (named or there)
    if found is None:
        # A damaged one: loading it tells what is wrong.
        places = (folder / str(voice) / _MODEL_NAME for folder in voice_folders())
        found = next((place for place in places if place.parent.name == str(voice) and place.is_file()), None)
    if found is None:
        names = ", ".join(printable(entry.name) for entry in entries) or "there are none"
        raise UserError(f"{voice}: no such model file, run folder or voice ({names})")
    return found


def looks_like_path(word: str) -> bool:
    """Whether a word is meant as a path rather than as the name of a voice."""
    return os.sep in word or (os.altsep or os.sep) in word or word.endswith(".safetensors") or word in (".", "..")


def models_under(folder: Path) -> list[Path]:
    """The model files in a folder and those below it, sorted.

    Raises:
        UserError: there is none.
    """
    paths = [path for path in sorted(Path(folder).rglob("*.safetensors")) if _read_metadata(path)]
    if not paths:
        raise UserError(f"{folder}: no model of wavetts in it or below it")
    return paths


def _voices_in(folder: Path, bundled: bool) -> list[VoiceEntry]:
    # A file that cannot be read is not listed; `load_voice` with its name or path reports the reason.
    entries = (_entry(path, bundled) for path in sorted(folder.glob(f"*/{_MODEL_NAME}")))
    return [entry for entry in entries if entry is not None]


def _entry(path: Path, bundled: bool) -> VoiceEntry | None:
    """The entry of a model file; None if it is not a model of wavetts or its metadata is damaged."""
    metadata = _read_metadata(path)
    if metadata is None:
        return None
    card = _read_card(path.with_name("README.md"))
    description, licence = (str(card.get(key, "")) for key in ("description", "license"))
    return VoiceEntry(path.parent.name, path, description, metadata[0], licence, metadata[1], bundled)


def _read_metadata(path: Path) -> tuple[str, int] | None:
    """Language and sample rate of a model file; None if it is not a model of wavetts."""
    import safetensors

    # Opening a named pipe would wait for somebody to write to it.
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        language = json.loads(metadata["tokenizer"])["language"]
        rate = json.loads(metadata["config"])["audio"]["sample_rate"]
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    sound = "wavetts" in metadata and isinstance(language, str) and isinstance(rate, int)
    return (language, rate) if sound else None


def _read_card(path: Path) -> dict[str, object]:
    """The YAML keys at the top of a voice's card; empty if there are none."""
    import yaml

    try:
        found = _FRONT_MATTER.match(path.read_text(encoding="utf-8"))
        keys = yaml.safe_load(found[1]) if found else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return keys if isinstance(keys, dict) else {}
