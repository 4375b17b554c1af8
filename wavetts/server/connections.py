"""Connections of the speech server: none of them can starve the others, whether it sends, waits or does not read."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger("wavetts.server.connections")

# The most connections at once, fewer where the system allows fewer open files.
MAX_CONNECTIONS = 1000
# Seconds that a client may take to send a request's head; and that a connection waits for the next request.
HEAD_SECONDS, KEEP_ALIVE_SECONDS = 10.0, 5
# Seconds for which a client that is being answered may take nothing.
STALL_SECONDS = 10.0
_SWEEP_SECONDS = 0.5
# Bytes that the system holds for a client that reads slowly; few, so that stalling is seen.
_SEND_BUFFER = 1 << 16
_LOG_SECONDS = 60.0
# Connections that wait to be refused.
_MOST_REFUSED = 16
_BUSY = (
    b'{"error": {"message": "the server has too many connections; try again later", "type": "server_error", '
    b'"param": null, "code": "overloaded"}}'
)
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)


class Connection(H11Protocol):
    """A client's connection.

    One more than `max_connections` takes the place of the one that has waited longest without a whole request; if there
    is none, it is told that the server is busy (503).
    """

    max_connections = MAX_CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Takes the connection in, in another's place if need be."""
        self.waiting_since: float | None = time.monotonic()
        self.refused = False
        self._unsent, self._unsent_since = 0, 0.0
        if len(self.connections) >= self.max_connections:
            others = [other for other in self.connections if isinstance(other, Connection) and not other.refused]
            waiting = [(other.waiting_since, id(other), other) for other in others if other.waiting_since is not None]
            if waiting:
                _, _, longest = min(waiting)
                self.connections.discard(longest)
                longest.transport.abort()
            else:
                self.refused = True
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        super().connection_made(transport)
        if len(self.connections) > self.max_connections + _MOST_REFUSED:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Takes what the client sent."""
        if self.refused:
            # Not before: a client that still sends may never see what was said to it.
            self.transport.write(_REFUSAL)
            self.transport.close()
            return
        super().data_received(data)
        self._note_waiting()

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        super().on_response_complete()
        self._note_waiting()

    def _note_waiting(self) -> None:
        cycle = self.cycle
        waits = cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started)
        if not waits:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = time.monotonic()

    def check(self, now: float) -> None:
        """Breaks the connection off if its client is too slow."""
        in_head = self.cycle is None or self.cycle.response_complete
        if in_head and self.waiting_since is not None and now - self.waiting_since > HEAD_SECONDS:
            self.transport.abort()
            return
        unsent = self.transport.get_write_buffer_size() + _unread_bytes(self.transport)
        if not unsent or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif now - self._unsent_since > STALL_SECONDS:
            self.transport.abort()


def _unread_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the system has not brought to the client yet, as far as it tells."""
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    try:
        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


class Server(uvicorn.Server):
    """uvicorn with `Connection`, and with a log that cannot be filled from outside."""

    def __init__(self, app: Callable[..., Any], shutdown_seconds: int) -> None:
        """Takes an ASGI application, and how long its requests may go on when the server is told to end."""
        files = _open_file_limit()
        # Connections are accepted in bursts of this size, before any of them can be closed again.
        backlog = max(16, min(512, files // 8))
        room = files - _open_files() - 2 * backlog - 16
        protocol = type("LimitedConnection", (Connection,), {"max_connections": max(8, min(MAX_CONNECTIONS, room))})
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            # What clients do wrong is no news: the figures count it.
            log_level="error",
            backlog=backlog,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=shutdown_seconds,
            server_header=False,
        )
        super().__init__(config)
        self._logged = -_LOG_SECONDS
        self._sweeper: asyncio.Task | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen, and to look after the connections."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._handle_exception)
        self._sweeper = loop.create_task(self._sweep())
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends in order."""
        await super().shutdown(sockets)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(now)

    def _handle_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What fails outside of any request: a line now and then, where many clients would make many tracebacks."""
        if not isinstance(context.get("exception"), OSError):
            loop.default_exception_handler(context)
            return
        now = time.monotonic()
        if now - self._logged > _LOG_SECONDS:
            self._logged = now
            logger.error("%s: %s", context.get("message", "a connection failed"), context["exception"].strerror)


def _open_file_limit() -> int:
    """How many files this process may open, after asking for as many as it can have."""
    try:
        import resource
    except ImportError:
        # Windows has no such limit that sockets would meet.
        return 1 << 16
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError):
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else soft


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 64
