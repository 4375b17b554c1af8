"""Shared by `say` and `synthesize`: reads texts, checks and writes the output, prints warnings and progress."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wavetts.cli.messages import speech_made, tell, tell_written
from wavetts.errors import UserError
from wavetts.progress import progress_bar
from wavetts.synthesis.settings import SynthesisSettings

if TYPE_CHECKING:
    import numpy as np

    from wavetts.synthesis.takes import Take
    from wavetts.synthesis.texts import Text
    from wavetts.synthesis.voice import Voice

# Where speech goes if nobody says so.
DEFAULT_OUTPUT = "speech.wav"


def read_input(args: argparse.Namespace) -> list[Text]:
    """Reads texts from `args.text`, `args.input` or standard input.

    Raises:
        UserError: there is no text, or both `args.text` and `args.input` are given.
    """
    from wavetts.synthesis.texts import Text, read_stdin, read_texts

    if args.input is not None:
        if args.text is not None:
            raise UserError("give a TEXT or --input FILE, not both")
        return read_texts(args.input)
    if args.text == "-" or (args.text is None and not sys.stdin.isatty()):
        return [read_stdin()]
    if not (args.text or "").strip():
        raise UserError("no text: give it as an argument, through a pipe or with --input FILE")
    return [Text("speech", args.text, "TEXT")]


def check_output(output: str) -> None:
    """Raises a UserError before synthesis if the output could not be written afterwards."""
    if output == "-":
        if sys.stdout.isatty():
            raise UserError("standard output is a terminal: send the audio on (-o - | aplay) or give -o FILE")
        return
    path = Path(output)
    if path.suffix.lower() not in (".wav", ".flac"):
        raise UserError(f"-o {output}: audio is written as .wav or .flac")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"-o {output}: cannot be written; choose another file with -o")


def speak_one_file(voice: Voice, texts: list[Text], output: str, settings: SynthesisSettings) -> None:
    """Speaks texts one after the other into one file, or as WAV to standard output (`-`)."""
    from wavetts.audio.waveform import streaming_wav_header, to_pcm
    from wavetts.audio.writer import AudioWriter
    from wavetts.synthesis.outputs import speak_to_file

    started = time.perf_counter()
    if output == "-":
        out = sys.stdout.buffer
        header = [streaming_wav_header(voice.sample_rate)]

        def send(samples: np.ndarray) -> None:
            # With the first samples: what fails before sends nothing.
            out.write((header.pop() if header else b"") + to_pcm(samples).tobytes())
            out.flush()

        with speaking_bar(len(texts)) as progress:
            spoken = speak_to_file(voice, texts, send, settings, progress)
    else:
        writer = AudioWriter(output, voice.sample_rate)
        try:
            with writer, speaking_bar(len(texts)) as progress:
                spoken = speak_to_file(voice, texts, writer.write, settings, progress)
        except (KeyboardInterrupt, SystemExit):
            if writer.samples:
                tell_written(output, what=f"the first {writer.samples / voice.sample_rate:.1f} s, up to the interrupt")
            raise
    warn_of_broken(spoken.broken, spoken.sentences)
    made = speech_made(spoken.seconds, time.perf_counter() - started)
    if output == "-":
        tell(made)
    else:
        tell_written(output, what=made)


def warn_of_broken(broken: list[Take], total: int) -> None:
    """Warns about sentences whose synthesis was cut off, and gives their share of `total`."""
    if broken:
        warnings.warn(
            f"{len(broken)} of {total} sentences did not reach their end "
            f"in {max(take.tries for take in broken)} tries, the first: {broken[0].piece.spoken!r}",
            stacklevel=1,
        )


@contextmanager
def speaking_bar(total: int) -> Generator[Callable[[float], None]]:
    """A progress bar on standard error that counts texts, in fractions."""
    layout = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    with progress_bar(total=total, desc="speaking", bar_format=layout) as bar:
        yield bar.update
