"""Serves the demo: checks the port, blocks unused routes of Gradio, and removes temporary files at the end."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import tempfile
import time
import webbrowser
from typing import TYPE_CHECKING

from wavetts.errors import UserError
from wavetts.interrupt import Interrupt

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from wavetts.demo.actions import Actions
    from wavetts.demo.page import Page

FIRST_PORT, NUM_PORTS = 7860, 100
# Gradio's routes that the page does not use: files on disk, uploads, proxies, the editor.
_CLOSED = (
    "upload", "upload_progress", "file", "deep_link", "proxy", "stream", "process_recording", "run-history", "runs",
    "component_server", "custom_component", "vibe", "undo-vibe", "dev",
)  # fmt: skip
# The browser refuses to fetch anything from elsewhere, too.
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'"


class Doors:
    """ASGI middleware that answers 403 on routes that the page does not use, and sets a Content-Security-Policy."""

    def __init__(self, app: ASGIApp) -> None:
        """Wraps an ASGI application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        name = scope["path"].partition("/gradio_api/")[2]
        if name.startswith(_CLOSED):
            # Answered without reading the body.
            headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"This page takes and gives no files.\n"})
            return None

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = (b"content-security-policy", _POLICY.encode()), (b"x-content-type-options", b"nosniff")
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        return await self.app(scope, receive, answer)


class _Iterators(dict):
    """Gradio's running generators: it deletes one twice where it is cancelled at work, and would log a traceback."""

    def __delitem__(self, key: str) -> None:
        """Deletes a key; a missing one is no error."""
        self.pop(key, None)


def launch(
    actions: Actions,
    host: str = "127.0.0.1",
    port: int | None = None,
    max_waiting: int = 16,
    open_browser: bool = False,
    block: bool = True,
) -> Page:
    """Serves the page; the default voice is loaded first, so that the first sound comes at once.

    Args:
        actions: the voices and functions of the page.
        host: address to listen on.
        port: port to listen on; None: `$GRADIO_SERVER_PORT` or the first free one from 7860 on.
        max_waiting: requests in the queue; further ones are rejected.
        open_browser: open the page in a browser.
        block: return when SIGINT or SIGTERM ends the server, and remove temporary files; False leaves it running
            in a thread (`page.blocks.close()`).

    Raises:
        UserError: the address or port cannot be used, or the default voice is damaged.
    """
    port = _free_port(host, port)
    with contextlib.ExitStack() as end:
        interrupt = end.enter_context(Interrupt()) if block else None
        # A private folder: Gradio's default is shared by all users of the machine.
        folder = tempfile.mkdtemp(prefix="wavetts-demo-")
        end.callback(shutil.rmtree, folder, ignore_errors=True)
        os.environ["GRADIO_TEMP_DIR"] = folder
        # Gradio is imported here, after its folder is known.
        from starlette.middleware import Middleware

        from wavetts.demo.look import theme
        from wavetts.demo.page import CSS, SCRIPT, Page

        actions.voice(actions.names[0])
        page = Page(actions)
        page.blocks.queue(max_size=max_waiting)
        page.blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            theme=theme(),
            css=CSS,
            head=f"<script>{SCRIPT}</script>",
            footer_links=[],
            # Texts are not kept.
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            max_file_size="1kb",
            app_kwargs={"middleware": [Middleware(Doors)], "routes": [page.recordings.route()]},
        )
        page.blocks.app.iterators = _Iterators()
        if interrupt is None:
            # The caller ends the server; the folder is removed when the process ends.
            atexit.register(end.pop_all().close)
            return page
        end.callback(page.blocks.close, verbose=False)
        print(f"{page.blocks.local_url} (Ctrl-C ends it)", flush=True)
        if open_browser:
            webbrowser.open(page.blocks.local_url)
        while interrupt.signal is None:
            time.sleep(0.2)
    return page


def _free_port(host: str, port: int | None) -> int:
    """Returns the given port if it can be used, or the first free one.

    Raises:
        UserError: there is no free port, or the address is not one of this machine.
    """
    given = os.environ.get("GRADIO_SERVER_PORT")
    if port is None and given:
        if not given.isascii() or not given.isdigit():
            raise UserError(f"GRADIO_SERVER_PORT={given[:20]} is not a port")
        port = int(given)
    if port is not None and not 1 <= port <= 65535:
        raise UserError(f"port {port} is not between 1 and 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise UserError(f"host {host!r} is no address; 127.0.0.1 is this machine alone, 0.0.0.0 the network") from None
    ports = range(FIRST_PORT, FIRST_PORT + NUM_PORTS) if port is None else [port]
    for candidate in ports:
        with socket.socket(family) as test:
            test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                test.bind((address[0], candidate, *address[2:]))
                return candidate
            except OSError as error:
                reason = error.strerror
    where = f"port {port}" if port is not None else f"any port from {FIRST_PORT} to {FIRST_PORT + NUM_PORTS - 1}"
    raise UserError(f"cannot listen at {host}, {where}: {reason}; choose another")
