"""The results of an evaluation as Markdown tables and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from wavetts.evaluation.measures import FORCED, MEASURES, SOUND, SPEECH, Measure

MISSING = "-"


def render(results: dict[str, Any]) -> str:
    """Tables of the results of `evaluate`: measures by systems, means with intervals.

    They are Markdown with padded cells, readable in a terminal as well.
    """
    systems = results["systems"]
    parts = [_heading(results)]
    forced = [system for system in systems if "teacher_forced" in system]
    if forced:
        rows = _forced_rows(forced) + _figure_rows(FORCED, forced)
        parts += [f"### {FORCED}", table(["", *_names(forced)], rows)]
    for section in (SPEECH, SOUND):
        rows = _figure_rows(section, systems)
        if rows:
            parts += [f"### {section}", table(["", *_names(systems)], rows)]
    if results["paired"]:
        parts += ["### Differences", _paired(results["paired"])]
    if speeds := [(system["name"], speed) for system in systems for speed in system.get("speed", [])]:
        parts += ["### Speed", render_speed(speeds)]
    parts += [f"Not measured, {name}: {reason}." for name, reason in results["missing"].items()]
    return "\n\n".join(parts) + "\n"


def render_speed(speeds: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """A table of pairs of a system's name and a result of `measure_speed`."""
    head = ["system", "threads", "batch", "real-time factor", "fastest", "first audio, ms", "peak memory, MB"]
    rows = []
    for name, speed in speeds:
        first = MISSING if speed["first_audio"] is None else f"{1000 * speed['first_audio']:.0f}"
        factors = [f"{speed[key]:.3f}" for key in ("real_time_factor", "fastest")]
        rows.append(
            [name, str(speed["threads"]), str(speed["batch"]), *factors, first, f"{speed['memory'] / 2**20:.0f}"]
        )
    return table(head, rows)


def render_csv(results: dict[str, Any]) -> str:
    """One line per utterance and system; missing figures are empty, lists are written as Python prints them."""
    columns = list(dict.fromkeys(name for row in results["rows"] for name in row))
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(results["rows"])
    return output.getvalue()


def format_figure(measure: Measure, value: float) -> str:
    """A value as the tables show it."""
    return f"{100 * value:.{measure.digits}f} %" if measure.percent else f"{value:.{measure.digits}f}"


def format_interval(measure: Measure, figure: dict[str, Any]) -> str:
    """A mean with its interval in brackets."""
    if figure["low"] is None:
        return format_figure(measure, figure["mean"])
    factor = 100 if measure.percent else 1
    low, high = (f"{factor * figure[end]:.{measure.digits}f}" for end in ("low", "high"))
    return f"{format_figure(measure, figure['mean'])} [{low}, {high}]"


def describe_sampling(settings: dict[str, Any]) -> str:
    """The temperature and guidance that were set for an evaluation, in words."""
    given = {name: settings[name] for name in ("temperature", "guidance")}
    own = " and ".join(name for name, value in given.items() if value is None)
    parts = [f"{name} {value:g}" for name, value in given.items() if value is not None]
    return ", ".join([*parts, f"each model's own {own}"] if own else parts)


def _heading(results: dict[str, Any]) -> str:
    lines = [f"{results['source']}: {results['utterances']} utterances"]
    if results["spoken"]:
        settings = results["settings"]
        lines[0] += f", the first {results['spoken']} of them spoken"
        lines.append(
            f"{describe_sampling(settings)}, seed {settings['seed']}, {settings['retries']} new tries; "
            f"recogniser {results['recogniser']}"
        )
    boot = results["bootstrap"]
    lines.append(f"In brackets: {boot['level']:.0%} intervals, bootstrap over utterances")
    return ". ".join(lines) + "."


def _forced_rows(systems: Sequence[dict[str, Any]]) -> list[list[str]]:
    """What likelihoods depend on (kind of likelihood, sample rate, dither, utterances), or why a system has none."""
    forced = [system["teacher_forced"] for system in systems]
    cells = [
        (f"not measured: {one['missing']}", MISSING, MISSING)
        if "missing" in one
        else (
            _likelihood(one),
            f"{one['sample_rate']} Hz, {one['dither']:g}",
            f"{one['utterances']} ({one['minutes']:.1f} min)",
        )
        for one in forced
    ]
    labels = ("likelihood", "sample rate, dither", "utterances")
    return [[label, *column] for label, column in zip(labels, zip(*cells, strict=True), strict=True)]


def _likelihood(forced: dict[str, Any]) -> str:
    """Its tag, and how far its own noise may have moved it."""
    error, size = forced.get("standard_error"), forced.get("sample_size")
    words = [forced["likelihood"]]
    words += [f"standard error {error:.1g} bits"] if error else []
    words += [f"effective sample size {size:.0f}"] if size else []
    return ", ".join(words)


def _names(systems: Sequence[dict[str, Any]]) -> list[str]:
    return [system["name"] for system in systems]


def _figure_rows(section: str, systems: Sequence[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for measure in MEASURES:
        figures = [system["figures"].get(measure.key) for system in systems]
        if measure.section == section and any(figures):
            cells = [MISSING if figure is None else format_interval(measure, figure) for figure in figures]
            rows.append([measure.label, *cells])
    return rows


def _paired(paired: list[dict[str, Any]]) -> str:
    """Differences on the same sentences, with a star where the interval does not contain zero."""
    rows = []
    for measure in MEASURES:
        figures = [pair["figures"].get(measure.key) for pair in paired]
        # Rows of exact zeros, as of failures that did not occur, are left out.
        if not any(figure and (figure["mean"] or figure["low"] or figure["high"]) for figure in figures):
            continue
        label = measure.label + (" (teacher forced)" if measure.section == FORCED else "")
        label += ", points" if measure.percent else ""
        rows.append([label, *(_difference(measure, figure) for figure in figures)])
    head = ["* interval without 0", *(f"{pair['system']} - {pair['minus']}" for pair in paired)]
    return table(head, rows)


def _difference(measure: Measure, figure: dict[str, Any] | None) -> str:
    if figure is None:
        return MISSING
    sure = figure["low"] is not None and (figure["low"] > 0 or figure["high"] < 0)
    sign = "+" if figure["mean"] > 0 else ""
    # Percentage points, as the label says: a percent sign would read as a relative difference.
    return sign + format_interval(measure, figure).replace(" %", "") + (" *" if sure else "")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with padded cells; the first column is left-aligned, the others are right-aligned."""
    head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in [head, *rows]]
    widths = [max(3, *(len(row[column]) for row in [head, *rows])) for column in range(len(head))]
    lines = [head, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], *rows]
    cells = [[row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))] for row in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
