"""The process of the speech server: address, API key, voices, shutdown."""

from __future__ import annotations

import gc
import os
import socket
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from wavetts.errors import UserError
from wavetts.extras import require
from wavetts.files import read_utf8
from wavetts.interrupt import Interrupt
from wavetts.synthesis.catalog import find_voice, list_voices
from wavetts.synthesis.settings import SynthesisSettings

# Seconds that open requests have after SIGTERM; less than Docker waits before it kills.
SHUTDOWN_SECONDS = 8
# Seconds after which a thread that waits for Python's lock gets it. The network's thread gives it up at every read and
# write, and would wait so long each time for the thread that speaks; the default is ten times as much.
_SWITCH_SECONDS = 0.0005
_PORTS = "a port is a number from 0 to 65535"


def serve(
    voices: Sequence[str],
    settings: SynthesisSettings,
    *,
    host: str,
    port: int,
    api_key_file: Path | None,
    max_chars: int,
    max_requests: int,
    timeout: float,
    device: str,
    threads: int,
    precision: Literal["auto", "float32", "int8"],
    origins: Sequence[str] = (),
) -> None:
    """Serves speech until SIGINT or SIGTERM; the arguments are the options of `wavetts serve`.

    Raises:
        UserError: there is no such voice, key file or address, or a package is missing.
    """
    api_key = _api_key(api_key_file)
    paths = _voice_paths(voices)
    # Before the voices are loaded, which takes a while.
    listener = _listen(host, port)
    require("the speech server", "serve", "fastapi", "uvicorn", "prometheus_client")
    from wavetts.server.app import Limits, create_app
    from wavetts.server.connections import Server
    from wavetts.synthesis.voice import load_voice

    # Names of the same model share it.
    models = {path: load_voice(path, device, threads, precision) for path in {*paths.values()}}
    loaded = {name: models[path] for name, path in paths.items()}
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    print(f"wavetts: speech at {address}, voices: {', '.join(loaded)}", file=sys.stderr, flush=True)
    if api_key is None and host not in ("127.0.0.1", "::1"):
        warnings.warn(f"anyone who reaches {host} may speak here; set an API key", stacklevel=1)
    app = create_app(loaded, settings, Limits(max_chars, max_requests, timeout), api_key, origins)
    server = Server(app, SHUTDOWN_SECONDS)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What is there by now stays: looking through it for garbage stops all threads for a tenth of a second.
    gc.collect()
    gc.freeze()
    # uvicorn passes the signal on when it is done.
    with warnings.catch_warnings(), Interrupt():
        # The front end's warnings quote what clients send.
        warnings.simplefilter("ignore")
        server.run(sockets=[listener])


def _api_key(file: Path | None) -> str | None:
    source = "WAVETTS_API_KEY" if file is None else str(file)
    key = os.environ.get("WAVETTS_API_KEY") if file is None else read_utf8(file)
    if key is not None and not key.strip():
        raise UserError(f"{source}: the API key is empty")
    return key and key.strip()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        # `create_server` adds the address to what the system says.
        reason = str(error.strerror).partition(" (while")[0] if isinstance(error, OSError) else _PORTS
        raise UserError(f"host {host}, port {port}: cannot listen there: {reason}") from None


def _voice_paths(wanted: Sequence[str]) -> dict[str, Path]:
    """The model file of each voice that clients may use, by name."""
    named = {entry.name: entry.path for entry in list_voices()}
    if not wanted:
        if not named:
            raise UserError("no voice comes with this installation; give one as NAME=PATH")
        return named
    paths: dict[str, Path] = {}
    for word in wanted:
        name, equals, path = word.partition("=")
        if not name or (equals and not path):
            raise UserError(f"voice {word}: expected NAME or NAME=PATH")
        if name in paths:
            raise UserError(f"voice {word}: there are two voices {name!r}")
        if not equals and name not in named:
            raise UserError(f"voice {word}: no such voice ({', '.join(named) or 'there are none'}); give NAME=PATH")
        paths[name] = find_voice(path) if equals else named[name]
    return paths
