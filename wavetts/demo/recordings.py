"""Recordings for the page's players: kept in memory, not on disk, and served as WAV during and after synthesis."""

from __future__ import annotations

import asyncio
import io
import secrets
import threading
import wave
from collections import OrderedDict
from collections.abc import AsyncIterator

import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from wavetts.audio.waveform import streaming_wav_header, to_pcm

# Eight hours at 16 kHz: what is heard again is seldom the oldest.
MOST_BYTES = 2**30
# Seconds between two checks of a reader for new samples.
_POLL_SECONDS = 0.02


class Recording:
    """A growing recording; one thread appends, any number of readers follow.

    Attributes:
        path: path of its URL; contains a random part.
        sample_rate: in Hz.
        closed: whether it is complete.
    """

    def __init__(self, path: str, sample_rate: int) -> None:
        """Makes an empty recording."""
        self.path, self.sample_rate, self.closed = path, sample_rate, False
        self._parts: list[bytes] = []

    def append(self, samples: np.ndarray) -> None:
        """Adds samples (S,) in [-1, 1)."""
        assert not self.closed
        self._parts.append(to_pcm(samples).tobytes())

    def close(self) -> None:
        """Marks the recording as complete."""
        self.closed = True

    @property
    def num_bytes(self) -> int:
        """Size of the samples in bytes."""
        return sum(map(len, self._parts))

    def wav(self) -> bytes:
        """The recording so far as a 16-bit WAV file."""
        data = io.BytesIO()
        with wave.open(data, "wb") as file:
            file.setparams((1, 2, self.sample_rate, 0, "NONE", ""))
            file.writeframes(b"".join(self._parts))
        return data.getvalue()

    async def follow(self) -> AsyncIterator[bytes]:
        """Yields the bytes of the WAV file as they are recorded, until it is closed."""
        yield streaming_wav_header(self.sample_rate)
        sent = 0
        while True:
            # Checked in this order, so that samples appended just before closing are sent.
            closed, new = self.closed, self._parts[sent:]
            sent += len(new)
            if new:
                yield b"".join(new)
            elif closed:
                return
            else:
                await asyncio.sleep(_POLL_SECONDS)


class Recordings:
    """The recordings of a server; the oldest ones are deleted above a total size."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Makes an empty store."""
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Recording] = OrderedDict()
        self._lock = threading.Lock()

    def new(self, name: str, sample_rate: int) -> Recording:
        """An empty recording; `name` (without a suffix) is what a browser saves it under."""
        safe = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name) or "speech"
        recording = Recording(f"speech/{secrets.token_urlsafe(16)}/{safe}.wav", sample_rate)
        with self._lock:
            while sum(kept.num_bytes for kept in self._kept.values()) > self._most_bytes:
                self._kept.popitem(last=False)
            self._kept[recording.path] = recording
        return recording

    def route(self) -> Route:
        """The ASGI route of the recordings: complete ones with a Content-Length, others as a stream."""
        return Route("/speech/{token}/{name}", self._serve)

    async def _serve(self, request: Request) -> Response:
        recording = self._kept.get("speech/{token}/{name}".format(**request.path_params))
        if recording is None:
            return PlainTextResponse("This recording is no longer kept.", 404)
        headers = {"Cache-Control": "no-store"}
        if recording.closed:
            return Response(recording.wav(), media_type="audio/wav", headers=headers)
        return StreamingResponse(recording.follow(), media_type="audio/wav", headers=headers)
