"""Which density of a waveform frame is worth its cost: all of them on the same frames and contexts, for equal CPU time.

Each call trains and measures one arm and appends a row to a journal (JSON lines); an arm that was interrupted goes on.
CPU time is the process' own, on one thread, so that a busy machine takes nothing from an arm.

Example:
    wavetts preprocess CORPUS data --sample-rate 16000
    python benchmarks/density.py --list
    python benchmarks/density.py --data data --journal density.jsonl --minutes 15 --arm "subframe of diffusion"
    python benchmarks/density.py --data data --journal density.jsonl --minutes 15 --arm next
    python benchmarks/density.py --journal density.jsonl --table
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import density_data as data
import torch
from density_arms import ARMS, DIFFUSION, EVERY, STUDENTS, TEACHER, TILTS, tilted
from torch import Tensor, nn

from wavetts.config.load import load_config
from wavetts.errors import Parser, UserError, run
from wavetts.evaluation.tables import MISSING
from wavetts.files import write_atomic
from wavetts.model.density import SamplingOptions
from wavetts.model.density.diffusion.denoiser import Denoiser
from wavetts.model.density.diffusion.density import Diffusion, DiffusionConfig
from wavetts.model.density.diffusion.student import halve, make_student
from wavetts.model.density.energy.heads import DotProduct, JointScore
from wavetts.model.density.energy.recovery import EnergyNetwork
from wavetts.model.density.energy.tilt import onto_tilts, train_tilts_alone
from wavetts.model.density.subframe import SubframeDensity
from wavetts.model.density.transforms import AffineCoupling
from wavetts.training.optim import build_average

CONFIG = Path(__file__).parents[1] / "recipes" / "train" / "compact_16k.yaml"
TEMPERATURES = (0.5, 0.7, 0.85, 1.0)
BATCH_FRAMES, SAVE_SECONDS = 400, 60.0
RATE, WARMUP, DECAY, CLIP, EMA = 1e-3, 100, 0.4, 0.5, 0.99

Loss = Callable[[Any, Tensor, Tensor], Tensor]


def train(arm: str, density: Any, frames: data.Frames, loss: Loss, args: argparse.Namespace) -> tuple[Any, int, float]:
    """Trains an arm for its CPU time, from its state if there is one.

    Returns:
        The averaged density, optimiser steps and CPU minutes.
    """
    parameters = [p for p in density.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, RATE, betas=(0.9, 0.98), weight_decay=0.01)
    average, path, budget = build_average(density, EMA), state_path(args, arm), 60 * args.minutes
    parts = {"density": density, "average": average, "optimizer": optimizer}
    step, spent = 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        step, spent = state["step"], state["spent"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    stream = data.batches(frames, density, BATCH_FRAMES, args.seed, step)
    begun, saved = time.process_time() - spent, spent
    density.train()
    if arm in TILTS:
        train_tilts_alone(density)
    while spent < budget:
        values, cond = next(stream)
        if step == 0:
            density.initialize(values, cond)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARMUP, max(1 - spent / budget, 0.02 * DECAY) / DECAY)
        optimizer.zero_grad()
        mean = loss(density, values, cond).sum() / values.numel()
        if torch.isfinite(mean):
            mean.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            average.update_parameters(density)
        step, spent = step + 1, time.process_time() - begun
        if spent - saved > SAVE_SECONDS or spent >= budget:
            saved = spent
            content = {name: part.state_dict() for name, part in parts.items()}
            data.save(path, {"step": step, "spent": spent, **content})
            print(f"{arm}: step {step}, {spent / 60:.1f} of {args.minutes:g} minutes, {mean.item():.3f}", flush=True)
    return average.module.eval(), step, spent / 60


def state_path(args: argparse.Namespace, arm: str) -> Path:
    """An arm's training state, beside the journal."""
    return args.journal.with_suffix("") / f"{re.sub(r'[^a-z0-9]+', '-', arm.lower())}.state"


def student_of(former: SubframeDensity, steps: int) -> SubframeDensity:
    """A copy whose inner diffusion or student is a student of so many steps; only its denoiser is trained."""
    student = copy.deepcopy(former)
    if isinstance(former.flow, Diffusion):
        student.flow = make_student(former.flow, DiffusionConfig(**DIFFUSION), steps, 0.0)
    student.flow.sampler_steps, student.noise_dim = steps, student.frame_length
    student.likelihood, student.guides = "none", True
    student.requires_grad_(False)
    student.flow.denoiser.requires_grad_(True)
    return student


