"""Speed of training and synthesis and peak memory on one GPU, for the paper's config and the compact one.

Weights and data are random, which changes none of the figures. Training is a step of maximum likelihood on utterances
of equal length; synthesis is `generate` with a fixed number of frames. Times are taken between synchronisations of the
GPU, after steps to warm up.

Example:
    python benchmarks/gpu.py
    python benchmarks/gpu.py --precision bf16 --tf32 --compile --output gpu.json
    python benchmarks/gpu.py --device cpu --tiny
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import torch

from wavetts.config import Config
from wavetts.config.load import load_config
from wavetts.corpus.batches import Batch
from wavetts.errors import Parser, run
from wavetts.files import write_atomic
from wavetts.model.device import choose_device
from wavetts.model.generate import Engine, Generation, generate
from wavetts.model.tacotron import WaveTacotron
from wavetts.training.objective import loss_sums
from wavetts.training.optim import build_average, build_optimizer, clip_gradients

RECIPES = Path(__file__).parents[1] / "recipes" / "train"
CONFIGS = ("ljspeech_paper_phonemes", "compact_16k")
# What makes either config small enough to try the script itself.
TINY = {
    "ljspeech_paper_phonemes": ["density.num_stages=2", "density.num_steps=1", "density.hidden_dim=8"],
    "compact_16k": ["density.inner.num_couplings=2", "density.inner.hidden_dim=8", "density.context_dim=8"],
}
# The couplings' networks in the precision that is asked for; the rest of a flow is float32.
COUPLINGS = {
    "ljspeech_paper_phonemes": {name: [f"density.precision={name}"] for name in ("float32", "bf16")},
    "compact_16k": {name: [f"density.inner.precision={name}"] for name in ("float32", "bf16")},
}
SYMBOLS = 80
CHARACTERS_PER_SECOND = 14  # of LJSpeech


def random_batch(config: Config, size: int, seconds: float) -> Batch:
    """Random audio and tokens."""
    frames = round(seconds * config.audio.sample_rate / config.audio.frame_length)
    tokens = round(seconds * CHARACTERS_PER_SECOND)
    waveform = 0.1 * torch.randn(size, frames * config.audio.frame_length).clamp(-9, 9)
    lengths = torch.full((size,), tokens)
    return Batch([""] * size, torch.randint(1, SYMBOLS, (size, tokens)), lengths, waveform, torch.full((size,), frames))


def synchronise(device: torch.device) -> None:
    """Waits until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_gigabytes(device: torch.device) -> float:
    """Peak memory so far, of the GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def time_training(config: Config, device: torch.device, size: int, seconds: float, steps: int) -> dict[str, float]:
    """Seconds of audio trained per second, and peak memory in GiB; the first two steps are not counted."""
    model = WaveTacotron(config, SYMBOLS).to(device).train()
    optimizer, average = build_optimizer(model, config.train), build_average(model, config.train.ema_decay)
    if config.train.compile:
        model.density.loss = torch.compile(model.density.loss, dynamic=True)
    if config.train.compile_attention:
        model.decoder.attend_step = torch.compile(model.decoder.attend_step, dynamic=True)
    batch = random_batch(config, size, seconds)
    if device.type == "cuda":
        batch = batch.pinned()
        torch.cuda.reset_peak_memory_stats(device)
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        sums = loss_sums(model, batch.to(device), config.train, step=config.train.prior_steps)
        sums.loss(sums.num_samples).backward()
        clip_gradients(model, config.train.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update_parameters(model)
        synchronise(device)
        times.append(time.perf_counter() - start)
    audio = sums.num_samples / config.audio.sample_rate
    return {"audio_seconds_per_second": audio / statistics.median(times[2:]), "gigabytes": peak_gigabytes(device)}


def time_speech(config: Config, device: torch.device, size: int, seconds: float) -> float:
    """Seconds of speech generated per second in a batch of `size` utterances, after a run to warm up."""
    model = WaveTacotron(config, SYMBOLS).to(device).eval()
    frames = round(seconds * config.audio.sample_rate / config.audio.frame_length)
    tokens = [1] * round(seconds * CHARACTERS_PER_SECOND)
    for _ in range(2):
        # None of them stops before its last frame.
        utterances = [Generation(tokens, seed, frames, stop_threshold=1.0) for seed in range(size)]
        synchronise(device)
        start = time.perf_counter()
        generate(Engine(model), utterances)
        elapsed = time.perf_counter() - start
    return sum(len(utterance.waveform) for utterance in utterances) / config.audio.sample_rate / elapsed


def main(argv: list[str]) -> None:
    """Prints the table and writes the JSON file."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="bf16", help="default bf16")
    parser.add_argument("--tf32", action="store_true", help="float32 products in TensorFloat-32")
    parser.add_argument("--compile", action="store_true", help="torch.compile the density and the attention's step")
    parser.add_argument("--batch-size", type=int, default=128, help="utterances of a training step (default 128)")
    parser.add_argument("--seconds", type=float, default=5.0, help="an utterance (default 5)")
    parser.add_argument("--steps", type=int, default=8, help="training steps that count (default 8)")
    parser.add_argument("--speakers", type=int, nargs="+", default=[1, 64], help="utterances at once (default 1 64)")
    parser.add_argument("--tiny", action="store_true", help="small models and batches: tries the script")
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON file")
    args = parser.parse_args(argv)
    if args.tiny:
        args.batch_size, args.seconds, args.steps, args.speakers = 2, 0.5, 1, [1, 2]
    device, rows = choose_device(args.device), []
    torch.set_float32_matmul_precision("high" if args.tf32 else "highest")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {args.precision}, batches of {args.batch_size} x {args.seconds:g} s")
    speakers = [f"speech x real time, {count} at once" for count in args.speakers]
    print(
        f"| config | audio s trained a second | GiB | {' | '.join(speakers)} |\n|---|---|---{'|---' * len(speakers)}|"
    )
    for recipe in CONFIGS:
        overrides = [f"train.precision={args.precision}", f"train.compile={args.compile}"]
        overrides += [f"train.compile_attention={args.compile}", *COUPLINGS[recipe][args.precision]]
        overrides += TINY[recipe] if args.tiny else []
        config = load_config(RECIPES / f"{recipe}.yaml", overrides)
        torch.manual_seed(config.train.seed)
        training = time_training(config, device, args.batch_size, args.seconds, args.steps)
        speech = {count: time_speech(config, device, count, args.seconds) for count in args.speakers}
        rows.append({"config": recipe, **training, "speech": speech})
        cells = [recipe, f"{training['audio_seconds_per_second']:.1f}", f"{training['gigabytes']:.1f}"]
        print(f"| {' | '.join([*cells, *(f'{speed:.1f}' for speed in speech.values())])} |", flush=True)
    if args.output:
        settings = {key: value for key, value in vars(args).items() if key != "output"}
        figures = {"device": name, "torch": torch.__version__, "settings": settings, "rows": rows}
        write_atomic(args.output, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
