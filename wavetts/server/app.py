"""The speech server: OpenAI's `POST /v1/audio/speech` and related routes, on top of a `Batcher`."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from wavetts.audio.codecs import MEDIA_TYPES, StreamEncoder, available_formats, encode
from wavetts.errors import UserError
from wavetts.server.batching import Batcher, Event, Finished, Job
from wavetts.server.gate import SPEECH_PATH, ApiError, Gate, Metrics, add_error_handlers
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import Voice
from wavetts.version import __version__

MODEL = "wavetts"
# Names that OpenAI's clients send; every voice has a model of its own, so that the name makes no difference.
MODEL_ALIASES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")


@dataclass(frozen=True)
class Limits:
    """Limits of requests.

    Attributes:
        max_chars: largest number of characters in a text.
        max_requests: largest number of requests for speech that are open at once.
        timeout: seconds from the arrival of a request to the last byte of its answer.
    """

    max_chars: int = 4096
    max_requests: int = 32
    timeout: float = 300.0

    @property
    def max_body(self) -> int:
        """Largest body in bytes; JSON takes up to 12 bytes per character (an escaped surrogate pair)."""
        return 12 * self.max_chars + 4096


class VoiceName(BaseModel):
    """A voice given as an object, which OpenAI's clients may send."""

    model_config = ConfigDict(extra="forbid")
    id: str


class SpeechRequest(BaseModel):
    """The body of `POST /v1/audio/speech`; seed and temperature are extensions of OpenAI's."""

    model_config = ConfigDict(extra="forbid")
    model: str
    input: str
    voice: str | VoiceName
    response_format: str = "mp3"
    speed: float = 1.0
    stream_format: Literal["audio", "sse"] | None = None
    instructions: str | None = None
    seed: int | None = Field(None, ge=0, lt=2**63)
    temperature: float | None = Field(None, ge=0, le=2)


class Speech:
    """A request that is being spoken: its job, and the audio that has arrived from the batcher."""

    def __init__(
        self, batcher: Batcher, voice: str, text: str, seed: int, temperature: float | None, stream: bool
    ) -> None:
        """Submits the job."""
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop, put = asyncio.get_running_loop(), self._events.put_nowait
        self.job = Job(voice, text, seed, temperature, stream, emit=lambda event: loop.call_soon_threadsafe(put, event))
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


