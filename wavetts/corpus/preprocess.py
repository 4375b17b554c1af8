"""Converts a corpus to training data: checks, resamples, trims, phonemises and splits it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wavetts.audio.waveform import read_audio, resample, scale_loudness, trim_silence, write_audio
from wavetts.corpus.formats import Recording, read_corpus
from wavetts.corpus.report import build_report, render_report
from wavetts.errors import UserError
from wavetts.extras import require
from wavetts.files import make_folder, remove_temporaries, write_atomic
from wavetts.jsonlines import append_journal, read_journal, write_json_lines
from wavetts.parallel import ordered_map
from wavetts.progress import progress_bar

STATE_FILE = "clips.jsonl"
SPLITS = ("train", "dev", "test")
# -60 dBFS: below it there is nothing but noise.
SILENCE_PEAK = 1e-3
# Three samples in a row at full scale are clipping; a single one is normalisation to the peak.
CLIP_LEVEL, CLIP_RUN = 0.999, 3
# Read speech has 10 to 20 characters a second. Outside of these bounds, which leave room for a word or a pause,
# the text is not what the audio says.
MAX_CHARS_PER_SECOND, SLACK_CHARS = 30.0, 10
MIN_CHARS_PER_SECOND, SLACK_SECONDS = 3.0, 1.5


@dataclass(frozen=True)
class PreprocessOptions:
    """The options of `preprocess`."""

    # Rate of the written audio in Hz.
    sample_rate: int = 24000
    # Language of the texts, as espeak-ng names it.
    language: str = "en-us"
    # Edges this many dB below the loudest 50 ms are trimmed; 0 trims nothing.
    top_db: float = 45.0
    # Seconds of silence that stay at either end.
    margin: float = 0.1
    # RMS level in dBFS that every clip is brought to (its peak stays below full scale); None leaves levels alone.
    loudness: float | None = None
    # Clips outside of these bounds, after trimming, are dropped.
    min_seconds: float = 0.3
    max_seconds: float = 20.0
    # Clips held out, chosen by a hash of the seed and the id: the choice hardly changes when clips are added.
    dev: int = 100
    test: int = 100
    seed: int = 0
    # Worker processes; the result does not depend on it.
    jobs: int = 1
    # Forget what OUTPUT already holds instead of going on from it.
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check the values; raises UserError."""
        checks = {
            "sample_rate must be from 4000 to 192000": 4000 <= self.sample_rate <= 192000,
            "top_db must not be negative": self.top_db >= 0,
            "margin must not be negative": self.margin >= 0,
            "loudness must be below 0 dBFS": self.loudness is None or self.loudness < 0,
            "min_seconds must be above 0 and below max_seconds": 0 < self.min_seconds < self.max_seconds,
            "dev and test must not be negative": self.dev >= 0 and self.test >= 0,
            "jobs must be at least 1": self.jobs >= 1,
        }
        for message, holds in checks.items():
            if not holds:
                raise UserError(message)

    def of_clips(self) -> dict:
        """The options on which the result of a clip depends."""
        without = ("dev", "test", "seed", "jobs", "overwrite")
        return {name: value for name, value in asdict(self).items() if name not in without}


def preprocess(folder: Path, output: Path, options: PreprocessOptions) -> dict:
    """Converts a corpus in LJSpeech's layout (or JSON lines) to training data.

    Writes OUTPUT/audio/ID.flac (16-bit mono), {train,dev,test}.jsonl, dropped.jsonl, info.json, report.md, and
    clips.jsonl, from which an interrupted run continues, as does a later run with added clips.

    Args:
        folder: see `wavetts.corpus.formats.read_corpus`.
        output: the folder to write.
        options: the options. With `jobs` above 1 the caller's main module must be importable (multiprocessing's
            "spawn").

    Returns:
        The report: counts and hours per split, reasons for dropping, spread of durations; the contents of info.json.

    Raises:
        UserError: the corpus cannot be read, OUTPUT was made with other options, a package is missing, the disk is
            full, no clip is left, or fewer than dev + test are.
    """
    from wavetts.text.normalize import FRONT_END_VERSION, normalize
    from wavetts.text.phonemes import espeak_version, phonemize

    if options.top_db:
        require("trimming silence", "train", "librosa")
    recordings = read_corpus(folder)
    if len(recordings) <= options.dev + options.test:
        raise UserError(f"{folder}: it has {len(recordings)} clips, and {_none_left(options)}; hold out fewer")
    # A language that is not there stops the run here, not in every clip.
    phonemize(normalize("a", options.language), options.language)
    header = {"options": options.of_clips(), "espeak_version": espeak_version()}
    header["front_end_version"] = FRONT_END_VERSION
    done = _open_state(output, header, options.overwrite)
    make_folder(output / "audio")
    remove_temporaries(output / "audio")

    results: dict[str, dict] = {}
    todo = []
    for recording in recordings:
        result = done.get(recording.id)
        if result and result["source"] == _fingerprint(recording) and _is_written(output, result):
            results[recording.id] = result
        else:
            todo.append(recording)
    (output / "info.json").unlink(missing_ok=True)
    # Also drops a line that was torn when a run was killed.
    write_json_lines(output / STATE_FILE, [header, *results.values()])
    with append_journal(output / STATE_FILE) as append:
        for result in _map_clips(todo, output, options, len(results)):
            results[result["id"]] = result
            append(result)

    ordered = [results[recording.id] for recording in recordings]
    for identifier in done.keys() - {result["id"] for result in ordered if "reason" not in result}:
        (output / "audio" / f"{identifier}.flac").unlink(missing_ok=True)
    return _finish(folder, output, options, header | {"columns": recordings[0].columns}, ordered)


