"""`wavetts say`: speaks one text and plays it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

from wavetts.cli.arguments import add_device, add_precision, add_settings, settings_of
from wavetts.cli.messages import speech_made, tell, tell_written
from wavetts.cli.speaking import DEFAULT_OUTPUT, check_output, read_input, speak_one_file, warn_of_broken
from wavetts.errors import UserError
from wavetts.synthesis.settings import SynthesisSettings

if TYPE_CHECKING:
    from wavetts.synthesis.texts import Text
    from wavetts.synthesis.voice import Voice

# Of speech that may have to be written after all; more goes to a temporary file.
_BYTES_IN_MEMORY = 2**24


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "say",
        "say one text and play it",
        "wavetts say Hello there\n"
        'wavetts say "Hello there." --voice runs/paper -o hello.wav\n'
        "cat chapter.txt | wavetts say --speed 1.2\n"
        'wavetts say "Hello there." -o - | aplay',
        f" It is heard while it is made; what was heard is not tried again if it broke off. Where it cannot be played, "
        f"it is written to {DEFAULT_OUTPUT}.",
    )
    sub.add_argument("text", metavar="TEXT", nargs="*", help="what to say; -, or nothing and a pipe: standard input")
    sub.add_argument(
        "--voice",
        metavar="NAME|PATH",
        help="name of a voice (`wavetts voices`), model file or run folder (default: the first of `wavetts voices`)",
    )
    sub.add_argument(
        "--explain",
        action="store_true",
        help="print the class and the spoken form of each token of the text, without speaking",
    )
    sub.add_argument("--play", action="store_true", help="with -o: also play the speech")
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the speech to this file instead of playing it; -: WAV to standard output during synthesis",
    )
    add_settings(sub)
    add_device(sub)
    add_precision(sub)


def run(args: argparse.Namespace) -> None:
    """Speaks one text and plays it."""
    settings = settings_of(args)
    words = " ".join(args.text) if args.text else None
    (text,) = read_input(argparse.Namespace(text=words, input=None))
    if args.explain:
        _explain(text, args.voice)
        return
    if args.output is not None:
        check_output(args.output)
    from wavetts.synthesis.voice import load_voice

    voice = load_voice(args.voice, args.device, args.threads, args.precision)
    if args.output in (None, "-") or args.play:
        _stream(voice, text, args.output, args.play or args.output is None, settings)
    else:
        speak_one_file(voice, [text], args.output, settings)


def _explain(text: Text, name: str | None) -> None:
    """Prints a line for each token: written form, class, spoken form."""
    from wavetts.synthesis.voice import load_voice

    rows = [("written", "class", "said"), *load_voice(name, "cpu").explain(text.text)]
    widths = [min(40, max(len(row[column]) for row in rows)) for column in range(2)]
    for written, kind, spoken in rows:
        print(f"{written:<{widths[0]}}  {kind:<{widths[1]}}  {spoken}".rstrip())


def _stream(voice: Voice, text: Text, output: str | None, play: bool, settings: SynthesisSettings) -> None:
    """Streams speech to a player, to standard output or to both, and writes a file at the end."""
    from wavetts.audio.player import open_player
    from wavetts.audio.waveform import streaming_wav_header, to_pcm

    seconds = working = first = 0.0
    stream = voice.stream(text.text, settings=settings, keep=False)
    with ExitStack() as stack:
        player = stack.enter_context(open_player(voice.sample_rate)) if play else None
        kept = stack.enter_context(tempfile.SpooledTemporaryFile(_BYTES_IN_MEMORY))
        if output == "-":
            sys.stdout.buffer.write(streaming_wav_header(voice.sample_rate))
        while True:
            started = time.perf_counter()
            chunk = next(stream, None)
            working += time.perf_counter() - started
            if chunk is None:
                break
            seconds += len(chunk) / voice.sample_rate
            first = first or working
            pcm = to_pcm(chunk).tobytes()
            if output == "-":
                sys.stdout.buffer.write(pcm)
                sys.stdout.buffer.flush()
            else:
                kept.write(pcm)
            if player is not None:
                player.write(pcm)
        if player is not None:
            player.finish()
        problem = player.problem if player is not None else None
        if problem is not None and output is None:
            output = DEFAULT_OUTPUT
            try:
                check_output(output)
            except UserError as error:
                raise UserError(f"not heard: {problem}; and {error}") from None
        if output not in (None, "-"):
            _write(kept, output, voice.sample_rate)
    warn_of_broken([take for take in stream.takes if not take.complete], len(stream.takes))
    if problem is not None:
        tell(f"not heard: {problem}")
    made = speech_made(seconds, working, f", the first after {first:.2f} s")
    if output in (None, "-"):
        tell(made)
    else:
        tell_written(output, what=made)


def _write(kept: IO[bytes], output: str, sample_rate: int) -> None:
    """Writes 16-bit samples as an audio file."""
    import numpy as np

    from wavetts.audio.writer import AudioWriter

    kept.seek(0)
    with AudioWriter(output, sample_rate) as writer:
        while block := kept.read(1 << 20):
            writer.write(np.frombuffer(block, "<i2").astype(np.float32) / 32768)
