"""Speech synthesis by our models and by what else installs from PyPI and speaks offline: speed, first sound, memory.

Every system speaks the same sentences in the same run, each in a process of its own. `NAME.yaml` of recipes/train
stands for a model of that size with random weights, which speaks as long as LJSpeech's reader would: speed depends on
neither. Other names are voices and model files.

Example:
    python benchmarks/synthesis.py --output synthesis.json
    python benchmarks/synthesis.py --systems piper espeak-ng --texts LJSpeech-1.1/metadata.csv --wavs out
    wavetts evaluate out/piper LJSpeech-1.1/metadata.csv --compare out/espeak-ng
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from peers import Espeak, Piper

from wavetts.audio import write_audio
from wavetts.errors import Parser, UserError, run
from wavetts.evaluation.speed import Speaker, VoiceSpeaker, measure_speed
from wavetts.evaluation.tables import render_speed
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.texts import read_texts
from wavetts.text.normalize import normalize

RECIPES = Path(__file__).parents[1] / "recipes" / "train"
SENTENCES = Path(__file__).parents[1] / "recipes" / "synthesize" / "sentences.txt"
SYSTEMS = ["compact_16k.yaml", "ljspeech_small.yaml", "ljspeech_paper_chars.yaml", "allison", "piper", "espeak-ng"]
CHARACTERS_PER_SECOND = 14  # of LJSpeech


class Untrained(VoiceSpeaker):
    """A model of a recipe's size, its weights random everywhere: layers that start at zero may be too fast."""

    def __init__(self, recipe: str, threads: int, texts: list[str], precision: str) -> None:
        """Builds it with the symbols of `texts`, at the pace of LJSpeech's reader; precision as for `load_voice`."""
        import torch

        from wavetts.config.load import load_config
        from wavetts.model.checkpoint import LoadedModel
        from wavetts.model.tacotron import WaveTacotron
        from wavetts.runtime.engine import build_engine
        from wavetts.synthesis.voice import Voice
        from wavetts.text.tokenizer import Tokenizer

        torch.manual_seed(0)
        config = load_config(RECIPES / recipe)
        front_end = Tokenizer.build(["a"], config.text.input, config.text.language)
        spoken = [front_end.transcribe_spoken(normalize(text, config.text.language)) for text in texts]
        tokenizer = Tokenizer.build(spoken, config.text.input, config.text.language)
        model = WaveTacotron(config, len(tokenizer.symbols)).eval()
        with torch.no_grad():
            for parameter in model.density.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
            # Quiet: what is beyond full scale ends an utterance.
            model.scale.fill_(1000.0)
            model.decoder.stop.weight.zero_()
            model.decoder.stop.bias.fill_(-20.0)
        seconds = sum(map(len, texts)) / len(texts) / CHARACTERS_PER_SECOND
        engine = build_engine(model, precision, threads)
        self.voice = Voice(LoadedModel(model, tokenizer, config, {}), engine)
        self.settings = SynthesisSettings(max_seconds=seconds, retries=0)
        self.sample_rate = self.voice.sample_rate


def find_system(
    name: str, texts: list[str], temperature: float | None, precision: str
) -> tuple[Callable[..., Speaker], Callable[[int], tuple]]:
    """What builds a system, and its arguments by thread count."""
    if name in ("piper", "espeak-ng"):
        return Piper if name == "piper" else Espeak, lambda threads: (threads,)
    if name.endswith(".yaml"):
        return Untrained, lambda threads: (name, threads, texts, precision)
    settings = SynthesisSettings(temperature=temperature, retries=0)
    return VoiceSpeaker, lambda threads: (name, "cpu", threads, settings, precision)


def write_speech(name: str, system: tuple, texts: dict[str, str], folder: Path, retries: int) -> None:
    """FOLDER/NAME/ID.wav of every text, for `wavetts evaluate`."""
    build, arguments = system
    speaker = build(*arguments(1))
    if isinstance(speaker, VoiceSpeaker):
        speaker.settings = dataclasses.replace(speaker.settings, retries=retries)
    for identifier, text in texts.items():
        (audio,) = speaker.speak([text])
        write_audio(folder / name / f"{identifier}.wav", audio, speaker.sample_rate)


def configurations(name: str, threads: list[int], sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Thread counts and batch sizes that make a difference to a system."""
    for count, size in itertools.product(threads, sizes):
        if not (name == "espeak-ng" and count > 1) and not (name in ("piper", "espeak-ng") and size > 1):
            yield count, size


def main(argv: list[str]) -> None:
    """Prints the table; writes the JSON file, or the speech and no table."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, metavar="NAME", help=f"(default: {' '.join(SYSTEMS)})")
    parser.add_argument("--texts", default=str(SENTENCES), help="as for `wavetts synthesize --input`")
    parser.add_argument("--sentences", type=int, default=8, help="how many of them are timed (default 8)")
    parser.add_argument("--runs", type=int, default=3, help="counted runs (default 3)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--temperature", type=float, help="of our voices (default: each one's own)")
    parser.add_argument("--precision", choices=["auto", "float32", "int8"], default="auto", help="of our models")
    parser.add_argument(
        "--wavs", type=Path, metavar="DIR", help="measure nothing: write all texts as DIR/SYSTEM/ID.wav"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON file")
    args = parser.parse_args(argv)
    # Everyone gets the spoken form: what is compared is not the treatment of numbers.
    texts = {text.id: normalize(text.text, "en-us") for text in read_texts(args.texts)}
    timed = list(texts.values())[: args.sentences]
    rows = []
    for name in args.systems:
        system = find_system(name, timed, args.temperature, args.precision)
        if args.wavs:
            if name.endswith(".yaml"):
                raise UserError(f"{name}: an untrained model speaks noise; leave it out of --systems with --wavs")
            write_speech(name, system, texts, args.wavs, retries=SynthesisSettings().retries)
            continue
        build, arguments = system
        for threads, size in configurations(name, args.threads, args.batch_sizes):
            rows.append({"system": name, **measure_speed(build, arguments(threads), timed, size, threads, args.runs)})
            print(f"{name}, {threads} threads, batch {size}: {rows[-1]['real_time_factor']:.3f}", flush=True)
    if rows:
        print("\n" + render_speed([(row["system"], row) for row in rows]))
    if args.output:
        import torch

        from wavetts.files import write_atomic

        figures = {
            "torch": torch.__version__,
            "precision": args.precision,
            "machine": platform.processor() or platform.machine(),
            "rows": rows,
        }
        write_atomic(args.output, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
