"""ICE-BeeM's simulations (Khemakhem et al. 2020, section 5.1): does a dot-product tilt find the sources of a mixture?

Gaussian sources that change from segment to segment are mixed by a random network. A tilt q(x) exp f(x) . g(segment)
learns to tell the rows from a flow's draws (flow contrastive estimation), and sees neither sources nor mixture.

tcl    independent sources, whose variances change
imca   the same, but they depend on each other within a segment as well
means  independent sources, whose means change too

L layers mix by L - 1 leaky ReLUs, each with a random orthogonal matrix after it, as in the authors' public code.
Where variances change alone, f can give the sources' sizes, up to a linear map. Where means do too, and f is augmented
by its squares, it is to give the sources up to permutation and scale.

Scored are rows that neither the tilt nor what aligns its features was fitted on: the weak MCC (after CCA), the strong
one (features as they are), and the strong one after independent component analysis of the features, as published.

Example:
    python benchmarks/icebeem.py --samples 100 500 2000 --output icebeem.json
    python benchmarks/icebeem.py --data tcl --layers 2 --segments 5 10 20 40 --samples 500
"""

from __future__ import annotations

import copy
import itertools
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from icebeem_data import COMPONENTS, Kind, Simulation, simulate, target
from icebeem_model import Energy, Marginal
from torch import Tensor, nn

from wavetts.analysis.similarity import Components, Matching, similarity
from wavetts.errors import Parser, run
from wavetts.evaluation.tables import MISSING, table
from wavetts.files import write_atomic
from wavetts.model.density.energy.heads import Augmentation
from wavetts.model.density.energy.objectives import flow_contrastive
from wavetts.progress import progress_bar

SEGMENTS = 20
# Draws of the flow that the energy is told from, and its learning rate.
POOL, RATE = 50_000, 3e-3
WIDTH = 32
# ICE-BeeM's curves in the figure of the paper and of its public code, read off by eye: a coefficient that is not
# linear (RDC), in sample, the best of four stages of training after FastICA.
PUBLISHED = {
    ("tcl", 2): {100: 0.85, 200: 0.89, 500: 0.91, 1000: 0.93, 2000: 0.94},
    ("tcl", 4): {100: 0.66, 200: 0.72, 500: 0.78, 1000: 0.79, 2000: 0.81},
    ("imca", 2): {100: 0.73, 200: 0.77, 500: 0.78, 1000: 0.79, 2000: 0.80},
    ("imca", 4): {100: 0.60, 200: 0.61, 500: 0.63, 1000: 0.70, 2000: 0.71},
}


@dataclass(frozen=True)
class Schedule:
    """Optimiser steps.

    Attributes:
        flow: of maximum likelihood, first.
        starts: energies that are begun; the one with the least loss goes on, as some rotations lead nowhere.
        start: steps of each of them.
        energy: of the one that goes on, in all.
        rounds: how often the flow is trained against the energy meanwhile.
        contrast: steps of each of these.
        batch: true rows.
        draws: of the flow, that each of them is told from.
    """

    flow: int = 300
    starts: int = 4
    start: int = 400
    energy: int = 4000
    rounds: int = 2
    contrast: int = 10
    batch: int = 256
    draws: int = 64


