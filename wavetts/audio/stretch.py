"""Time stretching: faster and slower speech of the same pitch, of whole utterances or of streams."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av.filter

# Range of one `atempo` filter in which it overlaps and adds its pieces.
_SLOWEST, _FASTEST = 0.5, 2.0
# Silence that is appended to get the samples that the filters hold back.
_TAIL_SECONDS = 0.25


class Stretcher:
    """Changes the speed of speech chunk by chunk; the output does not depend on the sizes of the chunks.

    The algorithm is WSOLA (Verhelst and Roelands 1993), by FFmpeg's filter `atempo`: pieces of the waveform are left
    out or repeated where they are similar. It keeps the periods of speech, which phase vocoders blur.

    Args:
        sample_rate: in Hz.
        speed: 2 takes half the time; 1 changes nothing.
    """

    def __init__(self, sample_rate: int, speed: float) -> None:
        self._rate, self._speed = sample_rate, speed
        self._taken = self._given = 0
        self._graph = None if speed == 1 else _build_graph(sample_rate, speed)

    def write(self, samples: np.ndarray) -> np.ndarray:
        """Takes samples (S,) float32 and returns those that are ready, (S',) float32."""
        if self._graph is None:
            return samples
        self._push(self._graph, samples)
        return self._pull(self._graph)

    def finish(self) -> np.ndarray:
        """Returns the rest (S',) float32; in all, the output has round(S / speed) samples."""
        if self._graph is None:
            return np.zeros(0, dtype=np.float32)
        length = round(self._taken / self._speed)
        self._push(self._graph, np.zeros(math.ceil(_TAIL_SECONDS * self._rate * max(1.0, self._speed)), np.float32))
        self._graph.push(None)
        before = self._given
        return self._pull(self._graph)[: length - before]

    def _push(self, graph: av.filter.Graph, samples: np.ndarray) -> None:
        import av

        if len(samples) == 0:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._taken
        self._taken += len(samples)
        graph.push(frame)

    def _pull(self, graph: av.filter.Graph) -> np.ndarray:
        import av

        parts = [np.zeros(0, dtype=np.float32)]
        while True:
            try:
                parts.append(graph.pull().to_ndarray()[0])
            except (av.BlockingIOError, av.EOFError):
                break
        joined = np.concatenate(parts)
        self._given += len(joined)
        return joined


def stretch(samples: np.ndarray, sample_rate: int, speed: float) -> np.ndarray:
    """Changes the speed of speech, see `Stretcher`.

    Args:
        samples: (S,) float32.
        sample_rate: in Hz.
        speed: 2 takes half the time; 1 changes nothing.

    Returns:
        (round(S / speed),) float32; the samples themselves at a speed of 1.
    """
    if speed == 1:
        return samples
    stretcher = Stretcher(sample_rate, speed)
    return np.concatenate([stretcher.write(samples), stretcher.finish()])


def _build_graph(sample_rate: int, speed: float) -> av.filter.Graph:
    import av.filter

    count = max(1, math.ceil(math.log(speed, _FASTEST)), math.ceil(math.log(speed, _SLOWEST)))
    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(sample_rate=sample_rate, format="flt", layout="mono")]
    nodes += [graph.add("atempo", f"{speed ** (1 / count):.9f}") for _ in range(count)]
    nodes += [graph.add("abuffersink")]
    graph.link_nodes(*nodes).configure()
    return graph
