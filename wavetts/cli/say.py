"""`wavetts say`: speaks one text and plays it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from wavetts.cli.arguments import add_device, add_precision, add_settings, settings_of
from wavetts.cli.speaking import check_output, read_input, speak_one_file, summarise, warn_of_broken
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.texts import Text

if TYPE_CHECKING:
    from wavetts.synthesis.voice import Voice


def add(command: Callable) -> None:
    """The command's arguments."""
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
    sub.add_argument(
        "--explain",
        action="store_true",
        help="speak nothing: show what each token of the text is taken for, and what is said for it",
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


def run(args: argparse.Namespace) -> None:
    """Speaks one text and plays it."""
    settings = settings_of(args)
    (text,) = read_input(argparse.Namespace(text=args.text, input=None))
    if args.explain:
        _explain(text, args.voice)
        return
    if args.output is not None or not args.play:
        check_output(args.output or "speech.wav")
    from wavetts.audio.player import check_player, play_file

    if args.play:
        check_player()
    from wavetts.synthesis.voice import load_voice

    voice = load_voice(args.voice, args.device, args.threads, args.precision)
    if args.play or args.output == "-":
        _stream(voice, text, args.output, args.play, settings)
        return
    output = args.output or "speech.wav"
    speak_one_file(voice, [text], output, settings)
    if args.output is None and sys.stdout.isatty():
        play_file(output)


def _explain(text: Text, name: str | None) -> None:
    """Prints a line for each token: as written, its class, what is said."""
    from wavetts.synthesis.voice import load_voice

    rows = [("written", "class", "said"), *load_voice(name, "cpu").explain(text.text)]
    widths = [min(40, max(len(row[column]) for row in rows)) for column in range(2)]
    for written, kind, spoken in rows:
        print(f"{written:<{widths[0]}}  {kind:<{widths[1]}}  {spoken}".rstrip())


def _stream(voice: Voice, text: Text, output: str | None, play: bool, settings: SynthesisSettings) -> None:
    """Speaks a text to a player, standard output or both while it is made, and into a file in the end."""
    import numpy as np

    from wavetts.audio.player import open_player
    from wavetts.audio.waveform import streaming_wav_header, to_pcm, write_audio

    started, audio, first = time.perf_counter(), [], 0.0
    stream = voice.stream(text.text, settings=settings)
    working = time.perf_counter() - started
    with ExitStack() as stack:
        sinks = [stack.enter_context(open_player(voice.sample_rate))] if play else []
        if output == "-":
            sinks.append(sys.stdout.buffer)
            sys.stdout.buffer.write(streaming_wav_header(voice.sample_rate))
        while True:
            started = time.perf_counter()
            chunk = next(stream, None)
            working += time.perf_counter() - started
            if chunk is None:
                break
            audio.append(chunk)
            first = first or working
            for sink in sinks:
                sink.write(to_pcm(chunk).tobytes())
                sink.flush()
    joined = np.concatenate(audio)
    if output not in (None, "-"):
        write_audio(output, joined, voice.sample_rate)
    warn_of_broken([take for take in stream.takes if not take.complete], len(stream.takes))
    summarise(len(joined) / voice.sample_rate, working, f", the first after {first:.2f} s")
