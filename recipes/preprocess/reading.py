"""What all recipes share that have a synthetic voice read texts: the texts, their order, the journal, the corpus."""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from wavetts.audio import write_audio
from wavetts.errors import UserError
from wavetts.files import make_folder, numbered_lines, read_utf8, remove_temporaries, write_atomic
from wavetts.jsonlines import append_journal, read_journal, write_json_lines
from wavetts.parallel import ordered_map
from wavetts.progress import progress_bar
from wavetts.text.normalize import normalize, sentences

STATE_FILE = "clips.jsonl"
# Texts longer than this many characters a second of --max-seconds are split before they are read.
CHARS_PER_SECOND = 14.0
# A text of this many characters that is a part of one of --exclude is left out, too.
PART_CHARS = 30
# metadata.csv is brought up to date after this many texts, so that a corpus can be used while it grows.
TEXTS_PER_UPDATE = 100


@dataclass(frozen=True)
class Reading:
    """How texts are read; a corpus that was begun is continued only with the same."""

    # The voice's name or file; only the last part of a path counts when a corpus is continued.
    voice: str
    # Language of the texts, as espeak-ng names it.
    language: str
    # Clips outside of these bounds are left out.
    min_seconds: float
    max_seconds: float
    # Of the order in which texts are taken, and of the voice if it is random.
    seed: int
    # Rate of the written audio in Hz; None is the voice's own.
    sample_rate: int | None
    # "wav" or "flac".
    format: str


@dataclass(frozen=True)
class Speech:
    """What a voice made of one text."""

    # (S,), float32 in [-1, 1).
    samples: np.ndarray
    # Of the samples, in Hz.
    rate: int
    # Signs of the text's phonemes that the voice does not know, and so has not spoken.
    unknown: str = ""


