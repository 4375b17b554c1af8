"""Seconds to synthesise 5 s of speech, by model and thread count (the paper: 2.52 s on a CPU for R = 3).

Weights are random: speed does not depend on them. Each figure is the median of several runs, after one to warm up.

Example:
    python benchmarks/synthesis.py --output synthesis.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import torch

from wavetts.config_file import load_config
from wavetts.generate import Utterance, generate
from wavetts.model import WaveTacotron

CONFIGS = ["ljspeech_paper_chars", "ljspeech_small", "compact_16k"]
CHARACTERS_PER_SECOND = 14  # of LJSpeech


def randomised(config_name: str) -> WaveTacotron:
    """A model whose weights are random everywhere: layers that start at zero may be faster than trained ones."""
    config = load_config(Path(__file__).parents[1] / "recipes" / "train" / f"{config_name}.yaml")
    torch.manual_seed(0)
    model = WaveTacotron(config, num_symbols=80).eval()
    with torch.no_grad():
        for parameter in model.density.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return model


def seconds_to_speak(model: WaveTacotron, speech_seconds: float, batch_size: int, runs: int) -> tuple[float, float]:
    """Median and minimum wall time of `runs` runs of `batch_size` utterances of `speech_seconds` each."""
    frames = round(speech_seconds * model.config.audio.sample_rate / model.frame_length)
    size = round(speech_seconds * CHARACTERS_PER_SECOND)
    tokens = torch.randint(1, 80, (batch_size, size)).tolist()
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        # A threshold above 1 keeps an untrained stop token from ending it.
        generate(model, [Utterance(row, seed, frames, stop_threshold=1.1) for seed, row in enumerate(tokens)])
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), min(times[1:])


def main() -> None:
    """Prints the table and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of speech an utterance")
    parser.add_argument("--runs", type=int, default=5, help="counted runs")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--output", type=Path, help="JSON file")
    args = parser.parse_args()
    rows = []
    print("| model | parameters | threads | batch | seconds (median) | minimum | real-time factor |")
    print("|---|---|---|---|---|---|---|")
    for name in CONFIGS:
        model = randomised(name)
        size = sum(model.num_parameters().values())
        for threads, batch_size in itertools.product(args.threads, args.batch_sizes):
            torch.set_num_threads(threads)
            median, best = seconds_to_speak(model, args.seconds, batch_size, args.runs)
            factor = median / (args.seconds * batch_size)
            row = {"model": name, "parameters": size, "threads": threads, "batch": batch_size}
            rows.append(row | {"median": median, "minimum": best, "real_time_factor": factor})
            cells = [name, f"{size / 1e6:.1f} M", threads, batch_size, f"{median:.2f}", f"{best:.2f}", f"{factor:.3f}"]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
    if args.output:
        figures = {"torch": torch.__version__, "rows": rows}
        args.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