def process_clip(recording: Recording, output: Path, options: PreprocessOptions) -> dict:
    """Check and convert one clip, and write its audio.

    Returns:
        Its line for clips.jsonl: "id", "source", and either "reason" and "detail" of a dropped clip or "clip" (its line
        of the manifest) and "clipped" (samples at full scale).

    Raises:
        UserError: the audio cannot be written.
    """
    result: dict = {"id": recording.id, "source": _fingerprint(recording)}

    def drop(reason: str, detail: str) -> dict:
        return {**result, "reason": reason, "detail": detail}

    if not recording.text:
        return drop("empty text", recording.where)
    if not recording.audio.is_file():
        return drop("missing file", str(recording.audio))
    try:
        samples, rate = read_audio(recording.audio)
    except UserError as error:
        return drop("unreadable audio", str(error))
    if not np.isfinite(samples).all():
        return drop("not finite", f"{np.count_nonzero(~np.isfinite(samples))} of {len(samples)} samples")
    if len(samples) == 0 or np.abs(samples).max() < SILENCE_PEAK:
        return drop("silent", f"{len(samples) / rate:.2f} s below {SILENCE_PEAK} of full scale")
    clipped = count_clipped(samples)
    samples = trim_silence(
        resample(samples, rate, options.sample_rate), options.sample_rate, options.top_db, options.margin
    )
    seconds = len(samples) / options.sample_rate
    if not options.min_seconds <= seconds <= options.max_seconds:
        reason = "too short" if seconds < options.min_seconds else "too long"
        return drop(reason, f"{seconds:.2f} s, allowed are {options.min_seconds:g} to {options.max_seconds:g} s")
    text = _transcribe(recording.text, seconds, options.language)
    if "reason" in text:
        return {**result, **text}
    if options.loudness is not None:
        samples = scale_loudness(samples, options.loudness)
    audio = f"audio/{recording.id}.flac"
    write_audio(output / audio, samples, options.sample_rate)
    clip = {"id": recording.id, "audio": audio, "samples": len(samples), "seconds": round(seconds, 3)}
    clip |= {"text": recording.text, **text}
    if recording.speaker:
        clip["speaker"] = recording.speaker
    return {**result, "clip": clip, "clipped": clipped}


def _transcribe(text: str, seconds: float, language: str) -> dict:
    """A dictionary with "spoken" and "phonemes", or with "reason" and "detail" if the clip is to be dropped."""
    from wavetts.text.normalize import normalize
    from wavetts.text.phonemes import phonemize

    most = MAX_CHARS_PER_SECOND * seconds + SLACK_CHARS
    try:
        # Spelling out only makes it longer: a whole book in one line is not worth the minutes.
        spoken = normalize(text, language) if len(text) <= most else text
    except UserError as error:
        return {"reason": "text cannot be normalised", "detail": str(error)}
    if len(spoken) > most:
        return {"reason": "text too long for its audio", "detail": f"{len(spoken)} characters in {seconds:.2f} s"}
    try:
        phonemes = phonemize(spoken, language)
    except UserError as error:
        return {"reason": "no phonemes", "detail": str(error)}
    if len(spoken) < MIN_CHARS_PER_SECOND * (seconds - SLACK_SECONDS):
        return {"reason": "text too short for its audio", "detail": f"{len(spoken)} characters in {seconds:.2f} s"}
    return {"spoken": spoken, "phonemes": phonemes}


def count_clipped(samples: np.ndarray) -> int:
    """How many samples of `(S,)` are part of a run of at least three at full scale."""
    full = np.concatenate([[0], np.abs(samples) >= CLIP_LEVEL, [0]]).astype(np.int8)
    (edges,) = np.nonzero(np.diff(full))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= CLIP_RUN].sum())