def create_app(
    voices: Mapping[str, Voice],
    settings: SynthesisSettings | None = None,
    limits: Limits | None = None,
    api_key: str | None = None,
) -> FastAPI:
    """Creates the server as an ASGI application.

    Args:
        voices: by the names that clients use; nobody else may use them while the server runs.
        settings: how to speak; its seed and temperature are defaults of requests.
        limits: limits of requests; None takes the defaults.
        api_key: the key that clients must send; None: no key is needed.
    """
    limits = limits or Limits()
    server = SpeechServer(voices, settings or SynthesisSettings(), limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        server.batcher.start()
        yield
        await anyio.to_thread.run_sync(server.batcher.stop)

    # FastAPI's pages of documentation load scripts from other servers.
    app = FastAPI(title="wavetts", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_handlers(app)
    app.add_middleware(Gate, api_key=api_key, max_body=limits.max_body, metrics=server.metrics)

    @app.post(SPEECH_PATH)
    async def speech(wanted: SpeechRequest, http: Request) -> Response:
        return await server.speak(wanted, http)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "wavetts"}]}

    @app.get("/v1/audio/voices")
    async def list_voices() -> dict[str, Any]:
        return {
            "object": "list",
            "voices": [
                {"id": name, "name": name, "language": voice.tokenizer.language, "sample_rate": voice.sample_rate}
                for name, voice in voices.items()
            ],
        }

    @app.get("/health")
    async def health() -> JSONResponse:
        alive = server.batcher.alive
        return JSONResponse({"status": "ok" if alive else "the voices' thread has ended"}, 200 if alive else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(server.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


class SpeechServer:
    """The state that the routes share, and the answer to a request for speech."""

    def __init__(self, voices: Mapping[str, Voice], settings: SynthesisSettings, limits: Limits) -> None:
        """See `create_app`."""
        self.voices, self.settings, self.limits = voices, settings, limits
        self.formats = available_formats()
        self.metrics = Metrics(lambda: self.open, lambda: self.batcher.speaking)
        self.batcher = Batcher(voices, settings, self.metrics.observe_step)
        self.open = 0
        self._usual_seconds = 1.0

    async def speak(self, wanted: SpeechRequest, http: Request) -> Response:
        """Answers a request for speech."""
        voice = self._check(wanted)
        if self.open >= self.limits.max_requests:
            raise ApiError(
                429,
                f"{self.open} requests are open, and the server takes no more at once; try again later",
                code="overloaded",
                headers={"Retry-After": str(min(60, math.ceil(self._usual_seconds)))},
            )
        temperature = self.settings.temperature if wanted.temperature is None else wanted.temperature
        seed = self.settings.seed if wanted.seed is None else wanted.seed
        started, self.open = time.monotonic(), self.open + 1
        speech = Speech(self.batcher, voice, wanted.input, seed, temperature, wanted.stream_format is not None)

        encoder: StreamEncoder | None = None

        def close() -> None:
            speech.job.cancelled = True
            if encoder is not None:
                encoder.close()
            self.open -= 1
            seconds = time.monotonic() - started
            self._usual_seconds += 0.1 * (seconds - self._usual_seconds)
            self.metrics.request_seconds.observe(seconds)

        try:
            rate = self.voices[voice].sample_rate
            first = await self._first_answer(speech, http)
            self.metrics.first_audio_seconds.observe(time.monotonic() - started)
            if wanted.stream_format is None:
                body = await anyio.to_thread.run_sync(encode, first, rate, wanted.response_format)
                content, headers = _single(body), {"Content-Length": str(len(body))}
            else:
                encoder = StreamEncoder(rate, wanted.response_format)
                content = _encoded(speech, first, encoder)
                # Keeps proxies from buffering.
                headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            media_type = MEDIA_TYPES[wanted.response_format]
            if wanted.stream_format == "sse":
                content, media_type = _events(speech, content), "text/event-stream"
            return _Answer(content, headers, media_type, started + self.limits.timeout, close)
        except BaseException:
            close()
            raise

    def _check(self, wanted: SpeechRequest) -> str:
        """Checks a request and returns the name of its voice.

        Raises:
            ApiError: the value of a field is not supported.
        """
        voice = wanted.voice if isinstance(wanted.voice, str) else wanted.voice.id
        if wanted.model != MODEL and wanted.model not in MODEL_ALIASES:
            raise ApiError(404, f"no model {wanted.model[:60]!r} here: {MODEL}", "model", "model_not_found")
        if voice not in self.voices:
            raise ApiError(400, f"no voice {voice[:60]!r} here: {', '.join(self.voices)}", "voice", "voice_not_found")
        if not wanted.input.strip():
            raise ApiError(400, "there is no text to speak", "input", "empty_string")
        if len(wanted.input) > self.limits.max_chars:
            raise ApiError(
                400,
                f"the text has {len(wanted.input)} characters and may have {self.limits.max_chars}; send it in parts",
                "input",
                "string_above_max_length",
            )
        if wanted.response_format not in self.formats:
            raise ApiError(
                400,
                f"no format {wanted.response_format[:60]!r} here: {', '.join(self.formats)}",
                "response_format",
                "unsupported_value",
            )
        if wanted.speed != 1.0:
            raise ApiError(400, "the voices have one speed, 1.0", "speed", "unsupported_value")
        if wanted.instructions:
            raise ApiError(400, "the voices take no instructions", "instructions", "unsupported_value")
        return voice

    async def _first_answer(self, speech: Speech, http: Request) -> np.ndarray:
        """The first audio of a stream, or all audio of a request without one.

        Raises:
            ApiError: it failed, was not there in time, or the client has disconnected.
        """
        audio = asyncio.ensure_future(speech.next())
        gone = asyncio.ensure_future(_disconnected(http))
        try:
            await asyncio.wait({audio, gone}, timeout=self.limits.timeout, return_when=asyncio.FIRST_COMPLETED)
            if audio.done():
                return np.zeros(0, np.float32) if (first := audio.result()) is None else first
            if gone.done():
                raise ApiError(499, "the client has gone", code="client_closed_request")
            raise ApiError(504, f"not spoken within {self.limits.timeout:g} s; send a shorter text", code="timeout")
        finally:
            audio.cancel()
            gone.cancel()


class _Answer(StreamingResponse):
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
        await super().stream_response(send)
        self._sent = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with anyio.move_on_after(self._until - time.monotonic()) as limit:
                await super().__call__(scope, receive, send)
            if not self._sent:
                scope["wavetts.outcome"] = 504 if limit.cancelled_caught else 499
        except ApiError as error:
            scope["wavetts.outcome"] = error.status
        finally:
            self._close()


async def _single(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _encoded(speech: Speech, first: np.ndarray, encoder: StreamEncoder) -> AsyncIterator[bytes]:
    audio: np.ndarray | None = first
    while audio is not None:
        # A codec may return nothing until a packet is full.
        if data := await anyio.to_thread.run_sync(encoder.write, audio):
            yield data
        audio = await speech.next()
    yield await anyio.to_thread.run_sync(encoder.finish)


async def _events(speech: Speech, encoded: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
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


async def _disconnected(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
