"""What an evaluation compares: sentences, and who says them: recordings, models, folders of WAVs from elsewhere."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from wavetts.audio.waveform import read_audio
from wavetts.corpus.formats import AUDIO_SUFFIXES, read_corpus
from wavetts.corpus.manifest import load_manifest
from wavetts.errors import UserError
from wavetts.synthesis.catalog import list_voices, looks_like_path
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.texts import read_texts
from wavetts.text.normalize import normalize

if TYPE_CHECKING:
    from wavetts.synthesis.takes import Piece, Result
    from wavetts.synthesis.voice import Voice

DEFAULT_LANGUAGE = "en-us"


@dataclass(frozen=True)
class Sentence:
    """One utterance of the evaluation.

    Attributes:
        id: names its file in a folder of WAVs.
        text: as the corpus has it.
        spoken: normalised: what models read, and what recognisers are held against.
        recording: of a person who says it; None if there is none.
    """

    id: str
    text: str
    spoken: str
    recording: Path | None


@dataclass(frozen=True)
class Speech:
    """A sentence as a system said it.

    Attributes:
        audio: (S,) float32 in [-1, 1).
        rate: in Hz.
        result: of a model, with its alignments; None for others.
        error: why there is nothing to hear.
    """

    audio: np.ndarray
    rate: int
    result: Result | None = None
    error: str | None = None


@dataclass
class System:
    """A row of the comparison; `speech` by sentence is filled as the evaluation goes on."""

    name: str
    kind: Literal["recordings", "model", "folder"]
    path: str
    speech: dict[str, Speech] = field(default_factory=dict)


def read_sentences(source: Path) -> tuple[list[Sentence], str, bool]:
    """Reads what is to be said.

    Args:
        source: a manifest of `wavetts preprocess`; or a corpus in LJSpeech's layout (its folder or metadata.csv); or a
            list of texts without recordings (.txt, .jsonl).

    Returns:
        The sentences, their language, and whether it is a manifest, so that likelihoods can be measured.

    Raises:
        UserError: it cannot be read, or a recording is missing.
    """
    source = Path(source)
    info = (source if source.is_dir() else source.parent) / "info.json"
    if source.suffix == ".jsonl" and info.is_file():
        language = _language(info)
        entries = [Sentence(u.id, u.text, u.spoken, u.audio) for u in load_manifest(source)]
        return entries, language, True
    if source.is_dir() or source.name in ("metadata.csv", "metadata.jsonl"):
        entries = []
        for utterance in read_corpus(source):
            if not utterance.audio.is_file():
                raise UserError(f"{utterance.where}: {utterance.audio}: no such file")
            spoken = normalize(utterance.text, DEFAULT_LANGUAGE)
            entries.append(Sentence(utterance.id, utterance.text, spoken, utterance.audio))
        return entries, DEFAULT_LANGUAGE, False
    texts = read_texts(str(source))
    return [Sentence(t.id, t.text, normalize(t.text, DEFAULT_LANGUAGE), None) for t in texts], DEFAULT_LANGUAGE, False


def _language(info: Path) -> str:
    try:
        return str(json.loads(info.read_text(encoding="utf-8"))["language"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{info}: damaged ({error}); run `wavetts preprocess` again") from None


def find_systems(paths: Sequence[str]) -> list[System]:
    """Models and folders of WAVs as they are named on the command line; `load_voice` finds the models.

    Raises:
        UserError: one is named twice.
    """
    if doubles := sorted({path for path in paths if list(paths).count(path) > 1}):
        raise UserError(f"{doubles[0]}: named twice; give each system once")
    systems = [System(_short_name(path), "folder" if is_audio_folder(path) else "model", path) for path in paths]
    names = [system.name for system in systems]
    for system in systems:
        if names.count(system.name) > 1 or system.name == "recordings":
            system.name = system.path
    return systems


def is_audio_folder(path: str) -> bool:
    """Whether a word is no voice's name, but the path of a folder with audio and without a model."""
    folder = Path(path)
    if not looks_like_path(path) and path in {entry.name for entry in list_voices()}:
        return False
    return folder.is_dir() and not any(folder.glob("*.safetensors")) and any(_audio_files(folder))


def _audio_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in AUDIO_SUFFIXES]


def _short_name(path: str) -> str:
    place = Path(path)
    # Every run's model has the same name: its folder tells runs apart.
    return place.parent.name if place.name in ("model.safetensors", "best.safetensors") else place.stem


def read_recordings(sentences: Sequence[Sentence]) -> System:
    """The recordings as a system of their own, which the others are held against."""
    speech = {s.id: Speech(*read_audio(s.recording)) for s in sentences if s.recording is not None}
    return System("recordings", "recordings", "", speech)


def read_folder(system: System, sentences: Sequence[Sentence]) -> None:
    """Reads the sentences that a folder holds as ID.wav or ID.flac.

    Raises:
        UserError: there is none of them, or a file is damaged.
    """
    files = {file.stem: file for file in _audio_files(Path(system.path))}
    for sentence in sentences:
        if sentence.id in files:
            system.speech[sentence.id] = Speech(*read_audio(files[sentence.id]))
    if not system.speech:
        raise UserError(f"{system.path}: none of the {len(sentences)} sentences is in it; name files by id, ID.wav")


def speak_sentences(
    system: System,
    voice: Voice,
    sentences: Sequence[Sentence],
    settings: SynthesisSettings,
    progress: Callable[[int], None],
) -> None:
    """Has a model say sentences; one that it cannot read is silence, with the error."""
    readable: deque[Sentence] = deque()

    def prepare() -> Iterator[list[Piece]]:
        for sentence in sentences:
            try:
                # Normalised already: exactly what a manifest's phonemes were made of.
                pieces = voice.prepare(sentence.spoken, settings.seed)
            except UserError as error:
                silence = np.zeros(0, dtype=np.float32)
                system.speech[sentence.id] = Speech(silence, voice.sample_rate, error=str(error))
                progress(1)
                continue
            readable.append(sentence)
            yield pieces

    for result in voice.results(prepare(), settings):
        system.speech[readable.popleft().id] = Speech(result.audio, result.sample_rate, result)
        progress(1)
