"""What the commands that speak take, and their help: synthesize, say, voices, demo, serve.

Nothing heavy is imported here, so that help is instant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wavetts.options import add_device, add_precision, add_settings, positive


def add_synthesize(command: Callable) -> None:
    """The options of `wavetts synthesize`."""
    sub = command(
        "synthesize",
        "speak texts with a trained model",
        'wavetts synthesize runs/paper "Hello there." -o hello.wav\n'
        "wavetts synthesize runs/paper --input recipes/synthesize/sentences.txt --output-dir out\n"
        "wavetts synthesize runs/paper/best.safetensors --input data/ljspeech/test.jsonl --output-dir out --plots\n"
        "wavetts synthesize runs/paper --input texts.csv --output-dir out --settings recipes/synthesize/default.yaml\n"
        "cat chapter.txt | wavetts synthesize runs/paper - -o - | aplay\n"
        "torchrun --nproc-per-node 2 -m -- wavetts synthesize runs/paper --input texts.txt --output-dir out",
        " Long texts are split into sentences. A sentence that did not reach its end is tried again.",
    )
    sub.add_argument("model", metavar="MODEL", help="model file, run folder or name of a voice")
    sub.add_argument("text", metavar="TEXT", nargs="?", help="what to say; -, or nothing and a pipe: standard input")
    sub.add_argument(
        "--input",
        metavar="FILE",
        help="texts to speak: .txt or - (standard input), one a line; .csv, id|text or id|text|normalised; "
        '.jsonl, {"id": ..., "text": ...}',
    )
    sub.add_argument("--output-dir", metavar="DIR", type=Path, help="write DIR/ID.wav and DIR/report.jsonl")
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write all texts into one .wav or .flac; -: WAV to standard output (default speech.wav)",
    )
    sub.add_argument("--overwrite", action="store_true", help="speak again what is in --output-dir already")
    sub.add_argument(
        "--plots",
        action="store_true",
        help="with --output-dir: DIR/ID.png shows the attention, DIR/ID.spectrogram.png the sound",
    )
    sub.add_argument("--settings", metavar="FILE", type=Path, help="YAML of the options below; flags win over it")
    add_settings(sub)
    add_device(sub)
    add_precision(sub)


def add_say(command: Callable) -> None:
    """The options of `wavetts say`."""
    sub = command(
        "say",
        "say one text and play it",
        'wavetts say "Hello there."\n'
        'wavetts say "Hello there." --voice runs/paper -o hello.wav\n'
        "cat chapter.txt | wavetts say - --play\n"
        'wavetts say "Hello there." -o - | aplay',
        " With --play or -o - it is heard while it is made; what was heard is not tried again if it broke off.",
    )
    sub.add_argument("text", metavar="TEXT", help="what to say; -: standard input")
    sub.add_argument(
        "--voice",
        metavar="NAME|PATH",
        help="name of a voice (`wavetts voices`), model file or run folder (default: the first of `wavetts voices`)",
    )
    sub.add_argument("--play", action="store_true", help="play it while it is made; a file is written with -o only")
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write there and do not play; -: WAV to standard output while it is made (default speech.wav)",
    )
    add_settings(sub)
    add_device(sub)
    add_precision(sub)


def add_voices(command: Callable) -> None:
    """The options of `wavetts voices`."""
    sub = command(
        "voices",
        "list the voices that have a name",
        "wavetts voices\n"
        "wavetts voices --json\n"
        "wavetts export runs/paper ~/.local/share/wavetts/voices/mine/model.safetensors",
        " Those that came with the installation, and your own: folders with a model.safetensors (and a README.md as "
        "a card) in $WAVETTS_VOICES, or else in wavetts/voices of $XDG_DATA_HOME (~/.local/share).",
    )
    sub.add_argument("--json", action="store_true", help="as JSON, with paths")


def add_demo(command: Callable) -> None:
    """The options of `wavetts demo`."""
    sub = command(
        "demo",
        "serve a page to try voices on",
        "wavetts demo\nwavetts demo --models runs --open\nwavetts demo --host 0.0.0.0 --port 8080 --max-chars 300",
        " It speaks while one listens, shows spectrogram and attention, compares temperatures and seeds, and reads "
        "long texts. Only this machine can reach it unless --host says otherwise.",
    )
    sub.add_argument("--models", metavar="DIR", type=Path, help="offer the models in and below this folder, too")
    sub.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen at (default %(default)s)")
    sub.add_argument("--port", type=int, metavar="N", help="default: the first free one from 7860 on")
    sub.add_argument(
        "--max-chars", type=positive, default=600, metavar="N", help="longest text to speak (default %(default)s)"
    )
    sub.add_argument(
        "--max-long-chars",
        type=positive,
        default=20_000,
        metavar="N",
        help="longest text of the tab for long texts (default %(default)s)",
    )
    sub.add_argument(
        "--max-waiting",
        type=positive,
        default=16,
        metavar="N",
        help="requests that wait their turn; more are told that it is busy (default %(default)s)",
    )
    sub.add_argument("--open", action="store_true", help="open it in a browser")
    add_device(sub)


def add_serve(command: Callable) -> None:
    """The options of `wavetts serve`."""
    sub = command(
        "serve",
        "answer OpenAI's text-to-speech requests",
        "wavetts serve\n"
        "wavetts serve --voice mine=runs/mine --voice alloy=runs/mine --port 8080\n"
        "WAVETTS_API_KEY=secret wavetts serve --host 0.0.0.0 --threads 2\n"
        "wavetts serve --api-key-file key.txt --max-requests 64 --timeout 60",
        " POST /v1/audio/speech, GET /v1/models, /v1/audio/voices, /health and /metrics. Needs pip install "
        "'wavetts[serve]'. Texts are never logged.",
    )
    sub.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen at (default %(default)s)")
    sub.add_argument("--port", type=int, default=8000, metavar="N", help="0: any that is free (default %(default)s)")
    sub.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        dest="voices",
        help="a voice that clients may ask for: one that has a name, or a model file or run folder under this name; "
        "several times for several (default: all that have a name)",
    )
    sub.add_argument(
        "--api-key-file",
        metavar="FILE",
        type=Path,
        help="clients must send the key in it (default: the one in WAVETTS_API_KEY; without it anyone may speak)",
    )
    sub.add_argument(
        "--max-chars", type=positive, default=4096, metavar="N", help="longest text of a request (default %(default)s)"
    )
    sub.add_argument(
        "--max-requests",
        type=positive,
        default=32,
        metavar="N",
        help="requests that are open at once; more are told to come back (default %(default)s)",
    )
    sub.add_argument(
        "--timeout",
        type=positive,
        default=300,
        metavar="S",
        help="seconds that a request may take from its arrival to its last byte (default %(default)s)",
    )
    sub.add_argument("--settings", metavar="FILE", type=Path, help="YAML of the options below; flags win over it")
    add_settings(sub)
    add_device(sub)
    add_precision(sub)
