"""Output of synthesis: audio files, report and plots; an interrupted list is continued by the same command."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wavetts.audio.waveform import write_audio
from wavetts.errors import UserError
from wavetts.files import remove_temporaries
from wavetts.jsonlines import append_journal, read_journal, write_json_lines
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Result
from wavetts.synthesis.texts import Text
from wavetts.synthesis.voice import Voice


def speak_to_file(
    voice: Voice, texts: Sequence[Text], settings: SynthesisSettings, progress: Callable[[float], None]
) -> tuple[np.ndarray, list[Result]]:
    """Speaks texts into one waveform, with the pause of a paragraph between them.

    Returns:
        The audio (S,) and the results.

    Raises:
        UserError: there is nothing to speak in a text; the message names its line.
    """
    pause = np.zeros(round(settings.paragraph_pause * voice.sample_rate), dtype=np.float32)
    prepared = []
    for text in texts:
        try:
            prepared.append(voice.prepare(text.text, settings.seed))
        except UserError as error:
            raise UserError(f"{text.source}: {error}") from None
    results = voice.speak(prepared, settings, progress)
    parts = [part for result in results for part in (pause, result.audio)]
    return np.concatenate(parts[1:]), results


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

    Texts whose file exists are skipped, so that the same command continues an interrupted one. The report has one line
    per text: report.jsonl, or report-RANKofWORLD.jsonl for the share of each of several processes, which need not
    communicate (`cat report-*.jsonl` joins them).

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
        UserError: a file cannot be written; no incomplete file is left.
    """
    path = report_path(folder, rank, world_size)
    share = sorted(texts, key=lambda text: (-len(text.text), text.id))[rank::world_size]
    todo = [text for text in share if overwrite or not (folder / f"{text.id}.wav").exists()]
    if world_size == 1:
        remove_temporaries(folder)
    report = _earlier_report(path)
    # What a kill left of a line would spoil the next one.
    write_json_lines(path, report.values())
    progress(len(share) - len(todo))
    written = []
    with append_journal(path) as append:
        for line, result in _speak_each(voice, todo, settings):
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
