"""What each command of the command line takes, and its help; `commands` does what they say.

Nothing heavy is imported here, so that help is instant.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

from wavetts.synthesis.settings import SynthesisSettings


def add_preprocess(command: Callable) -> None:
    """The options of `wavetts preprocess`."""
    sub = command(
        "preprocess",
        "turn a corpus into training data: resample, trim, phonemise, split",
        "wavetts preprocess LJSpeech-1.1 data/ljspeech\n"
        "wavetts preprocess corpora/asterisk_en data/asterisk_en --sample-rate 16000 --dev 20 --test 20 --jobs 2",
    )
    sub.add_argument("folder", metavar="FOLDER", type=Path, help="metadata.csv and wavs/ as in LJSpeech, or JSON lines")
    sub.add_argument("output", metavar="OUTPUT", type=Path, help="folder to make")
    add = sub.add_argument
    add("--sample-rate", type=int, default=24000, metavar="HZ", help="rate of the training audio (default %(default)s)")
    add("--language", default="en-us", metavar="CODE", help="espeak language of the texts (default %(default)s)")
    add(
        "--top-db",
        type=float,
        default=45.0,
        metavar="DB",
        help="trim edges this far below the peak; 0: no trim (default %(default)s)",
    )
    add(
        "--margin",
        type=float,
        default=0.1,
        metavar="S",
        help="seconds of silence kept at either end (default %(default)s)",
    )
    add(
        "--loudness",
        type=_loudness,
        default=None,
        metavar="DBFS",
        help="RMS level in dBFS of every clip, or off (default off)",
    )
    add("--min-seconds", type=float, default=0.3, metavar="S", help="drop shorter clips (default %(default)s)")
    add("--max-seconds", type=float, default=20.0, metavar="S", help="drop longer clips (default %(default)s)")
    add(
        "--dev",
        type=int,
        default=100,
        metavar="N",
        help="clips held out for evaluation in training (default %(default)s)",
    )
    add("--test", type=int, default=100, metavar="N", help="clips held out for tests (default %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the choice of these (default %(default)s)")
    add("--jobs", type=int, default=1, metavar="N", help="processes (default %(default)s)")
    add("--overwrite", action="store_true", help="start anew instead of going on from what OUTPUT holds")


def _loudness(value: str) -> float | None:
    return None if value == "off" else float(value)


_loudness.__name__ = "level in dBFS or 'off'"


def add_train(command: Callable) -> None:
    """The options of `wavetts train`."""
    sub = command(
        "train",
        "train a model",
        "wavetts train recipes/train/ljspeech_paper_phonemes.yaml --data data/ljspeech --run runs/paper\n"
        "wavetts train recipes/train/toy.yaml train.max_steps=100 --data data/toy --run runs/toy\n"
        "wavetts train recipes/train/toy.yaml --data data/toy --run runs/toy --resume\n"
        "torchrun --nproc-per-node 4 -m -- wavetts train recipes/train/ljspeech_paper_phonemes.yaml --data D --run R",
    )
    sub.add_argument("config", metavar="CONFIG", type=Path, help="YAML file; complete ones are in recipes/train/")
    sub.add_argument(
        "overrides",
        metavar="section.field=value",
        nargs="*",
        default=[],
        help="fields that differ (`wavetts config` lists all)",
    )
    sub.add_argument("--data", metavar="DIR", type=Path, required=True, help="what `wavetts preprocess` made")
    sub.add_argument(
        "--run", metavar="DIR", type=Path, required=True, dest="run_dir", help="folder of checkpoints and logs"
    )
    sub.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run")
    sub.add_argument("--init-from", metavar="FILE", type=Path, help="start with this model's weights")
    add_device(sub)


def add_device(sub: argparse.ArgumentParser) -> None:
    """Where it computes."""
    sub.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU if there is one)"
    )
    sub.add_argument("--threads", type=positive, default=0, metavar="N", help="CPU threads (default: torch's choice)")


def add_precision(sub: argparse.ArgumentParser) -> None:
    """In how many bits it multiplies."""
    sub.add_argument(
        "--precision",
        choices=["auto", "float32", "int8"],
        default="auto",
        help="of the large matrices; int8 is several times as fast on CPUs (default: int8 on a CPU, float32 on a GPU)",
    )


def positive(value: str) -> int:
    """A whole number above zero, for argparse."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return number


def add_settings(sub: argparse.ArgumentParser) -> None:
    """A flag for each field of `SynthesisSettings`."""
    for item in dataclasses.fields(SynthesisSettings):
        is_int = item.type == "int"
        sub.add_argument(
            "--" + item.name.replace("_", "-"),
            type=int if is_int else float,
            metavar="N" if is_int else "X",
            help=f"{item.metadata['doc']} (default {item.default})",
        )


