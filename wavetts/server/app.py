"""The speech server: OpenAI's `POST /v1/audio/speech` and related routes, on top of a `Batcher`."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from wavetts.audio.codecs import MEDIA_TYPES, StreamEncoder, available_formats, encode
from wavetts.server.answers import Answer, Speech, encoded, events, single
from wavetts.server.batching import Batcher
from wavetts.server.gate import SPEECH_PATH, ApiError, Gate, Metrics, add_error_handlers
from wavetts.server.request import MODEL_ENTRY, SpeechRequest, check_model
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import Voice
from wavetts.version import __version__

# Threads that encode. It is faster than speaking, and more of them would keep the network's thread from Python's lock.
_ENCODERS = min(4, os.cpu_count() or 1)


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


def create_app(
    voices: Mapping[str, Voice],
    settings: SynthesisSettings | None = None,
    limits: Limits | None = None,
    api_key: str | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """Creates the server as an ASGI application.

    Args:
        voices: by the names that clients use; nobody else may use them while the server runs.
        settings: how to speak; its seed and temperature are defaults of requests.
        limits: limits of requests; None takes the defaults.
        api_key: the key that clients must send; None: no key is needed.
        origins: web pages of these origins may ask as well (CORS), "*" for all; preflight requests, in which browsers
            send no key, are answered without one.
    """
    limits = limits or Limits()
    server = SpeechServer(voices, settings or SynthesisSettings(), limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _ENCODERS
        server.batcher.start()
        yield
        await anyio.to_thread.run_sync(server.batcher.stop)

    # FastAPI's pages of documentation load scripts from other servers.
    app = FastAPI(title="wavetts", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_handlers(app)
    app.add_middleware(Gate, api_key=api_key, max_body=limits.max_body, metrics=server.metrics)
    if origins:
        # Added last, it stands before the gate.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["X-Wavetts-Ignored", "Retry-After"],
        )

    @app.post(SPEECH_PATH)
    async def speech(wanted: SpeechRequest, http: Request) -> Response:
        return await server.speak(wanted, http)

    def get(path: str) -> Callable:
        return app.api_route(path, methods=["GET", "HEAD"])

    @get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [MODEL_ENTRY]}

    @get("/v1/models/{name}")
    async def model(name: str) -> dict[str, Any]:
        check_model(name)
        return {**MODEL_ENTRY, "id": name}

    @get("/v1/audio/voices")
    async def list_voices() -> dict[str, Any]:
        return {
            "object": "list",
            "voices": [
                {"id": name, "name": name, "language": voice.tokenizer.language, "sample_rate": voice.sample_rate}
                for name, voice in voices.items()
            ],
        }

    @get("/health")
    async def health() -> JSONResponse:
        alive = server.batcher.alive
        return JSONResponse({"status": "ok" if alive else "the voices' thread has ended"}, 200 if alive else 503)

    @get("/metrics")
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
        streamed = wanted.stream_format is not None
        speech = Speech(self.batcher, voice, wanted.input, seed, temperature, wanted.speed, streamed)

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
                content, headers = single(body), {"Content-Length": str(len(body))}
            else:
                encoder = StreamEncoder(rate, wanted.response_format)
                content = encoded(speech, first, encoder)
                # Keeps proxies from buffering.
                headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            if wanted.ignored:
                # Names are the client's: what is not plain does not belong into a header.
                names = [name[:40] for name in wanted.ignored if name.isascii() and name.isidentifier()]
                headers["X-Wavetts-Ignored"] = ", ".join(names[:20]) or "unknown fields"
            media_type = MEDIA_TYPES[wanted.response_format]
            if wanted.stream_format == "sse":
                content, media_type = events(speech, content), "text/event-stream"
            return Answer(content, headers, media_type, started + self.limits.timeout, close)
        except BaseException:
            close()
            raise

    def _check(self, wanted: SpeechRequest) -> str:
        """Checks a request and returns the name of its voice.

        Raises:
            ApiError: the value of a field is not supported.
        """
        voice = wanted.voice if isinstance(wanted.voice, str) else wanted.voice.id
        check_model(wanted.model)
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


async def _disconnected(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