def halving_loss(former: SubframeDensity) -> Loss:
    """The distance from what two steps of a former student reach."""

    def loss(student: SubframeDensity, values: Tensor, cond: Tensor) -> Tensor:
        with torch.no_grad():
            parts, contexts = former.subframes(values, cond, True)
        return halve(student.flow, former.flow, parts.flatten(0, 1), contexts.flatten(0, 1))

    return loss


def trained(arm: str, frames: data.Frames, args: argparse.Namespace) -> SubframeDensity:
    """A finished arm's averaged density, which a student or a tilt begins as."""
    path = state_path(args, arm)
    if not path.exists():
        raise UserError(f"{path}: {arm} comes first")
    density = data.build(frames, ARMS.get(arm, ARMS[TEACHER]))
    average = build_average(student_of(density, STUDENTS[arm]) if arm in STUDENTS else density, EMA)
    average.load_state_dict(torch.load(path, weights_only=True)["average"])
    return average.module.eval()


def evaluations(density: Any) -> int:
    """How often a network is run for a frame that is drawn: denoisers, or couplings' networks."""
    counts: list[dict[nn.Module, int]] = []
    hooks = []
    for part in density.modules():
        if not isinstance(part, (Denoiser, AffineCoupling, EnergyNetwork, JointScore, DotProduct)):
            continue
        # A coupling's network is run from `inverse`, which is no module's call, and some layers' weights are used as
        # they are: what is called most often is called once a run.
        runs: dict[nn.Module, int] = {}
        counts.append(runs)
        layers = [part.network] if isinstance(part, Denoiser) else [part]
        if isinstance(part, AffineCoupling):
            layers = [m for m in part.modules() if isinstance(m, nn.Linear)]
        for layer in layers:
            hooks.append(layer.register_forward_hook(_count(runs)))
    cond = torch.zeros(1, density.cond_dim + density.past_dim)
    density.sample(cond, SamplingOptions(), torch.Generator())
    for hook in hooks:
        hook.remove()
    return sum(max(runs.values(), default=0) for runs in counts)


def _count(runs: dict[nn.Module, int]) -> Callable[..., None]:
    def count(module: nn.Module, *_: Any) -> None:
        runs[module] = runs.get(module, 0) + 1

    return count


def measure(density: Any, frames: data.Frames, base: Any = None) -> dict[str, Any]:
    """Likelihood, cost, and the sound at each temperature, the best of which (by DNSMOS, or distance) is named."""
    try:
        row = data.likelihood(frames, density, base)
    except UserError as error:
        # An estimate says itself when it is worth nothing; how the density sounds is measured all the same.
        print(error)
        row = {"likelihood": "refused", "refused": str(error)}
    row["evaluations"] = evaluations(density)
    row["real_time_factor"] = data.real_time_factor(frames, density, SamplingOptions(0.7))
    sounds = {str(t): data.sound(frames, data.draw(frames, density, SamplingOptions(t))) for t in TEMPERATURES}
    if "dnsmos" in sounds[str(TEMPERATURES[0])]:
        best = max(sounds, key=lambda t: sounds[t]["dnsmos"]["mean"])
    else:
        best = min(sounds, key=lambda t: sounds[t]["log_spectral_distance"]["mean"])
    return {**row, "sounds": sounds, "best_temperature": float(best), **sounds[best]}


