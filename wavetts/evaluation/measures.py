"""The measures of an evaluation: how the figures of utterances are averaged, and how tables show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from wavetts.evaluation.intervals import mean_interval, paired_interval

# Figures by system, then by sentence id.
Rows = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        key: its key in the figures of an utterance.
        label: its name in tables.
        section: the table that shows it.
        weight: key of an utterance's weight in the mean; None: a plain mean.
        digits: number of decimals that tables show.
        percent: whether it is a share, shown as a percentage.
        better: whether lower or higher values are better; "" if neither.
    """

    key: str
    label: str
    section: str
    weight: str | None = None
    digits: int = 2
    percent: bool = False
    better: Literal["lower", "higher", ""] = "lower"


FORCED, SPEECH, SOUND = "Teacher forced", "Speech", "Robustness"

MEASURES = (
    Measure("forced_bits_per_sample", "bits/sample", FORCED, "forced_frames", 4),
    Measure("forced_nll", "nats/sample of the scaled signal", FORCED, "forced_frames", 4),
    Measure("forced_stop_accuracy", "stop token right, of frames", FORCED, "forced_frames", 2, True, "higher"),
    Measure("forced_stop_recall", "stop token right, of ends", FORCED, None, 1, True, "higher"),
    Measure("forced_coverage", "coverage of the tokens", FORCED, None, 3, better="higher"),
    Measure("forced_diagonality", "diagonality", FORCED, None, 3, better="higher"),
    Measure("forced_text_gain", "nats/frame lost if the text is shuffled", FORCED, "forced_frames", better="higher"),
    Measure("forced_skipped", "tokens skipped", FORCED, "forced_tokens", 2, True),
    Measure("forced_repeated", "tokens repeated", FORCED, "forced_tokens", 2, True),
    Measure("mcd", "MCD", SPEECH),
    Measure("msd", "MSD", SPEECH),
    Measure("f0_rmse", "log-F0 RMSE", SPEECH, digits=3),
    Measure("voicing_error", "voicing error", SPEECH, digits=1, percent=True),
    Measure("cer", "CER", SPEECH, "chars", 1, True),
    Measure("wer", "WER", SPEECH, "words", 1, True),
    Measure("deletions", "words lost", SPEECH, "words", 1, True),
    Measure("insertions", "words added", SPEECH, "words", 1, True),
    Measure("dnsmos", "DNSMOS", SPEECH, better="higher"),
    Measure("dnsmos_signal", "DNSMOS, speech", SPEECH, better="higher"),
    Measure("dnsmos_background", "DNSMOS, background", SPEECH, better="higher"),
    Measure("dnsmos_p808", "DNSMOS, P.808", SPEECH, better="higher"),
    Measure("duration_ratio", "duration / recording's", SPEECH, "recording_seconds", better=""),
    Measure("failed", "sentences failed", SOUND, None, 1, True),
    Measure("retried", "sentences tried again", SOUND, None, 1, True),
    Measure("missing_stop", "missing stops", SOUND, None, 1, True),
    Measure("skipping", "sentences with a skip", SOUND, None, 1, True),
    Measure("skipped", "tokens skipped", SOUND, "tokens", 2, True),
    Measure("repeated", "tokens repeated", SOUND, "tokens", 2, True),
    Measure("clipped_sentence", "sentences that clip", SOUND, None, 1, True),
    Measure("clipped", "clipped samples per million", SOUND, "samples", 1),
    Measure("noisy", "sentences with loud noise", SOUND, None, 1, True),
    Measure("boundary_db", "frame boundaries, dB", SOUND, None, 2),
)


def summarise_rows(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and interval of every measure that at least one utterance has, by key; see `mean_interval`."""
    rows, figures = list(rows), {}
    for measure in MEASURES:
        pairs = [_pair(measure, row) for row in rows if _holds(measure, row)]
        if pairs:
            figures[measure.key] = mean_interval(*_columns(pairs))
    return figures


def compare_with(baseline: str, rows: Rows) -> list[dict[str, Any]]:
    """Paired differences of every other system from a baseline, on the sentences that both have.

    Args:
        baseline: name of a system.
        rows: the figures of all systems.

    Returns:
        For each other system "system", "minus" (the baseline) and "figures": by measure the difference with its
        interval, see `paired_interval`. Systems without a common figure are left out.
    """
    compared = []
    for system in rows:
        figures = {}
        for measure in MEASURES if system != baseline else ():
            both = [
                (_pair(measure, row), _pair(measure, base))
                for name, row in rows[system].items()
                if _holds(measure, row) and _holds(measure, base := rows[baseline].get(name, {}))
            ]
            if both:
                theirs, ours = ([pair[side] for pair in both] for side in (0, 1))
                figures[measure.key] = paired_interval(_columns(theirs), _columns(ours))
        if figures:
            compared.append({"system": system, "minus": baseline, "figures": figures})
    return compared


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [value for value, _ in pairs], [weight for _, weight in pairs]


def _holds(measure: Measure, row: dict[str, Any]) -> bool:
    return row.get(measure.key) is not None and (measure.weight is None or row.get(measure.weight, 0) > 0)


def _pair(measure: Measure, row: dict[str, Any]) -> tuple[float, float]:
    return row[measure.key], 1.0 if measure.weight is None else row[measure.weight]
