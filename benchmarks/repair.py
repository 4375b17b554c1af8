"""Lost stretches of recordings, filled in four ways: silence, the last period again, the past alone, both sides.

Every recording of a test set loses stretches of some lengths where it is loud. Repetition is what telephones do (ITU-T
G.711 appendix I): the last pitch period again and again, softer after 10 ms. "past" is the voice's first draw, "both
sides" the one of several after which the recording goes on most likely. Measured over the frames of the log-mel
spectrogram that see the stretch, and by the samples themselves.

Example:
    python benchmarks/repair.py runs/diffusion --data data --output repair.json
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from wavetts.audio.waveform import MEL_HOP_SECONDS, MEL_WINDOW_SECONDS, log_mel, read_audio, resample
from wavetts.corpus.manifest import load_manifest
from wavetts.errors import Parser, run
from wavetts.evaluation.intervals import mean_interval
from wavetts.files import write_atomic
from wavetts.seeds import mix_seed
from wavetts.synthesis.repair import repair
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import Voice, load_voice

# Of pitch periods, in seconds; how long repetition stays as loud as it was, and when it is silent.
SHORTEST_PERIOD, LONGEST_PERIOD = 0.0025, 0.015
LOUD_SECONDS, SILENT_SECONDS = 0.010, 0.060


def zeros(samples: np.ndarray, first: int, last: int, rate: int) -> np.ndarray:
    """Silence in the place of what is lost."""
    filled = samples.copy()
    filled[first:last] = 0.0
    return filled


def repetition(samples: np.ndarray, first: int, last: int, rate: int) -> np.ndarray:
    """The last pitch period again and again, falling to silence."""
    past = samples[max(0, first - round(3 * LONGEST_PERIOD * rate)) : first].astype(np.float64)
    lags = np.arange(round(SHORTEST_PERIOD * rate), round(LONGEST_PERIOD * rate) + 1)
    size = len(past) - lags[-1]
    if size < lags[-1]:
        return zeros(samples, first, last, rate)
    query = past[-size:]
    scores = [query @ past[-size - lag : -lag] / (np.linalg.norm(past[-size - lag : -lag]) + 1e-9) for lag in lags]
    period = past[-int(lags[int(np.argmax(scores))]) :]
    time = np.arange(last - first)
    fall = (time / rate - LOUD_SECONDS) / (SILENT_SECONDS - LOUD_SECONDS)
    filled = samples.copy()
    filled[first:last] = period[time % len(period)] * (1 - fall.clip(0, 1))
    return filled


def place(samples: np.ndarray, size: int, seed: int) -> int | None:
    """Where a stretch is lost: a random place among the louder half, away from the ends; None: it is too short."""
    starts = np.arange(size, len(samples) - 2 * size, max(1, size // 4))
    if len(starts) < 4:
        return None
    energy = np.array([np.square(samples[start : start + size]).mean() for start in starts])
    loud = starts[energy >= np.median(energy)]
    return int(np.random.default_rng(seed).choice(loud))


def distance(reference: np.ndarray, filled: np.ndarray, first: int, last: int, rate: int) -> dict[str, float]:
    """Log-spectral distance in dB of the rows that see the stretch, and signal-to-noise ratio in dB within it."""
    reach = MEL_WINDOW_SECONDS / 2
    rows = slice(math.ceil((first / rate - reach) / MEL_HOP_SECONDS), int((last / rate + reach) / MEL_HOP_SECONDS) + 1)
    pair = [log_mel(part, rate)[max(rows.start, 0) : rows.stop] for part in (reference, filled)]
    lost, noise = reference[first:last].astype(np.float64), (filled - reference)[first:last].astype(np.float64)
    return {
        "log_spectral_distance": float(20 / math.log(10) * np.sqrt(np.mean((pair[0] - pair[1]) ** 2))),
        "signal_to_noise": float(10 * np.log10(np.square(lost).sum() / max(np.square(noise).sum(), 1e-12))),
    }


def fillers(voice: Voice, text: str, args: argparse.Namespace) -> dict[str, Callable[..., np.ndarray]]:
    """The ways to fill a stretch of a recording of `text`."""

    def drawn(candidates: int) -> Callable[..., np.ndarray]:
        settings = SynthesisSettings(temperature=args.temperature, seed=args.seed)
        return lambda samples, first, last, rate: repair(voice, samples, [(first, last)], text, settings, candidates)

    return {"zeros": zeros, "repetition": repetition, "past": drawn(1), "both sides": drawn(args.candidates)}


def main(argv: list[str]) -> None:
    """Loses, fills, measures, prints."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", metavar="MODEL", help="voice, model file or run folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `wavetts preprocess` made")
    parser.add_argument("--clips", type=int, default=24, metavar="N", help="of test.jsonl (default %(default)s)")
    parser.add_argument("--milliseconds", type=int, nargs="+", default=[20, 40, 80], metavar="N", help="lost lengths")
    parser.add_argument("--candidates", type=int, default=8, metavar="N", help="draws of both sides")
    parser.add_argument("--temperature", type=float, metavar="X", help="std of the base noise (default: the voice's)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of places and noise")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args(argv)
    voice = load_voice(args.voice, "cpu", 1, "float32")
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    for utterance in tqdm(load_manifest(args.data / "test.jsonl")[: args.clips], unit="clip"):
        samples, rate = read_audio(utterance.audio)
        samples, rate = resample(samples, rate, voice.sample_rate), voice.sample_rate
        if len(voice.prepare(utterance.text, 0)) > 1:
            continue
        for milliseconds in args.milliseconds:
            size = round(milliseconds / 1000 * rate)
            first = place(samples, size, mix_seed(args.seed, utterance.id, milliseconds))
            if first is None:
                continue
            for name, fill in fillers(voice, utterance.text, args).items():
                filled = fill(samples, first, first + size, rate)
                row = distance(samples, filled, first, first + size, rate)
                found.setdefault((milliseconds, name), []).append(row)
    rows: list[dict[str, Any]] = []
    print("| lost | filled by | log-spectral distance, dB | signal to noise, dB |\n|---|---|---|---|")
    for (milliseconds, name), figures in found.items():
        row: dict[str, Any] = {"milliseconds": milliseconds, "filled_by": name}
        for key in ("log_spectral_distance", "signal_to_noise"):
            row[key] = mean_interval([one[key] for one in figures], [1.0] * len(figures))
        rows.append(row)
        cells = [
            f"{row[key]['mean']:.2f}"
            + (f" [{row[key]['low']:.2f}, {row[key]['high']:.2f}]" if len(figures) > 1 else "")
            for key in ("log_spectral_distance", "signal_to_noise")
        ]
        print(f"| {milliseconds} ms | {name} | {cells[0]} | {cells[1]} |")
    if args.output is not None:
        write_atomic(args.output, json.dumps({"voice": args.voice, "seed": args.seed, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
