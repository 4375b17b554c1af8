"""Speech for the page's players: kept in memory while and after it is made, and served as WAV; nothing on the disk."""

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
# How often a reader looks for what is new; a tenth of the first sound.
_POLL_SECONDS = 0.02


class Recording:
    """Speech that grows until it is closed; one thread writes, any number of readers follow.

    Attributes:
        path: of its address on the server; cannot be guessed.
        sample_rate: in Hz.
        closed: it is all there.
    """

    def __init__(self, path: str, sample_rate: int) -> None:
        """Empty."""
        self.path, self.sample_rate, self.closed = path, sample_rate, False
        self._parts: list[bytes] = []

    def append(self, samples: np.ndarray) -> None:
        """Adds samples (S,) in [-1, 1)."""
        assert not self.closed
        self._parts.append(to_pcm(samples).tobytes())

    def close(self) -> None:
        """Says that this was all."""
        self.closed = True

    @property
    def num_bytes(self) -> int:
        """Of the samples."""
        return sum(map(len, self._parts))

    def wav(self) -> bytes:
        """All that there is by now, as a WAV of 16 bits."""
        data = io.BytesIO()
        with wave.open(data, "wb") as file:
            file.setparams((1, 2, self.sample_rate, 0, "NONE", ""))
            file.writeframes(b"".join(self._parts))
        return data.getvalue()

    async def follow(self) -> AsyncIterator[bytes]:
        """The WAV from its begin, as fast as it is made, until it is closed."""
        yield streaming_wav_header(self.sample_rate)
        sent = 0
        while True:
            # In this order: what is appended before it is closed is sent, too.
            closed, new = self.closed, self._parts[sent:]
            sent += len(new)
            if new:
                yield b"".join(new)
            elif closed:
                return
            else:
                await asyncio.sleep(_POLL_SECONDS)


class Recordings:
    """The recordings of a server; the oldest ones go when there are too many."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """None yet."""
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
        """The route under which they are served: whole ones with their length, others as they are made."""
        return Route("/speech/{token}/{name}", self._serve)

    async def _serve(self, request: Request) -> Response:
        recording = self._kept.get("speech/{token}/{name}".format(**request.path_params))
        if recording is None:
            return PlainTextResponse("This recording is no longer kept.", 404)
        headers = {"Cache-Control": "no-store"}
        if recording.closed:
            return Response(recording.wav(), media_type="audio/wav", headers=headers)
        return StreamingResponse(recording.follow(), media_type="audio/wav", headers=headers)
