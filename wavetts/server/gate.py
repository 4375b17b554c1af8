"""Around the routes of the speech server: API key, limits of bodies, errors in OpenAI's format, metrics."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import anyio
import prometheus_client
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Seconds that a client has to send the body of a request.
BODY_SECONDS = 20.0
SPEECH_PATH = "/v1/audio/speech"
# Requests that begin between two looks at the network: each computes for half a millisecond.
_BEGIN_AT_ONCE = 4
# Paths for monitoring: they need no API key and do not queue.
_OPEN_PATHS = ("/health",)
_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error", 504: "timeout_error"}


class ApiError(Exception):
    """A request that fails, answered with an error in OpenAI's format.

    Attributes:
        status: HTTP status code.
        param: the name of the field that is wrong, or None.
        code: a machine-readable name of the error, or None.
        headers: additional headers of the response, or None.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, headers

    @property
    def body(self) -> dict[str, Any]:
        """The body of the response: {"error": {"message", "type", "param", "code"}}."""
        kind = _ERROR_TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The error as an HTTP response."""
        return JSONResponse(self.body, self.status, self.headers)


def add_error_handlers(app: FastAPI) -> None:
    """Answers every exception of a route with the response of an `ApiError`."""

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return ApiError(error.status_code, str(error.detail), headers=error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _explain(error).response()

    @app.exception_handler(Exception)
    async def defect(_: Request, error: Exception) -> JSONResponse:
        return ApiError(500, f"the server failed ({type(error).__name__}); its log says where").response()


def _explain(error: RequestValidationError) -> ApiError:
    """The first error of a body, without quoting what was sent."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part != "body"]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first['ctx']['error']}, character {path[0]}", code="invalid_json")
    if not path:
        return ApiError(
            400, "the body is not a JSON object; send one with Content-Type: application/json", code="invalid_json"
        )
    # The path of a union ends with the type that was tried, as in ("voice", "str"): only its first part is named. That
    # may hold what UTF-8 cannot encode, such as half of a surrogate pair.
    param = path[0][:60].encode("utf-8", "replace").decode()
    messages = {"missing": "is missing", "extra_forbidden": "is no field of this endpoint"}
    message = messages.get(first["type"], f"is wrong: {first['msg'][:1].lower()}{first['msg'][1:]}")
    codes = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
    return ApiError(400, f"{param!r} {message}", param, codes.get(first["type"], "invalid_value"))


class Metrics:
    """The metrics of the server, for Prometheus."""

    def __init__(self, open_requests: Callable[[], int], speaking: Callable[[], int]) -> None:
        """Creates the metrics; the arguments return the numbers of open requests and of sentences being spoken."""
        registry = self.registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter(
            "wavetts_requests", "Requests for speech that were answered, by HTTP status", ["status"], registry=registry
        )
        buckets = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
        self.request_seconds = prometheus_client.Histogram(
            "wavetts_request_seconds", "From a request to its last byte", registry=registry, buckets=buckets
        )
        self.first_audio_seconds = prometheus_client.Histogram(
            "wavetts_first_audio_seconds", "From a request to its first audio", registry=registry, buckets=buckets
        )
        self._frames = prometheus_client.Counter("wavetts_frames", "Frames that were spoken", registry=registry)
        self._step_seconds = prometheus_client.Counter(
            "wavetts_step_seconds", "Time that the voices took for them", registry=registry
        )
        self._batch_size = prometheus_client.Histogram(
            "wavetts_batch_size", "Sentences in a step", registry=registry, buckets=(1, 2, 4, 8, 16, 32, 64)
        )
        for name, text, value in (
            ("wavetts_open_requests", "Requests for speech that are open", open_requests),
            ("wavetts_speaking", "Sentences that are spoken at the moment", speaking),
        ):
            prometheus_client.Gauge(name, text, registry=registry).set_function(value)

    def observe_step(self, rows: int, seconds: float) -> None:
        """Records a step of the batch: `rows` sentences got a frame each, in `seconds`."""
        self._frames.inc(rows)
        self._step_seconds.inc(seconds)
        self._batch_size.observe(rows)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return prometheus_client.generate_latest(self.registry)


class Gate:
    """ASGI middleware that checks the API key, rejects bodies that are too large or too slow, and counts outcomes.

    Of hundreds of requests that come at once, a few begin at a time, so that `/health` is answered in between.
    """

    def __init__(self, app: ASGIApp, api_key: str | None, max_body: int, metrics: Metrics) -> None:
        """Wraps `app`; `api_key` is required of clients unless None, `max_body` is the largest body in bytes."""
        self._app, self._max_body, self._metrics = app, max_body, metrics
        self._turns = asyncio.Semaphore(_BEGIN_AT_ONCE)
        self._key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on to the app, or answers it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] not in _OPEN_PATHS:
            async with self._turns:
                await asyncio.sleep(0)
        status = 500

        async def watching_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            try:
                self._check(scope)
            except ApiError as error:
                await error.response()(scope, receive, watching_send)
                return
            await self._app(scope, self._limited(receive), watching_send)
        finally:
            if scope["path"] == SPEECH_PATH:
                self._metrics.requests.labels(scope.get("wavetts.outcome", status)).inc()

    def _check(self, scope: MutableMapping[str, Any]) -> None:
        headers = dict(scope["headers"])
        if self._key is not None and scope["path"] not in _OPEN_PATHS:
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if not (hmac.compare_digest(given.strip(), self._key) and kind.lower() == b"bearer"):
                raise ApiError(
                    401,
                    "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body:
            raise self._too_large()

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the body is larger than {self._max_body} bytes; send less text", "input", "too_large")

    def _limited(self, receive: Receive) -> Receive:
        size, until, whole = 0, time.monotonic() + BODY_SECONDS, False

        async def limited() -> Message:
            nonlocal size, whole
            if whole:
                # The only further message is the end of the connection, for which there is no time limit.
                return await receive()
            with anyio.move_on_after(until - time.monotonic()):
                message = await receive()
                if message["type"] == "http.request":
                    size += len(message.get("body", b""))
                    whole = not message.get("more_body", False)
                    if size > self._max_body:
                        error = self._too_large()
                        raise HTTPException(error.status, str(error))
                return message
            raise HTTPException(408, f"the body did not come within {BODY_SECONDS:g} s", {"Connection": "close"})

        return limited
