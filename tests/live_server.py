"""A real server on this machine with voices that no one trained, for the tests of what clients see."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
from waiting import until

from wavetts.server.app import create_app
from wavetts.server.connections import Server
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import load_voice

SETTINGS = SynthesisSettings(max_seconds=0.12, retries=1, sentence_pause=0.05, seed=3)
# Minutes of computing, even for a toy.
ENDLESS = SynthesisSettings(max_seconds=1000, retries=0, batch_size=2)
LONG = "A text that is long enough to be spoken for many seconds, if nobody minds it. " * 50


@contextmanager
def serving(
    folder: Path, settings: SynthesisSettings = SETTINGS, names: Sequence[str] = ("noise", "endless"), **arguments
) -> Iterator[str]:
    """Runs `create_app(..., **arguments)` with the voices of these names in a folder; gives its address."""
    voices = {name: load_voice(folder / name, "cpu", 1) for name in names}
    app = create_app(voices, settings, **arguments)
    server = Server(app, shutdown_seconds=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


def client_of(url: str, **arguments) -> openai.OpenAI:
    """OpenAI's client, which tries nothing twice."""
    return openai.OpenAI(**{"base_url": f"{url}/v1", "api_key": "none", "max_retries": 0, "timeout": 30, **arguments})


def figures(url: str, **arguments) -> dict[str, float]:
    """The server's metrics."""
    lines = httpx.get(f"{url}/metrics", **arguments).text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def is_idle(url: str) -> bool:
    """Nobody is being answered, and nobody speaks."""
    found = figures(url)
    return found["wavetts_open_requests"] == found["wavetts_speaking"] == 0
