"""Statistics of a preprocessed corpus."""

from __future__ import annotations

from collections import Counter

import numpy as np

PERCENTILES = (0, 5, 50, 95, 100)


def build_report(manifests: dict[str, list[dict]], dropped: list[dict], clipped: dict[str, int]) -> dict:
    """Computes the statistics of a corpus.

    Args:
        manifests: the lines of each split's manifest; at least one clip in all.
        dropped: objects with "id" and "reason".
        clipped: number of samples at full scale, by id.

    Returns:
        JSON-able: "clips" and "hours" by split, "dropped" by reason, "clipped", "seconds" and "chars_per_second" by
        percentile, "speakers" (clips by speaker), "symbols" (the characters of the training set's phonemes).
    """
    clips = [clip for items in manifests.values() for clip in items]
    rates = [len(clip["spoken"]) / clip["seconds"] for clip in clips]
    return {
        "clips": {split: len(items) for split, items in manifests.items()},
        "hours": {split: round(sum(clip["seconds"] for clip in items) / 3600, 4) for split, items in manifests.items()},
        "dropped": dict(Counter(item["reason"] for item in dropped).most_common()),
        "clipped": clipped,
        "seconds": _percentiles([clip["seconds"] for clip in clips]),
        "chars_per_second": _percentiles(rates),
        "speakers": dict(sorted(Counter(clip["speaker"] for clip in clips if "speaker" in clip).items())),
        "symbols": "".join(sorted({sign for clip in manifests["train"] for sign in clip["phonemes"]})),
    }


def render_report(report: dict) -> str:
    """The report as Markdown."""
    lines = [
        "# Preprocessed corpus",
        "",
        f"{report['sample_rate']} Hz, language {report['language']}, espeak-ng {report['espeak_version']}, "
        f"text front end {report['front_end_version']}.",
        f"Columns of the corpus: {report['columns']}.",
        "",
        "| split | clips | hours |",
        "|---|---|---|",
        *(f"| {split} | {count} | {report['hours'][split]:.2f} |" for split, count in report["clips"].items()),
        "",
        "| percentile | " + " | ".join(report["seconds"]) + " |",
        "|---" * (1 + len(PERCENTILES)) + "|",
        "| seconds | " + " | ".join(f"{value:.2f}" for value in report["seconds"].values()) + " |",
        "| characters a second | " + " | ".join(f"{value:.1f}" for value in report["chars_per_second"].values()) + " |",
        "",
        "Dropped (each clip with its detail is in dropped.jsonl):",
        "",
        *([f"- {reason}: {count}" for reason, count in report["dropped"].items()] or ["- nothing"]),
        "",
        f"Clipped, yet kept: {len(report['clipped'])} clips"
        + (f", most in {max(report['clipped'], key=report['clipped'].get)}" if report["clipped"] else "")
        + ".",
        "",
        f"Phoneme signs in train: `{report['symbols']}`",
    ]
    if report["speakers"]:
        lines += ["", "Speakers: " + ", ".join(f"{name} ({count})" for name, count in report["speakers"].items())]
    return "\n".join(lines) + "\n"


def _percentiles(values: list[float]) -> dict[str, float]:
    return {str(q): round(float(np.percentile(values, q)), 3) for q in PERCENTILES}
