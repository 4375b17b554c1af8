"""What the demo shows of speech: figures in words, what was read, pictures that fit the page."""

from __future__ import annotations

import dataclasses
import html
from typing import TYPE_CHECKING

from wavetts.audio.figures import alignment_figure, spectrogram_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wavetts.demo.actions import Spoken

CSS = """
.gradio-container { width: 100% !important; max-width: 1120px !important; margin: 0 auto !important; }
.status { padding: .2rem 0; }
.status .bar { height: .5rem; margin-bottom: .5rem; border-radius: .25rem; background: var(--border-color-primary); }
.status .bar > div { height: 100%; border-radius: .25rem; background: var(--primary-500); }
@media (min-width: 720px) { .card { max-width: calc(50% - var(--layout-gap) / 2) !important; } }
.read > div { padding: .6rem 0; border-bottom: 1px solid var(--border-color-primary); }
.read > div:last-child { border-bottom: none; }
.read .phones { font-family: var(--font-mono); overflow-wrap: anywhere; color: var(--primary-700); }
.dark .read .phones { color: var(--primary-300); }
.read .note { font-size: .85rem; color: var(--body-text-color-subdued); }
.figure img { width: 100%; height: auto !important; max-height: none !important; }
"""
# Text of figures, whose background is transparent: it can be read on a light and on a dark page.
_GREY = "#868e9c"
# In inches: half a wide page or all of a phone, at sizes of letters that can be read on both.
_WIDTH, _HEIGHT, _TOKEN_HEIGHT = 5.2, 4.2, 0.095
_MOST_TOKENS = 120
_MOST_ROWS = 200  # of the table of tokens


def line(text: str) -> str:
    """A line of HTML that tells how it stands."""
    return f'<div class="status">{text}</div>'


def bar(done: int, total: int) -> str:
    """A progress bar."""
    return f'<div class="bar"><div style="width: {done / total:.0%}"></div></div>'


def figures(spoken: Spoken) -> str:
    """Durations and speed, and what went wrong; empty before the first sound."""
    if not spoken.seconds:
        return ""
    parts = [f"<b>{spoken.seconds:.1f} s</b> of speech made in <b>{spoken.working:.1f} s</b>"]
    if spoken.first:
        parts.append(f"the first sound after {spoken.first:.2f} s")
    parts.append(f"real-time factor {spoken.real_time_factor:.2f}")
    text = ", ".join(parts) + "."
    broken = sum(not take.complete for take in spoken.result.takes) if spoken.result else 0
    return text + (f" {broken} of {len(spoken.pieces)} sentences broke off: try another seed." if broken else "")


def sentences(spoken: Spoken) -> str:
    """What the front end made of a finished text, and what became of it, as HTML."""
    assert spoken.result is not None
    parts = []
    for take in spoken.result.takes:
        state = "read to its end" if take.complete else "broke off" if take.stopped else "did not stop"
        note = f"{state}, {len(take.audio) / spoken.voice.sample_rate:.2f} s"
        if take.piece.unknown:
            note += f"; left out, unknown to this voice: {' '.join(take.piece.unknown)}"
        text, phones, note = map(html.escape, (take.piece.spoken, take.piece.transcript, note))
        parts.append(f'<div>{text}<div class="phones">{phones}</div><div class="note">{note}</div></div>')
    return f'<div class="read"><b>What was read</b>{"".join(parts)}{_explained(spoken)}</div>'


def _explained(spoken: Spoken) -> str:
    """The tokens of a text that are said in other words than they are written, with their classes."""
    tokens = [token for piece in spoken.pieces for token in spoken.voice.explain(piece.written)]
    rows = [token for token in tokens if token[1] not in ("word", "mark") and token[0] != token[2]][:_MOST_ROWS]
    if not rows:
        return ""
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(part)}</td>" for part in row) + "</tr>" for row in rows)
    return f"<details><summary>What was said in other words</summary><table>{cells}</table></details>"


def spectrogram(spoken: Spoken, title: str = "Spectrogram and waveform") -> Figure:
    """Spectrogram over waveform of a finished text."""
    assert spoken.result is not None
    figure = spectrogram_figure(spoken.result.audio, spoken.voice.sample_rate, title)
    figure.axes[1].lines[0].set_color("#14b8a6")
    return _for_page(figure, _HEIGHT)


def alignment(spoken: Spoken) -> Figure:
    """The attention of a finished text's first sentences, as many as can be read in one picture."""
    assert spoken.result is not None
    takes = list(spoken.result.takes)
    while len(takes) > 1 and sum(len(take.piece.tokens) for take in takes) > _MOST_TOKENS:
        takes.pop()
    labels = [spoken.voice.tokenizer.symbols[token] for take in takes for token in take.piece.tokens]
    part = "" if len(takes) == len(spoken.pieces) else f", the first {len(takes)} of {len(spoken.pieces)} sentences"
    figure = alignment_figure(
        dataclasses.replace(spoken.result, takes=takes).alignment,
        title=f"Attention: the token that a frame reads{part}",
    )
    picture, colors = figure.axes
    # Darkest to lightest is all that the colours say.
    colors.remove()
    picture.set_yticks(range(len(labels)), labels)
    picture.set_ylabel("")
    picture.tick_params(axis="y", labelsize=6.5, length=2, pad=1)
    return _for_page(figure, max(_HEIGHT, _TOKEN_HEIGHT * len(labels)))


def _for_page(figure: Figure, height: float) -> Figure:
    figure.set_size_inches(_WIDTH, height)
    figure.set_dpi(180)
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.tick_params(colors=_GREY)
        axes.title.set_fontsize(10)
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            text.set_color(_GREY)
        for spine in axes.spines.values():
            spine.set_color(_GREY)
        if axes.lines:
            axes.patch.set_alpha(0)
    return figure
