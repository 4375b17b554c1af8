"""Output of synthesis: audio files, report and plots; an interrupted list is continued by the same command."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wavetts.audio.stretch import stretch
from wavetts.audio.waveform import write_audio
from wavetts.errors import UserError
from wavetts.files import locked, remove_temporaries
from wavetts.jsonlines import append_journal, read_journal, write_json_lines
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Result, Take, pause_before, silence
from wavetts.synthesis.texts import Text
from wavetts.synthesis.voice import Voice


@dataclass
class Narration:
    """What `speak_to_file` gave away.

    Attributes:
        seconds: of audio, pauses among them.
        sentences: how many.
        broken: those that did not reach their end, without their audio and alignment.
    """

    seconds: float = 0.0
    sentences: int = 0
    broken: list[Take] = field(default_factory=list)


def speak_to_file(
    voice: Voice,
    texts: Sequence[Text],
    write: Callable[[np.ndarray], None],
    settings: SynthesisSettings,
    progress: Callable[[float], None],
) -> Narration:
    """Speaks texts one after the other, with a paragraph's pause between, and gives the audio away as it is made.

    Memory does not grow with the texts' length: sentences are made ready a few at a time, and not kept.

    Args:
        voice: who speaks.
        texts: what.
        write: called with the next samples (S,) in order.
        settings: how.
        progress: called with the fraction of a text that was finished.

    Raises:
        UserError: there is nothing to speak in a text; the message names its line, and nothing was spoken.
    """
    prepared: list[tuple[Text, Iterator[Piece]]] = []
    for text in texts:
        pieces = voice.pieces(text.text, settings.seed)
        try:
            # The first one tells whether there is any.
            first = next(pieces)
        except UserError as error:
            raise UserError(f"{text.source}: {error}") from None
        prepared.append((text, itertools.chain([first], pieces)))
    # Of each piece that is asked for: its text, and whether it is the text's first one.
    origins: deque[tuple[Text, bool]] = deque()

    def ask() -> Iterator[Piece]:
        for text, pieces in prepared:
            for number, piece in enumerate(pieces):
                origins.append((text, number == 0))
                yield piece

    rate, spoken, told = voice.sample_rate, Narration(), 0.0
    for take in voice.takes(ask(), settings):
        text, is_first = origins.popleft()
        pause = [pause_before(take.piece, settings, rate)] if spoken.sentences else []
        if is_first and spoken.sentences:
            pause = [silence(settings.paragraph_pause, rate)]
            progress(1 - told)
            told = 0.0
        audio = np.concatenate([*pause, stretch(take.audio, rate, settings.speed)])
        write(audio)
        spoken.seconds += len(audio) / rate
        spoken.sentences += 1
        if not take.complete:
            spoken.broken.append(take.without_sound())
        # How many sentences there will be is not known: the written text is what it is a part of.
        share = min(1 - told, len(take.piece.written or take.piece.spoken) / len(text.text))
        progress(share)
        told += share
    progress(1 - told)
    return spoken


def speak_to_folder(
    voice: Voice,
    texts: Sequence[Text],
    folder: Path,
    settings: SynthesisSettings,
    progress: Callable[[float], None],
    overwrite: bool = False,
    plots: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> list[dict[str, Any]]:
    """Speaks each text into FOLDER/ID.wav and writes a report.

    What was spoken already is left, so that the same command continues an interrupted one. That is what the report says
    was spoken of the same text by the same voice with the same settings; a file that is in no report is left, too, with
    a warning. The report has a line for each text: report.jsonl, or with several processes report-RANKofWORLD.jsonl for
    each one's share (they need not see each other; `cat report-*.jsonl` joins them).

    Args:
        voice: the voice.
        texts: the texts; their ids name the files.
        folder: created if missing.
        settings: how to speak.
        progress: called with each finished fraction of a text.
        overwrite: speak texts again whose file exists.
        plots: also write the attention as FOLDER/ID.png and the spectrogram as FOLDER/ID.spectrogram.png.
        rank: index of this process.
        world_size: number of processes that share the texts.

    Returns:
        The lines of the report that this run wrote.

    Raises:
        UserError: a file cannot be written; no half-written one is left. Or another process writes this report.
    """
    path = report_path(folder, rank, world_size)
    with locked(path.with_name(f".{path.name}.lock"), str(folder)):
        return _speak_to_folder(voice, texts, folder, path, settings, progress, overwrite, plots, rank, world_size)


def _speak_to_folder(
    voice: Voice,
    texts: Sequence[Text],
    folder: Path,
    path: Path,
    settings: SynthesisSettings,
    progress: Callable[[float], None],
    overwrite: bool,
    plots: bool,
    rank: int,
    world_size: int,
) -> list[dict[str, Any]]:
    share = sorted(texts, key=lambda text: (-len(text.text), text.id))[rank::world_size]
    how = {"voice": voice.fingerprint, "settings": _lasting(voice.settled(settings))}
    if world_size == 1:
        remove_temporaries(folder)
    report = _earlier_report(path)
    todo = list(share) if overwrite else _todo(folder, share, how)
    # What a kill left of a line would spoil the next one.
    write_json_lines(path, report.values())
    progress(len(share) - len(todo))
    written = []
    with append_journal(path) as append:
        for line, result in _speak_each(voice, todo, settings):
            line |= how
            append(line)
            if result is not None:
                if plots:
                    _plot(folder, line["id"], result, voice.tokenizer.symbols)
                # The audio last: where it is, the rest is not made again.
                write_audio(folder / f"{line['id']}.wav", result.audio, result.sample_rate)
            written.append(line)
            progress(1)
    report |= {line["id"]: line for line in written}
    write_json_lines(path, [report[name] for name in sorted(report)])
    return written


def _lasting(settings: SynthesisSettings) -> dict[str, Any]:
    """The settings that decide what is heard."""
    return {name: value for name, value in dataclasses.asdict(settings).items() if name != "batch_size"}


def _todo(folder: Path, texts: Sequence[Text], how: dict[str, Any]) -> list[Text]:
    """The texts that are not there yet, or were spoken otherwise than `how`, or not of these words."""
    known: dict[str, dict[str, Any]] = {}
    # Another number of processes may have begun.
    for path in sorted(folder.glob("report*.jsonl")):
        known |= _earlier_report(path)
    todo, foreign, changed = [], 0, 0
    for text in texts:
        file, line = folder / f"{text.id}.wav", known.get(text.id)
        if not file.is_file() or file.stat().st_size == 0:
            todo.append(text)
        elif line is None:
            foreign += 1
        elif {"text": text.text, **how} != {key: line.get(key) for key in ("text", *how)}:
            todo.append(text)
            changed += 1
    if foreign:
        warnings.warn(f"{folder}: {foreign} files are in no report of it; they are left as they are", stacklevel=3)
    if changed:
        warnings.warn(
            f"{folder}: {changed} files are of another text, voice or settings; they are spoken again", stacklevel=3
        )
    return todo


def _earlier_report(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of an earlier run by their ids."""
    lines = read_journal(path) if path.exists() else []
    if not all(isinstance(line.get("id"), str) for line in lines):
        raise UserError(f"{path}: not a report of wavetts, its lines have no id; remove it or choose another folder")
    return {line["id"]: line for line in lines}