# Speaks a text, normalised already. A module's function (or a partial of one): processes find it by its name.
Speaker = Callable[[str, Reading], Speech]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every such recipe has."""
    parser.add_argument("texts", type=Path, metavar="TEXTS", help=".txt with a text a line, or lines of id|text[|...]")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to make: metadata.csv, wavs/")
    parser.add_argument("--extra", type=Path, metavar="FILE", help="further texts, such as single words; taken in turn")
    parser.add_argument("--exclude", type=Path, metavar="FILE", help="texts that are kept for tests, and are not read")
    parser.add_argument("--language", default="en-us", help="of the texts (default: en-us)")
    parser.add_argument("--min-seconds", type=float, default=0.5, help="shorter clips are left out (default: 0.5)")
    parser.add_argument("--max-seconds", type=float, default=12.0, help="longer texts are split (default: 12)")
    parser.add_argument("--hours", type=float, help="stop when there is this much (default: read everything)")
    parser.add_argument("--sample-rate", type=int, metavar="HZ", help="of the audio (default: the voice's own)")
    parser.add_argument("--format", choices=("wav", "flac"), default="wav", help="of the audio (default: wav)")
    parser.add_argument("--seed", type=int, default=0, help="order in which texts are taken (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each (default: 1)")


def common_fields(args: argparse.Namespace) -> dict:
    """The fields of `Reading` but for the voice, from parsed arguments.

    Raises:
        UserError: a value is out of its bounds.
    """
    if not 0 < args.min_seconds < args.max_seconds or args.jobs < 1:
        raise UserError("--min-seconds must be above 0 and below --max-seconds, --jobs at least 1")
    if args.sample_rate is not None and not 4000 <= args.sample_rate <= 192000:
        raise UserError("--sample-rate must be from 4000 to 192000")
    names = ("language", "min_seconds", "max_seconds", "seed", "sample_rate", "format")
    return {name: getattr(args, name) for name in names}


def read_corpus_texts(args: argparse.Namespace) -> list[tuple[str, str]]:
    """The texts in the order in which they are to be read: shuffled, those of --extra in turn with the others.

    So --hours takes a fair sample, and a corpus that is used before it is complete has some of everything.
    """
    texts = read_texts(args.texts)
    random.Random(args.seed).shuffle(texts)
    if args.extra:
        extra = [(f"extra-{identifier}", text) for identifier, text in read_texts(args.extra)]
        random.Random(args.seed).shuffle(extra)
        texts = [item for item in chain(*zip_longest(extra, texts)) if item]
    if not args.exclude:
        return texts
    excluded = [text for _, text in read_texts(args.exclude)]
    exact, within = set(excluded), "\n".join(excluded)
    # A word or two may well be a part of a test sentence; a sentence that is has been joined with another.
    return [item for item in texts if item[1] not in exact and (len(item[1]) < PART_CHARS or item[1] not in within)]


def read_texts(path: Path) -> list[tuple[str, str]]:
    """Read ids and texts: a line is a text (its id is its number), or `id|text`; further columns are ignored.

    Raises:
        UserError: the file is missing, has no texts, or two for one id.
    """
    texts: dict[str, str] = {}
    for number, line in numbered_lines(read_utf8(path)):
        identifier, bar, text = line.strip().partition("|")
        # A file name: id|text lists may hold anything in their first column.
        identifier, text = (identifier, text.split("|")[0]) if bar else (f"{number:06d}", identifier)
        identifier = re.sub(r"[^\w.-]", "_", identifier)
        if not text.strip():
            continue
        if texts.setdefault(identifier, text.strip()) != text.strip():
            raise UserError(f"{path}:{number}: id '{identifier}' has another text already; make ids unique")
    if not texts:
        raise UserError(f"{path}: no texts in it")
    return list(texts.items())


def synthesize_corpus(
    texts: list[tuple[str, str]], output: Path, reading: Reading, speak: Speaker, hours: float | None, jobs: int
) -> None:
    """Read texts in their order until there is enough; clips of an earlier, interrupted run are kept.

    Writes OUT/wavs/ID.wav (or .flac), OUT/clips.jsonl as it goes, and OUT/metadata.csv now and then and at the end.

    Args:
        texts: ids and texts.
        output: the folder to make.
        reading: how they are read.
        speak: the voice.
        hours: of speech to make; None reads everything.
        jobs: processes.

    Raises:
        UserError: the voice cannot be loaded, OUT was begun with another reading, or nothing is left.
    """

    enough = float("inf") if hours is None else hours * 3600
    wanted = dict(texts)
    results = open_state(output, reading)
    # What was read for another list of texts stays on the disk but is not in the corpus.
    results = {name: result for name, result in results.items() if wanted.get(name) == result["text"]}
    remove_temporaries(output / "wavs")
    todo = [item for item in texts if item[0] not in results]
    work = functools.partial(read_text, output=output, reading=reading, speak=speak)
    taken: list[dict] = []
    unknown: Counter[str] = Counter()
    seconds, num_new = 0.0, 0
    spoken = ordered_map(work, todo, min(jobs, len(todo) or 1))
    bar = progress_bar(total=None if hours is None else round(enough), desc="speaking", unit="s")
    with bar, contextlib.closing(spoken), append_journal(output / STATE_FILE) as append:
        for identifier, text in texts:
            if identifier not in results:
                results[identifier] = next(spoken)
                append(results[identifier])
                num_new += 1
                if num_new % TEXTS_PER_UPDATE == 0:
                    write_metadata(output, results.values())
            result = results[identifier]
            taken.append(result)
            for sign in sorted(set(result["unknown"]) - unknown.keys()):
                message = f"the voice does not know the phoneme {sign!r} (in {text[:60]!r}); it is left out"
                bar.write(f"warning: {message}", file=sys.stderr)
            unknown.update(set(result["unknown"]))
            gained = sum(clip["seconds"] for clip in result["clips"])
            seconds += gained
            bar.update(round(seconds) - round(seconds - gained))
            if seconds >= enough:
                break
    if not seconds:
        raise UserError(
            f"no text gave a clip of {reading.min_seconds:g} to {reading.max_seconds:g} s; widen the bounds"
        )
    num_clips = write_metadata(output, taken)
    left_out = sum(result["left_out"] for result in taken)
    print(f"{output}: {num_clips} clips, {seconds / 3600:.2f} h; {left_out} were too short or too long")
    if unknown:
        counts = ", ".join(f"{sign!r} in {count}" for sign, count in unknown.most_common())
        print(f"{output}: texts with phonemes that the voice does not know: {counts}")


def write_metadata(output: Path, results: list[dict] | Iterator[dict]) -> int:
    """Write metadata.csv, a line for each clip of the results; returns how many there are."""
    lines = [f"{clip['id']}|{clip['text']}\n" for result in results for clip in result["clips"]]
    write_atomic(output / "metadata.csv", "".join(lines))
    return len(lines)


def open_state(output: Path, reading: Reading) -> dict[str, dict]:
    """Results of an earlier run by the text's id, those whose audio is there; or begin the state file."""
    # The voice by its contents' name: the same package may lie elsewhere tomorrow.
    header = asdict(reading) | {"voice": Path(reading.voice).name}
    path, results = output / STATE_FILE, []
    if path.is_file():
        earlier, *results = read_journal(path)
        if earlier != header:
            changed = ", ".join(f"{name} {earlier.get(name)} -> {header[name]}" for name in header)
            raise UserError(f"{output}: was begun with another reading ({changed}); choose another OUT")
    elif (output / "wavs").exists():
        raise UserError(f"{output}: holds a wavs folder that this recipe did not make; choose another OUT")
    make_folder(output)
    results = [
        result
        for result in results
        if all((output / "wavs" / f"{clip['id']}.{reading.format}").is_file() for clip in result["clips"])
    ]
    # Also drops a line that was cut off when a run was killed.
    write_json_lines(path, [header, *results])
    return {result["id"]: result for result in results}


