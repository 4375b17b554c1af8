"""Speed of training in seconds of audio per second, the time of each part of a step, and how it depends on the batch.

Each line differs from the base in one value: threads, batch size, seconds per utterance (T), tokens per utterance (I),
or samples per frame (K, at the same duration: longer frames are fewer). `loop` is the recurrence of the decoder, the
only part of a training step that runs frame by frame; it is included in `decoder`, and its gradients in `backward`.

Example:
    python benchmarks/training.py --output training.json
    python benchmarks/training.py --config recipes/train/ljspeech_paper_chars.yaml --batch-size 4 --only base --profile
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from wavetts.config import Config
from wavetts.config.load import load_config
from wavetts.corpus.batches import Batch
from wavetts.errors import Parser, UserError, run
from wavetts.files import write_atomic
from wavetts.model.tacotron import WaveTacotron
from wavetts.training.objective import loss_sums
from wavetts.training.optim import build_optimizer

ROOT = Path(__file__).parents[1]
CHARACTERS_PER_SECOND = 14  # of LJSpeech
AXES = ("base", "threads", "batch", "seconds", "tokens", "frame")
PARTS = ("encoder", "loop", "decoder", "density", "other forward", "backward", "optimizer")


@dataclass(frozen=True)
class Point:
    """One line of the table."""

    axis: str
    threads: int
    batch: int
    seconds: float
    tokens: int
    frame: int


def random_batch(point: Point, sample_rate: int) -> Batch:
    """Random audio and tokens; the time of a step does not depend on their values."""
    frames = round(point.seconds * sample_rate / point.frame)
    waveform = 0.1 * torch.randn(point.batch, frames * point.frame).clamp(-9, 9)
    tokens = torch.randint(1, 80, (point.batch, point.tokens))
    lengths = torch.full((point.batch,), point.tokens)
    return Batch([""] * point.batch, tokens, lengths, waveform, torch.full((point.batch,), frames))


class Timer:
    """Training steps, timed in parts: encoder, decoder, density, backward, optimiser."""

    def __init__(self, config: Config) -> None:
        self.config, self.parts = config, {}
        torch.manual_seed(config.train.seed)
        self.model = WaveTacotron(config, num_symbols=80)
        self.optimizer = build_optimizer(self.model, dataclasses.replace(config.train, learning_rate=1e-5))
        self._watch("encoder", self.model.encoder, "forward")
        self._watch("loop", self.model.decoder, "_attend")
        self._watch("decoder", self.model.decoder, "forward")
        self._watch("density", self.model.density, "loss")

    def _watch(self, name: str, module: torch.nn.Module, method: str) -> None:
        original = getattr(module, method)

        def timed(*args: object) -> object:
            start = time.perf_counter()
            result = original(*args)
            self.parts[name] = time.perf_counter() - start
            return result

        setattr(module, method, timed)

    def step(self, batch: Batch) -> dict[str, float]:
        """Runs one step and returns the seconds of each part; "loop" is included in "decoder"."""
        train, start = self.config.train, time.perf_counter()
        sums = loss_sums(self.model, batch, train, step=train.prior_steps)
        forward = time.perf_counter()
        sums.loss(sums.num_samples).backward()
        backward = time.perf_counter()
        self.optimizer.step()
        self.optimizer.zero_grad()
        end = time.perf_counter()
        other = forward - start - sum(self.parts[name] for name in ("encoder", "decoder", "density"))
        rest = {"other forward": other, "backward": backward - forward, "optimizer": end - backward}
        return {**self.parts, **rest, "step": end - start}


def points(base: Point, args: argparse.Namespace) -> Iterator[Point]:
    """The base, then one case for each other value of each axis."""
    grids = {
        "threads": args.threads,
        "batch": args.batch_size,
        "seconds": [base.seconds / 2, base.seconds * 2, base.seconds * 4],
        "tokens": [base.tokens // 2, base.tokens * 2, base.tokens * 4],
        "frame": args.frames or [base.frame // 2, base.frame * 2],
    }
    if "base" in args.only:
        yield base
    for axis, values in grids.items():
        for value in values if axis in args.only else ():
            if value != getattr(base, axis):
                yield dataclasses.replace(base, axis=axis, **{axis: value})


def measure(timer: Timer, point: Point, runs: int) -> dict[str, float]:
    """Median seconds of each part, after a step to warm up."""
    torch.set_num_threads(point.threads)
    batch = random_batch(point, timer.config.audio.sample_rate)
    steps = [timer.step(batch) for _ in range(runs + 1)][1:]
    return {name: statistics.median(step[name] for step in steps) for name in steps[0]}


def main(argv: list[str]) -> None:
    """Prints the table, with --profile torch's own as well; writes the JSON file."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "recipes" / "train" / "compact_16k.yaml")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="the base is the first (default 1 2)")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[8, 2, 16], help="the same (default 8 2 16)")
    parser.add_argument("--seconds", type=float, default=3.0, help="an utterance of the base (default 3)")
    parser.add_argument("--frames", type=int, nargs="+", help="samples a frame (default: half and twice the config's)")
    parser.add_argument("--only", nargs="+", choices=AXES, default=AXES, help="these lines (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="counted steps (default 3)")
    parser.add_argument("--profile", action="store_true", help="also print the costliest operators of the last line")
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON file")
    args = parser.parse_args(argv)
    config = load_config(args.config)
    tokens = round(args.seconds * CHARACTERS_PER_SECOND)
    base = Point("base", args.threads[0], args.batch_size[0], args.seconds, tokens, config.audio.frame_length)
    timer, rows = Timer(config), []
    sizes = timer.model.num_parameters()
    print(f"{args.config.name}: {', '.join(f'{name} {size / 1e6:.1f} M' for name, size in sizes.items())}")
    head = ["changed", "threads", "batch", "T", "I", "K", "ms a step", "audio s/s", *PARTS]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for point in points(base, args):
        if point.frame != timer.config.audio.frame_length:
            audio = dataclasses.replace(config.audio, frame_length=point.frame)
            try:
                timer = Timer(dataclasses.replace(config, audio=audio))
            except UserError as error:
                raise UserError(f"--frames {point.frame}: {error}") from None
        median = measure(timer, point, args.runs)
        frames = round(point.seconds * config.audio.sample_rate / point.frame)
        speed = point.batch * frames * point.frame / config.audio.sample_rate / median["step"]
        rows.append({**dataclasses.asdict(point), "frames": frames, "audio_seconds_per_second": speed, **median})
        shares = [f"{100 * median[name] / median['step']:.0f} %" for name in PARTS]
        cells = [point.axis, point.threads, point.batch, frames, point.tokens, point.frame]
        cells += [f"{1000 * median['step']:.0f}", f"{speed:.1f}", *shares]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    if args.profile and rows:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            timer.step(random_batch(point, config.audio.sample_rate))
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=60))
    if args.output:
        figures = {"torch": torch.__version__, "config": args.config.name, "parameters": sizes, "rows": rows}
        write_atomic(args.output, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
