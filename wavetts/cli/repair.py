"""`wavetts repair`: generates lost stretches of a recording again."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from wavetts.cli.arguments import add_device, positive
from wavetts.errors import UserError

SMEAR_SECONDS = 0.001


def add(command: Callable) -> None:
    """The command's arguments."""
    sub = command(
        "repair",
        "redraw lost stretches of a recording whose text is known",
        'wavetts repair call.wav --lost 1.20-1.28 --text "Hello there." -o repaired.wav\n'
        'wavetts repair call.wav --lost 0.5-0.54 --lost 1.9-2 --text "Hello there." --voice runs/diffusion',
        " What is left of the recording stays as it is, at the voice's sample rate. Of several draws the one is kept "
        "after which the recording goes on most likely; a diffusion also draws within a frame given both sides.",
    )
    sub.add_argument("recording", metavar="IN", type=Path, help="recording of one sentence, WAV or FLAC")
    sub.add_argument(
        "--lost",
        metavar="FROM-TO",
        action="append",
        required=True,
        help="start and end of a lost stretch in seconds; may be repeated",
    )
    sub.add_argument("--text", required=True, help="what is said in the recording")
    sub.add_argument("--voice", metavar="MODEL", help="voice, model file or run folder (default: a bundled voice)")
    sub.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write (default IN.repaired.wav)")
    sub.add_argument(
        "--candidates",
        type=positive,
        default=8,
        metavar="N",
        help="samples drawn for each stretch, of which the best is kept (default %(default)s)",
    )
    sub.add_argument("--temperature", type=float, metavar="X", help="std of the base noise (default: the voice's own)")
    sub.add_argument("--guidance", type=float, metavar="X", help="push towards the text (default: the voice's own)")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the noise (default %(default)s)")
    add_device(sub)


def run(args: argparse.Namespace) -> None:
    """Generates the lost stretches of a recording again."""
    from wavetts.audio.waveform import read_audio, resample, write_audio
    from wavetts.synthesis.repair import repair
    from wavetts.synthesis.settings import SynthesisSettings
    from wavetts.synthesis.voice import load_voice

    output = args.output or args.recording.with_suffix(".repaired.wav")
    if output.suffix.lower() not in (".wav", ".flac"):
        raise UserError(f"-o {output}: audio is written as .wav or .flac")
    samples, rate = read_audio(args.recording)
    seconds = len(samples) / rate
    stretches = sorted(_stretch(text, seconds) for text in args.lost)
    settings = SynthesisSettings(temperature=args.temperature, guidance=args.guidance, seed=args.seed)
    voice = load_voice(args.voice, args.device, args.threads, "float32")
    # Resampling smears what is lost over its neighbours.
    margin = 0.0 if rate == voice.sample_rate else SMEAR_SECONDS
    samples, target = resample(samples, rate, voice.sample_rate), voice.sample_rate
    lost = [
        (max(0, round((first - margin) * target)), min(round((last + margin) * target), len(samples)))
        for first, last in stretches
    ]
    write_audio(output, repair(voice, samples, lost, args.text, settings, args.candidates), voice.sample_rate)
    total = sum(last - first for first, last in stretches)
    print(f"{output}: {1000 * total:.0f} ms of {seconds:.2f} s redrawn")


def _stretch(text: str, seconds: float) -> tuple[float, float]:
    """Parses FROM-TO into seconds."""
    try:
        first, last = (float(part) for part in text.split("-"))
    except ValueError:
        raise UserError(f"--lost {text}: write FROM-TO in seconds, e.g. 1.20-1.28") from None
    if not 0 <= first < last <= seconds:
        raise UserError(f"--lost {text}: must begin before it ends, within the recording of {seconds:.2f} s")
    return first, last