def run_arm(arm: str, args: argparse.Namespace) -> dict[str, Any]:
    """Trains and measures an arm; of the recordings, measures the test's."""
    torch.set_num_threads(1)
    config = load_config(CONFIG, args.overrides)
    frames = data.cache(args.data, args.cache, config, args.cond, args.hours, args.test_clips)
    head = {"arm": arm, "cond": args.cond, "seed": args.seed, "test_clips": len(frames.test)}
    head["hours"] = sum(len(clip.waveform) for clip in frames.train) / config.audio.sample_rate / 3600
    if arm == "recordings":
        return {**head, **data.sound(frames, [clip.waveform.numpy() for clip in frames.test])}
    torch.manual_seed(args.seed)
    base, loss = None, lambda density, values, cond: density.loss(values, cond)
    if arm in ARMS:
        density = data.build(frames, ARMS[arm])
    elif arm in TILTS:
        base = trained(TILTS[arm][0], frames, args)
        density = data.build(frames, tilted(ARMS[TILTS[arm][0]], **TILTS[arm][1]))
        density.load_state_dict(onto_tilts(density, base.state_dict()))
    else:
        twice = 2 * STUDENTS[arm]
        before = f"{twice}-step student"
        former = trained(before if before in STUDENTS else TEACHER, frames, args)
        former = former if before in STUDENTS else student_of(former, twice)
        density, loss = student_of(former, STUDENTS[arm]), halving_loss(former)
    density, steps, minutes = train(arm, density, frames, loss, args)
    size = sum(parameter.numel() for parameter in density.parameters())
    return {**head, "parameters": size, "steps": steps, "minutes": minutes, **measure(density, frames, base)}


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Its rows, in order."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The journal as Markdown."""

    def figure(row: dict[str, Any], name: str, digits: int) -> str:
        value = row.get(name)
        if value is None:
            return MISSING
        shown = [f"{value[key]:.{digits}f}" for key in ("mean", "low", "high") if value[key] is not None]
        return shown[0] if len(shown) == 1 else f"{shown[0]} [{shown[1]}, {shown[2]}]"

    heads = ["density", "parameters", "steps", "likelihood", "bits/sample", "evaluations a frame", "real-time factor"]
    heads += ["best T", "periodicity", "DNSMOS", "log-spectral distance, dB"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        bits = figure(row, "bits_per_sample", 3)
        if row.get("standard_error"):
            bits += f" +- {row['standard_error']:.4f}"
        if "sample_size" in row:
            bits += f", ESS {row['sample_size']:.0f}"
        if "gain" in row:
            bits += f", gain {figure(row, 'gain', 4)}"
        cells = [row["arm"], f"{row['parameters']:,}" if "parameters" in row else MISSING]
        cells += [str(row.get("steps", MISSING)), row.get("likelihood", MISSING), bits]
        cells += [str(row.get("evaluations", MISSING))]
        cells += [f"{row['real_time_factor']:.3f}" if "real_time_factor" in row else MISSING]
        cells += [str(row.get("best_temperature", MISSING)), figure(row, "periodicity", 3), figure(row, "dnsmos", 2)]
        yield f"| {' | '.join([*cells, figure(row, 'log_spectral_distance', 2)])} |"


def main(argv: list[str]) -> None:
    """Runs an arm, or prints what there is."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("overrides", metavar="section.field=value", nargs="*", default=[], help="of recipes/train/compact_16k.yaml")
    add("--data", type=Path, metavar="DIR", help="what `wavetts preprocess` made")
    add("--journal", type=Path, default=Path("density.jsonl"), metavar="FILE", help="rows; states lie beside it")
    add("--arm", metavar="NAME", help="what to train; next: the first without a row")
    add("--minutes", type=float, default=15.0, metavar="X", help="of CPU time for each arm (default %(default)g)")
    add("--cond", default="mel", metavar="WHAT", help="contexts: mel, of the recording; or a model's, teacher forced")
    add("--hours", type=float, default=1.0, metavar="X", help="of training data, at most (default %(default)g)")
    add("--test-clips", type=int, default=24, metavar="N", help="utterances to measure (default %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of weights, batches and noise")
    add("--list", action="store_true", help="print the arms")
    add("--table", action="store_true", help="print the journal's table")
    args = parser.parse_args(argv)
    rows, arm = read_journal(args.journal), args.arm
    if args.list:
        print("\n".join(EVERY))
        return
    if args.table or arm is None:
        print("\n".join(table(rows)))
        return
    if arm == "next":
        arm = next((name for name in EVERY if name not in {row["arm"] for row in rows}), None)
        if arm is None:
            print("every arm has its row")
            return
    if arm not in EVERY:
        raise UserError(f"--arm {arm}: no such arm; --list names them")
    if args.data is None:
        raise UserError("--data: name the folder that `wavetts preprocess` made")
    args.cache = args.journal.with_suffix("") / "frames.pt"
    row = run_arm(arm, args)
    # Others may have written theirs in the meantime.
    rows = [*(other for other in read_journal(args.journal) if other["arm"] != arm), row]
    write_atomic(args.journal, "".join(json.dumps(one) + "\n" for one in rows))
    print("\n".join(table([row])))


if __name__ == "__main__":
    run(main)
