"""Figures of alignments, spectrograms and training curves; matplotlib is imported where it draws."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavetts.errors import UserError
from wavetts.extras import require
from wavetts.files import write_atomic
from wavetts.jsonlines import read_journal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More labels than this cannot be read.
MOST_TOKEN_LABELS = 120
SPECTROGRAM_WINDOW = 0.05


def alignment_figure(alignment: np.ndarray, tokens: Sequence[str] | None = None, title: str = "") -> Figure:
    """Attention weights over time.

    Args:
        alignment: (T, I), frames by tokens.
        tokens: I labels of the vertical axis.
        title: above it.
    """
    alignment = np.asarray(alignment)
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    image = axes.imshow(alignment.T, origin="lower", aspect="auto", interpolation="nearest", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes)
    axes.set(title=title, xlabel="frame", ylabel="token")
    if tokens is not None and len(tokens) <= MOST_TOKEN_LABELS:
        axes.set_yticks(range(len(tokens)), tokens, fontsize=max(3, min(8, 300 // len(tokens))))
    return figure


def spectrogram_figure(waveform: np.ndarray, rate: int, title: str = "") -> Figure:
    """The magnitude spectrogram in dB, 50 ms Hann windows every 12.5 ms, over the waveform.

    Args:
        waveform: (S,) in [-1, 1).
        rate: in Hz.
        title: above it.
    """
    waveform, decibels = _decibels(waveform, rate)
    seconds = len(waveform) / rate
    figure = new_figure(8, 5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.imshow(
        decibels.T, origin="lower", aspect="auto", extent=(0, seconds, 0, rate / 2000), vmin=decibels.max() - 80
    )
    upper.set(title=title, ylabel="kHz")
    lower.plot(np.arange(len(waveform)) / rate, waveform, linewidth=0.5)
    lower.set(xlabel="seconds", ylim=(-1, 1), xlim=(0, seconds))
    return figure


def spectrogram_image(waveform: np.ndarray, rate: int, top_hz: float = 8000.0, loudest: float | None = None) -> bytes:
    """The same spectrogram as a bare PNG, a pixel a bin and 12.5 ms, up to `top_hz`; dark where the rate ends below.

    Args:
        waveform: (S,) in [-1, 1).
        rate: in Hz.
        top_hz: what the upper edge stands for, so that pictures of different rates compare.
        loudest: the magnitude in dB of the brightest colour, so that levels compare; None takes the waveform's loudest.
    """
    _, decibels = _decibels(waveform, rate)
    window = round(SPECTROGRAM_WINDOW * rate)
    bins = round(top_hz * window / rate)
    high = decibels.max() if loudest is None else loudest
    low = high - 80
    padded = np.pad(decibels[:, :bins], ((0, 0), (0, max(0, bins - decibels.shape[1]))), constant_values=low)
    return _image(padded, low, high)


def alignment_image(alignment: np.ndarray) -> bytes:
    """Attention weights (T, I) as a bare PNG: a pixel a frame to the right, a pixel a token upwards.

    Brightness is the weight's root: attention that is shared by a few tokens is seen, too.
    """
    return _image(np.sqrt(np.maximum(alignment, 0)), 0.0, 1.0)


def _image(values: np.ndarray, low: float, high: float) -> bytes:
    require("drawing", "train", "matplotlib")
    from matplotlib.image import imsave

    data = io.BytesIO()
    imsave(data, values.T, vmin=low, vmax=high, cmap="magma", origin="lower", format="png")
    return data.getvalue()


def _decibels(waveform: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The waveform, padded to a window at least, and its magnitudes (frames, bins) in dB."""
    waveform = np.asarray(waveform, dtype=np.float32)
    window = round(SPECTROGRAM_WINDOW * rate)
    waveform = np.pad(waveform, (0, max(0, window - len(waveform))))
    pieces = np.lib.stride_tricks.sliding_window_view(waveform, window)[:: round(0.0125 * rate)]
    magnitude = np.abs(np.fft.rfft(pieces * np.hanning(window), axis=1)) / window
    return waveform, 20 * np.log10(np.maximum(magnitude, 1e-5))


def curve_figure(paths: Sequence[Path], key: str = "bits_per_sample", over: str = "step") -> Figure:
    """One figure of training runs: training figures as thin lines, held-out ones with points.

    Args:
        paths: metrics.jsonl files, or run folders.
        key: the figure to draw, as the lines name it.
        over: "step" or "minutes", the horizontal axis.

    Raises:
        UserError: a file is missing or damaged, or none holds the key.
    """
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    colors = (f"C{index}" for index in itertools.count())
    looks: dict[str, dict[str, Any]] = {"train": {"alpha": 0.4, "linewidth": 0.8}, "dev": {"markersize": 3}}
    for path in map(Path, paths):
        path = path / "metrics.jsonl" if path.is_dir() else path
        lines = [line for line in read_metrics(path) if key in line]
        color = next(colors)
        for kind, style in (("train", "-"), ("dev", "o-")):
            # What diverged is a gap in its curve.
            points = [(line[over], line[key]) for line in lines if line["kind"] == kind and _is_finite(line[key])]
            if points:
                axes.plot(
                    *zip(*points, strict=True), style, color=color, **looks[kind], label=f"{path.parent.name} {kind}"
                )
    if not axes.lines:
        raise UserError(f"{', '.join(map(str, paths))}: no finite figure named {key!r} in the metrics")
    axes.set(xlabel=over, ylabel=key)
    # One wild batch must not flatten the rest.
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    low, high = np.percentile(values, [0, 98])
    axes.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def read_metrics(path: Path) -> list[dict]:
    """The lines of a metrics.jsonl; a last line that a killed run left unfinished is passed over.

    Raises:
        UserError: the file is missing, or another line is broken.
    """
    metrics = read_journal(path)
    for number, line in enumerate(metrics, 1):
        if not isinstance(line, dict) or not {"kind", "step", "minutes"} <= line.keys():
            raise UserError(f"{path}:{number}: no figures of a step; is this the metrics.jsonl of a run?")
    return metrics


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG (or by the path's suffix), atomically.

    Raises:
        UserError: the suffix names no picture format, or the file cannot be written.
    """
    data = io.BytesIO()
    kind = Path(path).suffix[1:].lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise UserError(f"{path}: pictures are written as .{', .'.join(sorted(known))}")
    figure.savefig(data, format=kind, dpi=120)
    write_atomic(Path(path), data.getvalue())


def new_figure(width: float, height: float) -> Figure:
    """An empty figure drawn by Agg: no display is needed and pyplot's global list does not keep it."""
    require("drawing", "train", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