def train(data: Simulation, layers: int, augmentation: Augmentation, schedule: Schedule, seed: int) -> Callable:
    """Trains on a simulation, and returns f: rows (N, d) to features (N, d)."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    white = Components.fit(data.observed, variance=1.0)
    rows = torch.as_tensor(white(data.observed), dtype=torch.float32)
    count = int(data.segments.max()) + 1
    segments = torch.as_tensor(data.segments)
    flow = Marginal(COMPONENTS)

    def true() -> tuple[Tensor, Tensor]:
        index = torch.randint(len(rows), (schedule.batch,), generator=generator)
        return rows[index], index

    def draw(number: int) -> Tensor:
        return flow.inverse(torch.randn(number, COMPONENTS, generator=generator), torch.zeros(number, 1))

    def density(of: Marginal, x: Tensor) -> Tensor:
        return of.log_prob(x, torch.zeros(len(x), 1))

    descend(flow, 2e-3, schedule.flow, lambda: -density(flow, true()[0]).mean())
    frozen = copy.deepcopy(flow).requires_grad_(False)

    def contrast(e: Tensor, tilts: Sequence[Tensor], log_q: Sequence[Tensor], log_flow: Sequence[Tensor]) -> Tensor:
        """Of true rows of the segments e, and of draws that are shared by all of them."""
        model_true, model_drawn = (
            (log_q[0][:, None] + tilts[0]).gather(1, e[:, None])[:, 0],
            log_q[1][:, None] + tilts[1],
        )
        flow_drawn = log_flow[1].expand(len(e), -1)
        return flow_contrastive(model_true, log_flow[0], model_drawn.T[e], flow_drawn).mean()

    def flow_loss() -> Tensor:
        x, index = true()
        both = x, draw(schedule.draws)
        log_flow = [density(flow, y) for y in both]
        tilts, log_q = [energy(y) for y in both], [density(frozen, y) for y in both]
        return -contrast(segments[index], tilts, log_q, log_flow) - log_flow[0].mean()

    def known() -> tuple[Tensor, list[list[Tensor]]]:
        """Draws of the flow; and the log-densities of rows and draws by the frozen flow, and by the flow as it is."""
        with torch.no_grad():
            pool = draw(POOL)
            return pool, [[density(of, y) for y in (rows, pool)] for of in (frozen, flow)]

    def descend_energy(energy: Energy, steps: range, pool: Tensor, logs: list[list[Tensor]]) -> float:
        """So many steps of the schedule; the mean loss of the last half of them."""
        optimizer, losses = torch.optim.Adam(energy.parameters(), RATE), []
        for step in steps:
            optimizer.param_groups[0]["lr"] = RATE * min(1.0, 2 * (1 - step / schedule.energy))
            x, index = true()
            drawn = torch.randint(len(pool), (schedule.draws,), generator=generator)
            tilts = energy(torch.cat([x, pool[drawn]])).split([len(x), len(drawn)])
            parts = [[part[places] for part, places in zip(each, (index, drawn), strict=True)] for each in logs]
            optimizer.zero_grad()
            loss = contrast(segments[index], tilts, *parts)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses[len(losses) // 2 :]))

    # The flow stands still while the energy is trained: its draws and densities are computed once.
    start = known()
    tries = [Energy(layers, count, augmentation, WIDTH) for _ in range(schedule.starts)]
    found = [descend_energy(each, range(schedule.start), *start) for each in tries]
    energy = tries[int(np.argmin(found))]
    ends = np.linspace(schedule.start, schedule.energy, schedule.rounds + 2).astype(int)
    for number, (first, last) in enumerate(itertools.pairwise(ends)):
        if number:
            descend(flow, 3e-4, schedule.contrast, flow_loss)
            start = known()
        descend_energy(energy, range(first, last), *start)

    def features(observed: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            values = energy.score.features(torch.as_tensor(white(observed), dtype=torch.float32))
        return values[:, :COMPONENTS].double().numpy()

    return features


def descend(module: nn.Module, rate: float, steps: int, loss: Callable[[], Tensor]) -> None:
    """So many steps of Adam on a module."""
    optimizer = torch.optim.Adam(module.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


@dataclass(frozen=True)
class Cell:
    """A simulation and what it gave.

    Attributes:
        kind: of the data.
        layers: L.
        segments: their number.
        samples: of each.
        seed: of data and training.
        weak: mean correlation after CCA.
        strong: mean correlation of matched features.
        unmixed: the same after independent component analysis.
        seconds: of CPU time.
    """

    kind: Kind
    layers: int
    segments: int
    samples: int
    seed: int
    weak: float
    strong: float
    unmixed: float
    seconds: float


def measure(
    kind: Kind,
    layers: int,
    segments: int,
    samples: int,
    seed: int,
    schedule: Schedule,
    augmentation: Augmentation | None = None,
) -> Cell:
    """Trains on a simulation and scores the features; f is augmented by its squares where means change, if not told."""
    start = time.process_time()
    training, other = simulate(kind, layers, segments, samples, seed)
    features = train(training, layers, augmentation or ("squared" if kind == "means" else "none"), schedule, seed)
    found, sought = features(other.observed), target(kind, other.sources)
    fitted = np.random.default_rng(seed).random(len(found)) < 0.5
    scores = similarity(found, sought, fitted, variance=1.0)
    unmixed = unmix(found, fitted, seed)
    pairs = Matching.fit(unmixed[fitted], sought[fitted])
    strong = float(pairs.correlations(unmixed[~fitted], sought[~fitted]).mean())
    seconds = time.process_time() - start
    return Cell(kind, layers, segments, samples, seed, scores.weak, scores.strong, strong, seconds)


def unmix(features: np.ndarray, fitted: np.ndarray, seed: int) -> np.ndarray:
    """Independent components of features (N, d), found on some rows."""
    from sklearn.decomposition import FastICA

    analysis = FastICA(whiten="unit-variance", max_iter=1000, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped before its tolerance was reached
        analysis.fit(features[fitted])
    return analysis.transform(features)


def render(cells: Sequence[Cell]) -> str:
    """A table: a row for each kind of data, number of layers and of segments; means over the seeds."""
    samples = sorted({cell.samples for cell in cells})
    rows = []
    for key in dict.fromkeys((cell.kind, cell.layers, cell.segments) for cell in cells):
        kind, layers, segments = key
        mine = [cell for cell in cells if (cell.kind, cell.layers, cell.segments) == key]
        for name in ("weak", "strong", "unmixed"):
            columns = [[getattr(cell, name) for cell in mine if cell.samples == count] for count in samples]
            values = [f"{np.mean(column):.3f}" if column else MISSING for column in columns]
            rows.append([f"{kind}, {layers} layers" if name == "weak" else "", str(segments), name, *values])
        if published := PUBLISHED.get((kind, layers)) if segments == SEGMENTS else None:
            values = [f"{published[count]:.2f}" if count in published else MISSING for count in samples]
            rows.append(["", str(segments), "published (RDC, in sample)", *values])
    return table(["data", "segments", "MCC", *(f"{count} a segment" for count in samples)], rows)


def main(argv: list[str]) -> None:
    """Measures all combinations, and prints the table."""
    parser = Parser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", nargs="+", choices=["tcl", "imca", "means"], default=["tcl", "imca", "means"])
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 4], metavar="L")
    parser.add_argument("--segments", type=int, nargs="+", default=[SEGMENTS], metavar="E")
    parser.add_argument("--samples", type=int, nargs="+", default=[100, 200, 500, 1000, 2000], metavar="N")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="of data and training (default %(default)s)")
    parser.add_argument(
        "--augmentation", choices=["none", "nonnegative", "squared"], help="of f (default: by the data)"
    )
    parser.add_argument("--steps", type=int, default=4000, metavar="N", help="of the tilt (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--tiny", action="store_true", help="hardly trained, to see that everything runs")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    schedule = Schedule(energy=args.steps)
    axes = [args.data, args.layers, args.segments, args.samples, range(args.seeds)]
    if args.tiny:
        schedule = Schedule(flow=20, starts=2, start=5, energy=20, rounds=1, contrast=5, batch=64, draws=16)
        axes = [["tcl", "imca", "means"], [2], [4], [50], [0]]
    cells = []
    for cell in progress_bar(list(itertools.product(*axes)), desc="simulations"):
        cells.append(measure(*cell, schedule=schedule, augmentation=args.augmentation))
        if args.output is not None:
            write_atomic(args.output, json.dumps([asdict(each) for each in cells], indent=2) + "\n")
    print(render(cells))


if __name__ == "__main__":
    run(main)
