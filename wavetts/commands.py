"""What each command of the command line does with its arguments; `cli` parses them.

Whatever is heavy is imported by the command that needs it, so that help is instant.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wavetts.errors import UserError
from wavetts.synthesis.settings import SynthesisSettings, load_settings
from wavetts.synthesis.texts import Text, read_stdin, read_texts

if TYPE_CHECKING:
    from wavetts.synthesis.takes import Take
    from wavetts.synthesis.voice import Voice


def preprocess(args: argparse.Namespace) -> None:
    """Makes training data and prints its report."""
    from wavetts.corpus.preprocess import PreprocessOptions, preprocess

    names = [item.name for item in dataclasses.fields(PreprocessOptions)]
    preprocess(args.folder, args.output, PreprocessOptions(**{name: getattr(args, name) for name in names}))
    print((args.output / "report.md").read_text(encoding="utf-8"))


def train(args: argparse.Namespace) -> None:
    """Trains a model."""
    from wavetts.config.load import load_config

    config = load_config(args.config, args.overrides)
    from wavetts.synthesis.catalog import voice_folders
    from wavetts.training.loop import train

    train(
        config,
        args.data,
        args.run_dir,
        resume=args.resume,
        init_from=args.init_from,
        voice_folders=voice_folders(),
        device=args.device,
        threads=args.threads,
    )


def config(args: argparse.Namespace) -> None:
    """Prints every config field."""
    from wavetts.config.load import describe

    print(describe(), end="")


def synthesize(args: argparse.Namespace) -> None:
    """Speaks texts into a folder, a file or standard output."""
    settings = _settings(args)
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    texts = _read_input(args)
    if args.output_dir is None:
        if args.plots or args.overwrite:
            raise UserError("--plots and --overwrite go with --output-dir DIR")
        if args.output is None and args.input is not None:
            raise UserError(
                "say where the speech goes: --output-dir DIR for a file per text, or -o FILE for one in all"
            )
        if world_size > 1:
            raise UserError("one file is written by one process: give --output-dir DIR, or run without torchrun")
        _check_output(args.output or "speech.wav")
    elif args.output is not None:
        raise UserError("--output-dir and -o exclude each other")
    from wavetts.synthesis.voice import load_voice

    voice = load_voice(args.model, args.device, args.threads, args.precision)
    if args.output_dir is None:
        _speak_one_file(voice, texts, args.output or "speech.wav", settings)
        return
    from wavetts.synthesis.outputs import report_path, speak_to_folder

    started = time.perf_counter()
    with _progress(len(texts[rank::world_size])) as progress:
        lines = speak_to_folder(
            voice, texts, args.output_dir, settings, progress, args.overwrite, args.plots, rank, world_size
        )
    spoken = [line for line in lines if "error" not in line]
    report = report_path(args.output_dir, rank, world_size)
    _summarise(sum(line["seconds"] for line in spoken), time.perf_counter() - started)
    broken = [line["id"] for line in spoken if not line["complete"]]
    if broken:
        warnings.warn(
            f"{len(broken)} texts did not reach their end, see {report}: {' '.join(broken[:5])}", stacklevel=1
        )
    there = len(texts[rank::world_size]) - len(lines)
    if there:
        print(f"{there} were there already (--overwrite speaks them again)", file=sys.stderr)
    if len(spoken) < len(lines):
        raise UserError(f"{len(lines) - len(spoken)} of {len(lines)} texts could not be spoken, see {report}")


def _read_input(args: argparse.Namespace) -> list[Text]:
    if args.input is not None:
        if args.text is not None:
            raise UserError("give a TEXT or --input FILE, not both")
        return read_texts(args.input)
    if args.text == "-" or (args.text is None and not sys.stdin.isatty()):
        return [read_stdin()]
    if not (args.text or "").strip():
        raise UserError("no text: give it as an argument, through a pipe or with --input FILE")
    return [Text("speech", args.text, "TEXT")]


def say(args: argparse.Namespace) -> None:
    """Speaks one text and plays it."""
    settings = _settings(args)
    (text,) = _read_input(argparse.Namespace(text=args.text, input=None))
    if args.output is not None or not args.play:
        _check_output(args.output or "speech.wav")
    from wavetts.audio.player import check_player, play_file

    if args.play:
        check_player()
    from wavetts.synthesis.voice import load_voice

    voice = load_voice(args.voice, args.device, args.threads, args.precision)
    if args.play or args.output == "-":
        _stream(voice, text, args.output, args.play, settings)
        return
    output = args.output or "speech.wav"
    _speak_one_file(voice, [text], output, settings)
    if args.output is None and sys.stdout.isatty():
        play_file(output)


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
    _warn_of_broken([take for take in stream.takes if not take.complete], len(stream.takes))
    _summarise(len(joined) / voice.sample_rate, working, f", the first after {first:.2f} s")


def _check_output(output: str) -> None:
    """Finds out before minutes of synthesis that its end would fail."""
    if output == "-":
        if sys.stdout.isatty():
            raise UserError("standard output is a terminal: send the audio on (-o - | aplay) or give -o FILE")
        return
    path = Path(output)
    if path.suffix.lower() not in (".wav", ".flac"):
        raise UserError(f"-o {output}: audio is written as .wav or .flac")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"-o {output}: cannot be written; choose another file")


def _speak_one_file(voice: Voice, texts: list[Text], output: str, settings: SynthesisSettings) -> None:
    from wavetts.audio.waveform import write_audio
    from wavetts.synthesis.outputs import speak_to_file

    started = time.perf_counter()
    with _progress(len(texts)) as progress:
        audio, results = speak_to_file(voice, texts, settings, progress)
    if output == "-":
        # A WAV header holds the length, which is written last: a pipe cannot go back.
        encoded = io.BytesIO()
        write_audio(encoded, audio, voice.sample_rate)
        sys.stdout.buffer.write(encoded.getvalue())
        sys.stdout.buffer.flush()
    else:
        write_audio(output, audio, voice.sample_rate)
    takes = [take for result in results for take in result.takes]
    _warn_of_broken([take for take in takes if not take.complete], len(takes))
    _summarise(len(audio) / voice.sample_rate, time.perf_counter() - started)


def _warn_of_broken(broken: list[Take], total: int) -> None:
    if broken:
        warnings.warn(
            f"{len(broken)} of {total} sentences did not reach their end "
            f"in {max(take.tries for take in broken)} tries, the first: {broken[0].piece.spoken!r}",
            stacklevel=1,
        )


def _summarise(seconds: float, elapsed: float, more: str = "") -> None:
    speed = f", {seconds / elapsed:.2f} x real time" if elapsed > 0 else ""
    print(f"{seconds:.1f} s of speech in {elapsed:.1f} s{speed}{more}", file=sys.stderr)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[float], None]]:
    """A bar on stderr that counts in fractions of texts."""
    from tqdm import tqdm

    layout = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    with tqdm(total=total, desc="speaking", bar_format=layout) as bar:
        yield bar.update


def voices(args: argparse.Namespace) -> None:
    """Lists the voices that have a name."""
    from wavetts.synthesis.catalog import list_voices, user_folder

    entries = list_voices()
    if args.json:
        lines = [{**vars(entry), "path": str(entry.path), "default": entry == entries[0]} for entry in entries]
        print(json.dumps(lines, indent=2, ensure_ascii=False))
        return
    rows = [("name", "language", "Hz", "licence", "description")]
    for entry in entries:
        name = f"{entry.name} (default)" if entry == entries[0] else entry.name
        rows.append((name, entry.language, str(entry.sample_rate), entry.licence, entry.description))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"your own: {user_folder()}/NAME/model.safetensors", file=sys.stderr)


def demo(args: argparse.Namespace) -> None:
    """Serves the demo until it is interrupted."""
    from wavetts.demo.actions import Actions

    actions = Actions(args.models, args.device, args.threads, args.max_chars, args.max_long_chars)
    from wavetts.demo.page import launch

    launch(actions, args.host, args.port, args.max_waiting, open_browser=args.open)


def evaluate(args: argparse.Namespace) -> None:
    """Prints the figures of models and other systems on held-out data, and writes them."""
    from wavetts.evaluation.evaluate import Options, evaluate
    from wavetts.evaluation.tables import render, render_csv

    settings = _settings(args)
    threads = (args.threads,) if args.threads else tuple(sorted({1, os.cpu_count() or 1}))
    options = Options(
        args.synthesize,
        args.html is not None,
        args.recogniser,
        args.whisper_model,
        threads if args.speed else (),
        args.jobs,
    )
    if args.html is not None and args.html.exists() and not args.html.is_dir():
        raise UserError(f"--html {args.html}: a file is there; name a folder")
    evaluation = evaluate(
        [args.model, *args.compare], args.manifest, options, settings, args.device, args.threads, args.precision
    )
    table = render(evaluation.results)
    print(table, end="")
    if args.html is not None:
        from wavetts.evaluation.listening import write_page

        write_page(evaluation, args.html)
    from wavetts.files import write_atomic

    if args.output is not None:
        write_atomic(args.output, json.dumps(evaluation.results, indent=2, ensure_ascii=False) + "\n")
    if args.csv is not None:
        write_atomic(args.csv, render_csv(evaluation.results))
    if args.markdown is not None:
        write_atomic(args.markdown, table)


def _settings(args: argparse.Namespace) -> SynthesisSettings:
    base = load_settings(args.settings) if getattr(args, "settings", None) else SynthesisSettings()
    given = {item.name: getattr(args, item.name) for item in dataclasses.fields(base)}
    return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})


def curves(args: argparse.Namespace) -> None:
    """Draws training curves."""
    from wavetts.audio.figures import curve_figure, save_figure

    save_figure(curve_figure(args.runs, args.key, args.over), args.output)


def export(args: argparse.Namespace) -> None:
    """Writes a model in half precision."""
    from wavetts.model.checkpoint import export_model
    from wavetts.synthesis.catalog import find_voice, voice_folders

    if args.rank < 1:
        raise UserError(f"--rank {args.rank}: at least 1")
    base = find_voice(args.base) if args.base else None
    kept = export_model(args.model, args.output, args.mantissa_bits, base, args.rank, voice_folders())
    if kept:
        least = min(kept, key=kept.__getitem__)
        mean = sum(kept.values()) / len(kept)
        print(f"kept of the changes of {len(kept)} matrices: {mean:.1%} on average, least {kept[least]:.1%} of {least}")


def serve(args: argparse.Namespace) -> None:
    """Runs the speech server until it is told to stop."""
    from wavetts.server.run import serve

    serve(
        args.voices,
        _settings(args),
        host=args.host,
        port=args.port,
        api_key_file=args.api_key_file,
        max_chars=args.max_chars,
        max_requests=args.max_requests,
        timeout=args.timeout,
        device=args.device,
        threads=args.threads,
        precision=args.precision,
    )
