"""The listening page: a folder with an HTML page, its audio and its pictures, that opens from disk on any device."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from wavetts.audio.figures import alignment_image, spectrogram_image
from wavetts.audio.waveform import write_audio
from wavetts.evaluation.measures import FORCED, MEASURES, SOUND, SPEECH
from wavetts.evaluation.systems import Sentence, Speech, System
from wavetts.evaluation.tables import describe_sampling, format_figure, format_interval
from wavetts.files import make_folder, write_atomic

if TYPE_CHECKING:
    from wavetts.evaluation.evaluate import Evaluation

STYLE = """
:root { color-scheme: light dark; --back: #fbfaf8; --card: #fff; --text: #1d1d1f; --soft: #6a6a70; --line: #e3e0da;
  --accent: #b4472e; }
@media (prefers-color-scheme: dark) { :root { --back: #141416; --card: #1d1d21; --text: #ececf0; --soft: #9c9ca6;
  --line: #34343b; --accent: #f0937a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; line-height: 1.4; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
h3 { font-size: .95rem; margin: 0 0 .4rem; color: var(--accent); overflow-wrap: anywhere; }
p { margin: .2rem 0; } .soft, dt, figcaption { color: var(--soft); font-size: .82rem; }
.soft { overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 1rem 0 2rem; }
summary { cursor: pointer; color: var(--soft); font-size: .85rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--back); }
article { background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: 1rem; margin: 1rem 0; }
.system { display: grid; grid-template-columns: 17rem 1fr; gap: .5rem 1.2rem; padding-top: 1rem; margin-top: 1rem;
  border-top: 1px solid var(--line); }
audio { width: 100%; height: 2.4rem; display: block; }
dl { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .6rem 0; font-size: .82rem; }
dl div { white-space: nowrap; } dt, dd { display: inline; margin: 0; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 .6rem; min-width: 0; }
img { display: block; width: 100%; height: 9rem; border-radius: .3rem; background: #000; }
img.alignment { height: 6rem; image-rendering: pixelated; }
@media (max-width: 44rem) { th:first-child { white-space: normal; min-width: 6rem; }
  .system { grid-template-columns: 1fr; } article { padding: .8rem; } }
"""


def write_page(evaluation: Evaluation, folder: Path) -> None:
    """Writes FOLDER/index.html with the players, pictures and scores of every sentence that was spoken.

    Args:
        evaluation: with at least one spoken sentence.
        folder: created if missing; index.html is written last, when the files that it shows exist.

    Raises:
        UserError: a file cannot be written.
    """
    make_folder(folder)
    slugs = {system.name: f"{number}-{_slug(system.name)}" for number, system in enumerate(evaluation.systems)}
    articles = [_article(evaluation, sentence, folder, slugs) for sentence in evaluation.sentences]
    title = ", ".join(system.name for system in evaluation.systems if system.kind != "recordings")
    page = f"""<!doctype html>
<html lang="{escape(evaluation.results["language"])}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: listen and compare</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{_about(evaluation.results)}
{_summary(evaluation.results)}
</header>
<main>
{"".join(articles)}
</main>
</body>
</html>
"""
    write_atomic(folder / "index.html", page)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "system"


def _about(results: dict[str, Any]) -> str:
    settings = results["settings"]
    text = (
        f"{results['spoken']} sentences of {results['source']}; {describe_sampling(settings)}, seed "
        f"{settings['seed']}; recogniser {results['recogniser']}; wavetts {results['wavetts']}. Means with "
        f"{results['bootstrap']['level']:.0%} intervals; arrows point to what is better."
    )
    missing = [f"Not measured, {name}: {reason}." for name, reason in results["missing"].items()]
    return "".join(f'<p class="soft">{escape(line)}</p>' for line in [text, *missing])


def _summary(results: dict[str, Any]) -> str:
    """Tables of means, measures by systems; only the table about the speech is unfolded."""
    speech, rest = _table(results, (SPEECH,)), _table(results, (FORCED, SOUND))
    return speech + (
        f"<details><summary>Likelihood, attention and robustness</summary>{rest}</details>" if rest else ""
    )


def _table(results: dict[str, Any], sections: tuple[str, ...]) -> str:
    systems = results["systems"]
    head = "".join(f"<th>{escape(system['name'])}</th>" for system in systems)
    lines = []
    for measure in MEASURES:
        figures = [system["figures"].get(measure.key) for system in systems]
        if measure.section not in sections or not any(figures):
            continue
        cells = "".join(
            f"<td>{'-' if figure is None else escape(format_interval(measure, figure))}</td>" for figure in figures
        )
        label = measure.label + (" (teacher forced)" if measure.section == FORCED else "")
        arrow = {"lower": " ↓", "higher": " ↑", "": ""}[measure.better]
        lines.append(f"<tr><th>{escape(label + arrow)}</th>{cells}</tr>")
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{"".join(lines)}</table></div>' if lines else ""


def _article(evaluation: Evaluation, sentence: Sentence, folder: Path, slugs: dict[str, str]) -> str:
    spoken = [(system, system.speech[sentence.id]) for system in evaluation.systems if sentence.id in system.speech]
    # All pictures of a sentence have the same time scale.
    longest = max((len(speech.audio) / speech.rate for _, speech in spoken), default=0.0)
    parts = [
        _system(
            system, speech, evaluation.rows[system.name][sentence.id], folder, slugs[system.name], sentence, longest
        )
        for system, speech in spoken
    ]
    return (
        f'<article id="{escape(quote(sentence.id), quote=True)}">\n<h2>{escape(sentence.text)}</h2>\n'
        f'<p class="soft">{escape(sentence.id)}</p>\n{"".join(parts)}</article>\n'
    )


def _system(
    system: System, speech: Speech, row: dict[str, Any], folder: Path, slug: str, sentence: Sentence, longest: float
) -> str:
    """The HTML of one system's reading of a sentence; also writes its audio and pictures."""
    title = f"<h3>{escape(system.name)}</h3>"
    if not len(speech.audio):
        reason = speech.error or "it stopped before the first sound"
        return f'<section class="system"><div>{title}<p>Nothing to hear: {escape(reason)}</p></div></section>\n'
    audio = Path("wavs", slug, f"{sentence.id}.wav")
    write_audio(folder / audio, speech.audio, speech.rate)
    scores = "".join(f"<div><dt>{escape(label)}</dt> <dd>{escape(value)}</dd></div>" for label, value in _scores(row))
    heard = f'<p class="soft">heard: {escape(row["heard"] or "nothing")}</p>' if "heard" in row else ""
    pictures = "".join(_pictures(speech, folder, slug, sentence.id, longest))
    return (
        f'<section class="system"><div>{title}<audio controls preload="none" src="{_link(audio)}"></audio>'
        f"<dl>{scores}</dl>{heard}</div><div>{pictures}</div></section>\n"
    )


def _pictures(speech: Speech, folder: Path, slug: str, name: str, longest: float) -> Iterator[str]:
    seconds = len(speech.audio) / speech.rate
    width = f"{100 * seconds / longest:.1f}%"
    path = Path("images", slug, f"{name}.png")
    write_atomic(folder / path, spectrogram_image(speech.audio, speech.rate))
    yield _figure(path, "spectrogram", width, f"0 to 8 kHz, {seconds:.2f} s at {speech.rate} Hz")
    if speech.result is not None:
        alignment = np.asarray(speech.result.alignment)
        path = Path("images", slug, f"{name}.alignment.png")
        write_atomic(folder / path, alignment_image(alignment))
        shape = f"attention: {len(alignment)} frames to the right, {alignment.shape[1]} tokens upwards"
        yield _figure(path, "alignment", width, shape)


def _figure(path: Path, kind: str, width: str, caption: str) -> str:
    return (
        f'<figure><img class="{kind}" loading="lazy" alt="{kind}" style="width: {width}" src="{_link(path)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _link(path: Path) -> str:
    return escape(quote(path.as_posix()), quote=True)


def _scores(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for measure in MEASURES:
        value = row.get(measure.key)
        if measure.section == SPEECH and value is not None:
            yield measure.label, format_figure(measure, value)
        # Only failures that occurred; clicks can be told from the mean over many sentences only.
        elif measure.section == SOUND and measure.percent and value:
            flag = measure.weight is None
            yield measure.label.replace("sentences ", ""), "yes" if flag else format_figure(measure, value)
