"""HTML of the demo: voice cards, statistics, sentences and pictures with axes."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wavetts.audio.figures import alignment_image, spectrogram_image

if TYPE_CHECKING:
    from wavetts.demo.actions import Actions, Spoken, Variant
    from wavetts.synthesis.takes import Take

TOP_HZ = 8000
# Upper end of the shared colour scale in dB: the loudest vowels of speech near full scale.
_LOUDEST = -24.0
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
_MOST_TICKS = 8
_MOST_ROWS = 200  # of the table of tokens
# Labels of tokens that are invisible or too long.
_SHORT = {" ": "␣", "<begin>": "begin", "<end>": "end"}


def line(text: str) -> str:
    """A status line in HTML."""
    return f'<div class="status" role="status">{text}</div>'


def bar(done: int, total: int) -> str:
    """A progress bar."""
    return f'<div class="bar"><div style="width: {done / total:.0%}"></div></div>'


def voice_card(actions: Actions, name: str) -> str:
    """The card of a voice: language, description, licence. Raises as `Actions.voice` does."""
    entry = actions.entry(name)
    if entry is not None:
        language, rate = entry.language, entry.sample_rate
        description = entry.description or "This voice has no description."
        licence = entry.licence or "not stated"
    else:
        voice = actions.voice(name)
        language, rate = voice.tokenizer.language, voice.sample_rate
        description, licence = f"A model after {voice.info.get('step', 'unknown')} steps of training.", "not stated"
    facts = [("Language", language), ("Sample rate", f"{rate / 1000:g} kHz"), ("Licence", licence)]
    rows = "".join(f"<div><dt>{title}</dt><dd>{html.escape(str(value))}</dd></div>" for title, value in facts)
    return f'<div class="voice-card"><p>{html.escape(description)}</p><dl>{rows}</dl></div>'


def figures(spoken: Spoken) -> str:
    """Durations, speed and warnings; empty before the first sound."""
    if not spoken.seconds:
        return ""
    parts = [f"<b>{spoken.seconds:.1f} s</b> of speech made in <b>{spoken.working:.1f} s</b>"]
    if spoken.first:
        parts.append(f"the first sound after {spoken.first:.2f} s")
    parts.append(f"real-time factor {spoken.real_time_factor:.2f}")
    text = ", ".join(parts) + "."
    broken = sum(not take.complete for take in spoken.result.takes) if spoken.result else 0
    return text + (f" {broken} of {len(spoken.pieces)} sentences broke off: try another seed." if broken else "")


def variant_title(variant: Variant, spoken: Spoken) -> str:
    """The title of a card of a comparison: the variant and its settings."""
    settings = spoken.voice.settled(variant.settings)
    how = f"{variant.voice}, temperature {settings.temperature:g}, guidance {settings.guidance:g}, seed {settings.seed}"
    return f"<h3>{html.escape(variant.label)}<span>{html.escape(how)}</span></h3>"


def sentences(spoken: Spoken) -> str:
    """The sentences of a finished text with tokens, result and attention, as HTML."""
    assert spoken.result is not None
    parts = []
    for number, take in enumerate(spoken.result.takes):
        state = "read to its end" if take.complete else "broke off" if take.stopped else "did not stop"
        note = f"{len(take.audio) / spoken.voice.sample_rate:.2f} s, {state}"
        if take.piece.unknown:
            note += f"; left out, unknown to this voice: {' '.join(take.piece.unknown)}"
        text, phones, note = map(html.escape, (take.piece.spoken, take.piece.transcript, note))
        picture = attention(take, spoken.voice.tokenizer.symbols, spoken.voice.sample_rate)
        parts.append(
            f"<details{' open' if number == 0 else ''}><summary>{text} <span>{note}</span></summary>"
            f'<div class="phones">{phones}</div>{picture}</details>'
        )
    return f'<section class="read"><h3>What was read</h3>{_explained(spoken)}{"".join(parts)}</section>'


def _explained(spoken: Spoken) -> str:
    """The tokens whose spoken form differs from the written one, with their classes."""
    tokens = [token for piece in spoken.pieces for token in spoken.voice.explain(piece.written)]
    rows = [token for token in tokens if token[1] not in ("word", "mark") and token[0] != token[2]][:_MOST_ROWS]
    if not rows:
        return ""
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(part)}</td>" for part in row) + "</tr>" for row in rows)
    head = "<tr><th>Written</th><th>Taken for</th><th>Said</th></tr>"
    return f"<details open><summary>What is said in other words</summary><table>{head}{cells}</table></details>"


def spectrogram(spoken: Spoken, longest: float | None = None) -> str:
    """The spectrogram of a finished text, with its axes.

    Args:
        spoken: the finished text.
        longest: length of the time axis in seconds for compared pictures, which also share a colour scale.
    """
    assert spoken.result is not None
    seconds, rate = spoken.result.seconds, spoken.voice.sample_rate
    loudest = None if longest is None else _LOUDEST
    image = _picture(
        spectrogram_image(spoken.result.audio, rate, TOP_HZ, loudest), "spectrogram", seconds / (longest or seconds)
    )
    marks = "".join(
        f'<span style="bottom: {100 * khz * 1000 / TOP_HZ:g}%">{khz}</span>' for khz in range(0, TOP_HZ // 1000 + 1, 2)
    )
    return _figure(
        "spectrogram", "Spectrogram, kHz over seconds", f'<div class="marks">{marks}</div>', image, longest or seconds
    )


def attention(take: Take, symbols: Sequence[str], sample_rate: int) -> str:
    """The attention of a sentence: its tokens upwards, time to the right."""
    names = (_SHORT.get(symbols[token], symbols[token]) for token in take.piece.tokens)
    labels = "".join(f"<span>{html.escape(name)}</span>" for name in names)
    image = _picture(alignment_image(take.alignment), "attention")
    title = "Attention: which token is read at each moment, in seconds"
    return _figure("attention", title, f'<div class="tokens">{labels}</div>', image, len(take.audio) / sample_rate)


def _picture(png: bytes, alt: str, share: float = 1.0) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{alt}" src="data:image/png;base64,{data}" style="width: {100 * share:.2f}%">'


def _figure(kind: str, title: str, labels: str, image: str, seconds: float) -> str:
    """A picture with labels to its left and seconds below."""
    step = next((step for step in _STEPS if seconds / step <= _MOST_TICKS), _STEPS[-1])
    times = [number * step for number in range(int(seconds / step) + 1)]
    # No label at the right edge, which would be cut off.
    ticks = "".join(
        f'<span style="left: {100 * time / seconds:.2f}%"{" class=last" * (time > 0.97 * seconds)}>{time:g}</span>'
        for time in times
    )
    return (
        f'<figure class="{kind}"><figcaption>{html.escape(title)}</figcaption><div class="plot">{labels}'
        f'<div class="area">{image}</div><div class="ticks">{ticks}</div></div></figure>'
    )
