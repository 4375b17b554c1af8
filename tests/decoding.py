"""Encoded speech back to samples."""

from __future__ import annotations

import io

import av
import numpy as np

from wavetts.audio.codecs import PCM_RATE


def decode(data: bytes, format: str) -> tuple[np.ndarray, int]:
    """With another library than the one that encoded: samples (S,) and their rate."""
    if format == "pcm":
        return np.frombuffer(data, "<i2") / 32768, PCM_RATE
    with av.open(io.BytesIO(data)) as file:
        parts = [frame.to_ndarray().ravel() for frame in file.decode(audio=0)]
        rate = file.streams.audio[0].rate
    samples = np.concatenate(parts)
    return (samples / 32768 if samples.dtype == np.int16 else samples), rate