def read_text(item: tuple[str, str], output: Path, reading: Reading, speak: Speaker) -> dict:
    """Have one text read, in pieces if it is long, and write those that have a fitting length.

    Returns:
        "id" and "text" as given, "clips": id, text (as spoken) and seconds of what was written, "left_out": pieces
        outside of the bounds, "unknown": signs that the voice does not know.
    """
    identifier, text = item
    spoken = normalize(text, reading.language)
    most = round(reading.max_seconds * CHARS_PER_SECOND)
    pieces = [spoken]
    if len(spoken) > most:
        pieces = [sentence.spoken for sentence in sentences(text, reading.language, most)]
    pieces = [piece.replace("|", " ") for piece in pieces]
    clips, unknown = [], ""
    for number, piece in enumerate(pieces, start=1):
        name = identifier if len(pieces) == 1 else f"{identifier}-{number}"
        speech = speak(piece, reading)
        unknown += speech.unknown
        seconds = len(speech.samples) / speech.rate
        if reading.min_seconds <= seconds <= reading.max_seconds:
            rate = reading.sample_rate or speech.rate
            write_audio(output / "wavs" / f"{name}.{reading.format}", resample(speech.samples, speech.rate, rate), rate)
            clips.append({"id": name, "text": piece, "seconds": round(seconds, 3)})
    return {
        "id": identifier,
        "text": text,
        "clips": clips,
        "left_out": len(pieces) - len(clips),
        "unknown": "".join(sorted(set(unknown))),
    }


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the rate with soxr's best filter; unlike torchaudio's, it loads no torch into every process."""
    if from_rate == to_rate:
        return samples
    try:
        import soxr
    except ImportError as error:
        raise UserError("--sample-rate needs soxr: pip install 'wavetts[recipes]'") from error
    return soxr.resample(samples, from_rate, to_rate, quality="VHQ")
