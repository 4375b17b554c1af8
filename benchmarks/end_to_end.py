"""Held-out bits per sample against wall time for each frame density, all else alike.

The trainings run side by side on one thread each, so that all get the same share of the machine; started again, they go
on. Fields of the config that follow apply to all of them. Writes RUN/DENSITY (a training run each), RUN/densities.png
and RUN/densities.json.

Example:
    egs/asterisk/run.sh --stop-stage 1
    python benchmarks/end_to_end.py --data egs/asterisk/data/en/16k --run egs/asterisk/exp/en/compare --minutes 12
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wavetts.audio.figures import curve_figure, read_metrics, save_figure
from wavetts.errors import Parser, UserError, run
from wavetts.evaluation.evaluate import evaluate
from wavetts.files import write_atomic
from wavetts.model.checkpoint import load_model
from wavetts.training.state import list_states

CONFIG = Path(__file__).parents[1] / "recipes" / "train" / "compact_16k.yaml"
DENSITIES = {
    "gaussian": ["density.kind=gaussian"],
    "compact": ["density.kind=compact", "density.num_cepstra=32"],
    "subframe": ["density.kind=subframe"],
    # The paper's, scaled down to what a core can train.
    "flow": ["density.kind=flow", "density.num_stages=5", "density.num_steps=4", "density.hidden_dim=64"],
}
SHARES = (0.25, 0.5, 1.0)


def train(names: Sequence[str], args: argparse.Namespace) -> None:
    """Trains all densities at once, each for its minutes.

    Raises:
        UserError: one of them failed; it has said why.
    """
    started = {}
    for name in names:
        folder = args.run / name
        command = [sys.executable, "-m", "wavetts", "train", str(args.config), *DENSITIES[name], *args.overrides]
        command += [f"train.max_minutes={args.minutes}", "--data", str(args.data), "--run", str(folder)]
        command += ["--threads", "1", "--device", "cpu"] + (["--resume"] if list_states(folder) else [])
        started[name] = subprocess.Popen(command)
    failed = [name for name, process in started.items() if process.wait()]
    if failed:
        raise UserError(f"training failed: {', '.join(failed)}; mend it and run the same command again")


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """A trained density's curve on dev and its figures on test."""
    folder = args.run / name
    metrics = read_metrics(folder / "metrics.jsonl")
    dev = [line for line in metrics if line["kind"] == "dev"]
    speed = [line["audio_seconds_per_second"] for line in metrics if line["kind"] == "train"]
    loaded = load_model(folder)
    results = evaluate([folder], args.data / "test.jsonl", device="cpu", threads=1).results
    (system,) = results["systems"]
    return {
        "density": name,
        "parameters": sum(loaded.model.num_parameters().values()),
        "steps": loaded.info["step"],
        "audio_seconds_per_second": sum(speed) / len(speed) if speed else None,
        "dev": [{key: line[key] for key in ("step", "minutes", "bits_per_sample")} for line in dev],
        "test": system["figures"]["forced_bits_per_sample"],
        "likelihood": system["teacher_forced"]["likelihood"],
        "dither": system["teacher_forced"]["dither"],
    }


def at_minute(dev: list[dict[str, Any]], minutes: float) -> str:
    """The last held-out figure up to then."""
    there = [line["bits_per_sample"] for line in dev if line["minutes"] <= minutes * 1.01]
    return f"{there[-1]:.3f}" if there else "-"


def main(argv: list[str]) -> None:
    """Trains, prints the table, writes the JSON file and the picture."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", metavar="section.field=value", nargs="*", default=[], help="for all of them")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `wavetts preprocess` made")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each (default 10)")
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"(default {CONFIG.name})")
    parser.add_argument("--densities", nargs="+", choices=DENSITIES, default=list(DENSITIES), help="(default: all)")
    args = parser.parse_intermixed_args(argv)
    train(args.densities, args)
    rows = [measure(name, args) for name in args.densities]
    times = [args.minutes * share for share in SHARES]
    head = ["density", "parameters", "steps", "audio s/s", *(f"dev, {time:g} min" for time in times), "test"]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for row in rows:
        speed, test = row["audio_seconds_per_second"], row["test"]
        cells = [row["density"], f"{row['parameters'] / 1e6:.1f} M", row["steps"], f"{speed:.0f}" if speed else "-"]
        cells += [at_minute(row["dev"], time) for time in times]
        interval = "" if test["low"] is None else f" [{test['low']:.3f}, {test['high']:.3f}]"
        print(f"| {' | '.join(map(str, cells))} | {test['mean']:.3f}{interval} ({row['likelihood']}) |")
    save_figure(curve_figure([args.run / name for name in args.densities], over="minutes"), args.run / "densities.png")
    write_atomic(args.run / "densities.json", json.dumps({"minutes": args.minutes, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