def add_evaluate(command: Callable) -> None:
    """The options of `wavetts evaluate`."""
    sub = command(
        "evaluate",
        "measure models and other systems on held-out data",
        "wavetts evaluate runs/paper data/ljspeech/dev.jsonl\n"
        "wavetts evaluate runs/paper data/ljspeech/test.jsonl --synthesize 50 --output results.json --html page\n"
        "wavetts evaluate runs/paper data/ljspeech/test.jsonl --compare runs/small --compare out/piper --csv rows.csv\n"
        "wavetts evaluate out/piper LJSpeech-1.1/metadata.csv --recogniser faster-whisper --whisper-model tiny.en\n"
        "wavetts evaluate allison texts.txt --synthesize 20 --speed",
        " Likelihood and attention are measured teacher forced. --synthesize speaks texts as well, holds the speech "
        "against the recordings (MCD, MSD, F0), has a recogniser and DNSMOS hear both (pip install "
        "'wavetts[evaluate]'), and counts what went wrong. Any other system takes part as a folder of ID.wav.",
    )
    sub.add_argument("model", metavar="MODEL", help="model file, run folder, name of a voice, or folder of WAVs")
    sub.add_argument(
        "manifest",
        metavar="MANIFEST",
        type=Path,
        help="dev.jsonl or test.jsonl of `wavetts preprocess`; or, without likelihoods, a corpus in LJSpeech's layout "
        "or a list of texts (.txt)",
    )
    sub.add_argument(
        "--synthesize",
        metavar="N",
        type=int,
        help="speak and score the first N texts (default: all with a folder of WAVs, --compare or --html, else none)",
    )
    sub.add_argument(
        "--compare",
        metavar="OTHER",
        action="append",
        default=[],
        help="another model or folder of WAVs, on the same sentences; may be repeated",
    )
    sub.add_argument(
        "--recogniser",
        choices=["pocketsphinx", "faster-whisper"],
        default="pocketsphinx",
        help="who hears the words (default %(default)s)",
    )
    sub.add_argument(
        "--whisper-model", metavar="DIR", type=Path, help="model of faster-whisper (CTranslate2's format) on this disk"
    )
    sub.add_argument(
        "--speed",
        action="store_true",
        help="measure models' speed too, on 1 thread and on all (or on --threads), one text at a time and many",
    )
    sub.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes that score (default %(default)s)")
    sub.add_argument("--output", metavar="FILE", type=Path, help="write all figures as JSON")
    sub.add_argument("--csv", metavar="FILE", type=Path, help="write the figures of every utterance")
    sub.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables that are printed")
    sub.add_argument("--html", metavar="DIR", type=Path, help="write a page to listen to, with players and pictures")
    add_settings(sub)
    add_device(sub)
    add_precision(sub)


def add_curves(command: Callable) -> None:
    """The options of `wavetts curves`."""
    sub = command(
        "curves",
        "draw the training curves of runs into one picture",
        "wavetts curves runs/paper\nwavetts curves runs/gaussian runs/compact runs/flow --over minutes -o compared.png",
        " Thin lines are training figures, points held-out ones.",
    )
    sub.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run folders, or their metrics.jsonl")
    sub.add_argument("--key", default="bits_per_sample", help="figure of metrics.jsonl (default %(default)s)")
    sub.add_argument("--over", choices=["step", "minutes"], default="step", help="against (default %(default)s)")
    sub.add_argument(
        "-o", "--output", metavar="FILE", type=Path, default=Path("curves.png"), help="picture (default %(default)s)"
    )


def add_export(command: Callable) -> None:
    """The options of `wavetts export`."""
    sub = command(
        "export",
        "write a model in half precision, to pass on",
        "wavetts export runs/paper voice.safetensors\nwavetts export runs/paper/best.safetensors voice.safetensors\n"
        "wavetts export runs/mine voice.safetensors --base joe --rank 32",
        " Every other command takes the file in place of a run folder.",
    )
    sub.add_argument("model", metavar="MODEL", type=Path, help="model file or run folder")
    sub.add_argument("output", metavar="OUTPUT", type=Path, help="the .safetensors file to write")
    sub.add_argument(
        "--mantissa-bits",
        type=int,
        choices=range(2, 11),
        metavar="N",
        default=10,
        help="round weights to N of half precision's 10 bits, so that packages compress them (default %(default)s)",
    )
    sub.add_argument(
        "--base",
        metavar="VOICE",
        help="write only what differs from this voice, model file or run folder; who loads it needs that one too",
    )
    sub.add_argument(
        "--rank",
        type=int,
        default=16,
        metavar="R",
        help="with --base: of the change of each matrix; higher is larger and closer (default %(default)s)",
    )