def report_path(folder: Path, rank: int, world_size: int) -> Path:
    """Where `speak_to_folder` writes its report."""
    return folder / ("report.jsonl" if world_size == 1 else f"report-{rank}of{world_size}.jsonl")


def _speak_each(
    voice: Voice, texts: list[Text], settings: SynthesisSettings
) -> Iterator[tuple[dict[str, Any], Result | None]]:
    """Yields each text's line of the report and its result; a text that cannot be spoken has an "error" and None."""
    prepared: deque[Text] = deque()
    failed: list[dict[str, Any]] = []

    def prepare() -> Iterator[list[Piece]]:
        for text in texts:
            try:
                pieces = voice.prepare(text.text, settings.seed)
            except UserError as error:
                warnings.warn(f"{text.source}: {error}", stacklevel=2)
                failed.append({"id": text.id, "text": text.text, "error": str(error)})
                continue
            prepared.append(text)
            yield pieces

    for result in voice.results(prepare(), settings):
        text = prepared.popleft()
        yield {"id": text.id, "text": text.text, **result.report()}, result
    yield from ((line, None) for line in failed)


def _plot(folder: Path, name: str, result: Result, symbols: Sequence[str]) -> None:
    from wavetts.audio.figures import alignment_figure, save_figure, spectrogram_figure

    labels = [symbols[token] for take in result.takes for token in take.piece.tokens]
    save_figure(alignment_figure(result.alignment, labels, name), folder / f"{name}.png")
    figure = spectrogram_figure(result.audio, result.sample_rate, name)
    save_figure(figure, folder / f"{name}.spectrogram.png")