def assign_splits(ids: list[str], dev: int, test: int, seed: int) -> dict[str, str]:
    """Assigns each id to train, dev or test.

    Ids are sorted by a hash of seed and id; the first ones are dev, the last ones test. Adding a clip moves at most one
    other clip out of each of them.
    """
    ordered = sorted(ids, key=lambda identifier: hashlib.sha256(f"{seed}:{identifier}".encode()).digest())
    splits = dict.fromkeys(ids, "train")
    splits |= dict.fromkeys(ordered[:dev], "dev")
    splits |= dict.fromkeys(ordered[len(ordered) - test :], "test")
    return splits


def _map_clips(todo: list[Recording], output: Path, options: PreprocessOptions, num_done: int) -> Iterator[dict]:
    """Yield the results of `process_clip`, in order, below a progress bar."""
    import torch

    work = partial(process_clip, output=output, options=options)
    # One thread each, here as in a worker, so that sums are rounded alike.
    threads = torch.get_num_threads()
    results = ordered_map(work, todo, min(options.jobs, len(todo) or 1), partial(torch.set_num_threads, 1), chunksize=4)
    try:
        yield from progress_bar(results, total=num_done + len(todo), initial=num_done, desc="preprocess", unit="clip")
    finally:
        results.close()
        torch.set_num_threads(threads)


# Of what made the transcripts: a corpus is made by one of each.
VERSIONS = ("espeak_version", "front_end_version")


def _open_state(output: Path, header: dict, overwrite: bool) -> dict[str, dict]:
    """Read the results of earlier runs by id, or remove them."""
    path = output / STATE_FILE
    if not path.is_file():
        if any((output / name).exists() for name in ("audio", "metadata.csv", "train.jsonl")):
            raise UserError(f"{output}: holds files that `wavetts preprocess` did not make; choose another OUTPUT")
        return {}
    lines = read_journal(path)
    if not lines or "options" not in lines[0] or not all("id" in line for line in lines[1:]):
        raise UserError(f"{path}: not the {STATE_FILE} of a corpus; remove it or choose another OUTPUT")
    earlier, *results = lines
    if overwrite:
        for result in results:
            (output / "audio" / f"{result['id']}.flac").unlink(missing_ok=True)
        path.unlink()
        return {}
    if earlier != header:
        old, new = ({**item["options"], **{v: item.get(v) for v in VERSIONS}} for item in (earlier, header))
        changed = ", ".join(f"{name} {old.get(name)} -> {new[name]}" for name in new if old.get(name) != new[name])
        raise UserError(f"{output}: was made with other options ({changed}); overwrite it or choose another folder")
    return {result["id"]: result for result in results}


def _fingerprint(recording: Recording) -> list:
    """Identifies the input of a result: the line, and size and modification time of the file."""
    line = [recording.audio.name, recording.text, recording.speaker]
    try:
        status = recording.audio.stat()
    except OSError:
        return [*line, None, None]
    return [*line, status.st_size, status.st_mtime_ns]


def _none_left(options: PreprocessOptions) -> str:
    return f"dev={options.dev}, test={options.test} leave none to train on"


def _is_written(output: Path, result: dict) -> bool:
    return "reason" in result or (output / result["clip"]["audio"]).is_file()


def _finish(folder: Path, output: Path, options: PreprocessOptions, header: dict, results: list[dict]) -> dict:
    """Write the manifests and the report from all results, in the corpus' order."""
    dropped = [{name: result[name] for name in ("id", "reason", "detail")} for result in results if "reason" in result]
    clips = [result["clip"] for result in results if "clip" in result]
    write_json_lines(output / "dropped.jsonl", dropped)
    if len(clips) <= options.dev + options.test:
        left = f"{len(clips)} of {len(results)} clips are left"
        reasons = f"; why clips were dropped: {output / 'dropped.jsonl'}" if dropped else ""
        raise UserError(f"{folder}: {left}, and {_none_left(options)}{reasons}")
    splits = assign_splits([clip["id"] for clip in clips], options.dev, options.test, options.seed)
    manifests = {split: [clip for clip in clips if splits[clip["id"]] == split] for split in SPLITS}
    for split, items in manifests.items():
        write_json_lines(output / f"{split}.jsonl", items)
    clipped = {result["id"]: result["clipped"] for result in results if result.get("clipped")}
    chosen = {name: value for name, value in asdict(options).items() if name not in ("jobs", "overwrite")}
    report: dict[str, Any] = {"sample_rate": options.sample_rate, "language": options.language}
    report |= {**{version: header[version] for version in VERSIONS}, "columns": header["columns"], "options": chosen}
    report |= build_report(manifests, dropped, clipped)
    write_atomic(output / "report.md", render_report(report))
    # Last: its being there says that the corpus is whole.
    write_atomic(output / "info.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return report
