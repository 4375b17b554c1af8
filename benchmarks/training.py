"""Audio seconds trained per second, and where a training step's time goes.

Example:
    python benchmarks/training.py --config recipes/train/compact_16k.yaml --batch-size 14
    python benchmarks/training.py --config recipes/train/ljspeech_paper_chars.yaml --batch-size 4 --profile
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from wavetts.config import Config
from wavetts.config_file import load_config
from wavetts.model import WaveTacotron
from wavetts.objective import Batch, loss_sums

CHARACTERS_PER_SECOND = 14  # of LJSpeech


def random_batch(config: Config, batch_size: int, seconds: float) -> Batch:
    """Noise of speech's length and text's: a step's time does not depend on what is said."""
    frames, size = (
        round(seconds * config.audio.sample_rate / config.audio.frame_length),
        round(seconds * CHARACTERS_PER_SECOND),
    )
    waveform = 0.1 * torch.randn(batch_size, frames * config.audio.frame_length).clamp(-9, 9)
    tokens, token_lengths = torch.randint(1, 80, (batch_size, size)), torch.full((batch_size,), size)
    return Batch([""] * batch_size, tokens, token_lengths, waveform, torch.full((batch_size,), frames))


class Timer:
    """One training step in its parts: the condition (encoder and decoder), the density, backward, the optimiser."""

    def __init__(self, config: Config) -> None:
        self.config, self.parts = config, {}
        torch.manual_seed(config.train.seed)
        self.model = WaveTacotron(config, num_symbols=80)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, foreach=True)
        for name in ("encoder", "decoder", "density"):
            self._watch(name)

    def _watch(self, name: str) -> None:
        module = getattr(self.model, name)
        method = "loss" if name == "density" else "forward"
        original = getattr(module, method)

        def timed(*args: object) -> object:
            start = time.perf_counter()
            result = original(*args)
            self.parts[name] = time.perf_counter() - start
            return result

        setattr(module, method, timed)

    def step(self, batch: Batch) -> dict[str, float]:
        """Seconds of each part of one step."""
        train, start = self.config.train, time.perf_counter()
        sums = loss_sums(self.model, batch, train, step=train.prior_steps)
        forward = time.perf_counter()
        sums.loss(sums.num_samples, train.stop_weight).backward()
        backward = time.perf_counter()
        self.optimizer.step()
        self.optimizer.zero_grad()
        end = time.perf_counter()
        parts = {"backward": backward - forward, "optimizer": end - backward, "step": end - start}
        return self.parts | {"other forward": forward - start - sum(self.parts.values())} | parts


def main() -> None:
    """Prints the table, and with --profile torch's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[4, 14])
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds an utterance")
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="also print the costliest operators")
    parser.add_argument("--output", type=Path, help="JSON file")
    args = parser.parse_args()
    config, rows = load_config(args.config), []
    timer = Timer(config)
    print(f"{args.config.name}: {', '.join(f'{k} {v / 1e6:.1f} M' for k, v in timer.model.num_parameters().items())}")
    print("| threads | batch | audio s/s | encoder | decoder | density | other forward | backward | optimizer |")
    print("|---|---|---|---|---|---|---|---|---|")
    for threads in args.threads:
        torch.set_num_threads(threads)
        for size in args.batch_size:
            batch = random_batch(config, size, args.seconds)
            runs = [timer.step(batch) for _ in range(args.runs + 1)][1:]
            median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            rows.append(
                {"threads": threads, "batch": size, "audio_seconds_per_second": size * args.seconds / median["step"]}
            )
            rows[-1] |= median
            shares = [f"{100 * value / median['step']:.0f} %" for name, value in median.items() if name != "step"]
            print(
                f"| {threads} | {size} | {rows[-1]['audio_seconds_per_second']:.1f} | {' | '.join(shares)} |",
                flush=True,
            )
    if args.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            timer.step(batch)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=60))
    if args.output:
        args.output.write_text(
            json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
