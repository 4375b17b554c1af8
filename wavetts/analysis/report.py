"""The results of `compare.analyse` as a table and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wavetts.analysis.compare import PAIRS
from wavetts.audio.figures import new_figure
from wavetts.evaluation.tables import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Keys of the figures, and their headings.
COLUMNS = {"weak": "weak MCC", "strong": "strong MCC", "forward": "R2 A to B", "backward": "R2 B to A"}


def render(results: dict[str, Any]) -> str:
    """A Markdown table of all features and controls, readable in a terminal as well."""
    halves = "half" if results["splits"] == 1 else f"{results['splits']} halves"
    lines = [
        f"A: {results['first']}",
        f"B: {results['second']}",
        f"{results['data']}: {results['utterances']} utterances, {results['frames']} frames; fitted on {halves} of the "
        "utterances, scored on the others.",
    ]
    if results["same_base"] is not None:
        state = "the same, as theory asks" if results["same_base"] else "not the same: of f and g theory says nothing"
        lines.append(f"What the tilts stand on: {state}.")
    rows = []
    for name, figures in results["features"].items():
        for pair in PAIRS:
            part = figures[pair]
            sizes = [" / ".join(map(str, values)) for values in (figures["values"], part["components"])]
            cells = [f"{part[key]:.3f} ±{part['spread'][key]:.3f}" for key in COLUMNS]
            rows.append([name if pair == PAIRS[0] else "", pair, *sizes, *cells])
    head = ["feature", "A against", "values", "components", *COLUMNS.values()]
    return "\n".join(lines) + "\n\n" + table(head, rows) + "\n"


def correlation_figure(results: dict[str, Any]) -> Figure:
    """The correlation of each canonical pair on held-out utterances, a panel for each feature."""
    features = results["features"]
    figure = new_figure(4 * len(features), 4)
    panels = figure.subplots(1, len(features), sharey=True, squeeze=False)[0]
    for axes, (name, figures) in zip(panels, features.items(), strict=True):
        for pair, style in zip(PAIRS, ("-", ":", "--"), strict=True):
            values = figures[pair]["canonical"]
            axes.plot(range(1, len(values) + 1), values, style, marker="." if len(values) < 30 else "", label=pair)
        axes.set(title=name, xlabel="canonical pair", ylim=(-0.2, 1.02))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("held-out correlation with A")
    panels[-1].legend()
    return figure
