"""Answers with speech: whole, as a stream, as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import numpy as np
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from wavetts.audio.codecs import StreamEncoder
from wavetts.errors import UserError
from wavetts.server.batching import Batcher, Event, Finished, Job
from wavetts.server.gate import ApiError


class Speech:
    """A request that is being spoken: its job, and the audio that has arrived from the batcher."""

    def __init__(
        self, batcher: Batcher, voice: str, text: str, seed: int, temperature: float | None, speed: float, stream: bool
    ) -> None:
        """Submits the job."""
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop, put = asyncio.get_running_loop(), self._events.put_nowait
        self.job = Job(
            voice, text, seed, temperature, stream, lambda event: loop.call_soon_threadsafe(put, event), speed
        )
        self.finished: Finished | None = None
        batcher.submit(self.job)

    async def next(self) -> np.ndarray | None:
        """Waits for audio and returns all (S,) since the last call, or None after the end.

        Raises:
            ApiError: the text cannot be spoken.
        """
        chunks: list[np.ndarray] = []
        while self.finished is None and not (chunks and self._events.empty()):
            event = await self._events.get()
            if isinstance(event, UserError):
                raise ApiError(400, str(event), "input", "nothing_to_speak")
            if isinstance(event, Exception):
                raise ApiError(500, str(event), code="speaking_failed")
            if isinstance(event, Finished):
                self.finished = event
            else:
                chunks.append(event)
        return np.concatenate(chunks) if chunks else None


class Answer(StreamingResponse):
    """A response whose `close` is called however it ends: sent, timed out, failed or disconnected.

    If it fails or times out after its status was sent, it ends early, and the client sees an incomplete answer.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        headers: dict[str, str],
        media_type: str,
        until: float,
        close: Callable[[], None],
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._until, self._close, self._sent = until, close, False

    async def stream_response(self, send: Send) -> None:
        """Sends it, and notes that all was sent."""
        await super().stream_response(send)
        self._sent = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, until the time is over."""
        try:
            with anyio.move_on_after(self._until - time.monotonic()) as limit:
                await super().__call__(scope, receive, send)
            if not self._sent:
                scope["wavetts.outcome"] = 504 if limit.cancelled_caught else 499
        except ApiError as error:
            scope["wavetts.outcome"] = error.status
        finally:
            self._close()


async def single(body: bytes) -> AsyncIterator[bytes]:
    """A whole file."""
    yield body


async def encoded(speech: Speech, first: np.ndarray, encoder: StreamEncoder) -> AsyncIterator[bytes]:
    """Encoded audio while it is spoken; `first` (S,) has come already."""
    audio: np.ndarray | None = first
    while audio is not None:
        # A codec may return nothing until a packet is full.
        if data := await anyio.to_thread.run_sync(encoder.write, audio):
            yield data
        audio = await speech.next()
    yield await anyio.to_thread.run_sync(encoder.finish)


async def events(speech: Speech, encoded: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Encoded audio as OpenAI's server-sent events."""
    try:
        async for data in encoded:
            if data:
                yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    except ApiError as error:
        yield _event({"type": "error", **error.body})
        return
    assert speech.finished is not None  # the audio has ended
    usage = {"input_tokens": speech.finished.tokens, "output_tokens": speech.finished.frames}
    yield _event({"type": "speech.audio.done", "usage": {**usage, "total_tokens": sum(usage.values())}})


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
