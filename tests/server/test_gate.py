"""What stands before the server's routes, as clients see it."""

from __future__ import annotations

import asyncio
import json
import socket

import httpx
import openai
import pytest
from live_server import client_of, figures, serving
from toy_voice import save_voice

from wavetts.server import gate
from wavetts.server.app import Limits
from wavetts.server.gate import Gate, Metrics

pytestmark = pytest.mark.filterwarnings("ignore:.*unknown to this voice")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder / "noise")
    return folder


@pytest.fixture(scope="module")
def url(folder):
    with serving(folder, names=["noise"]) as url:
        yield url


def test_missing_fields_are_named(url):
    for name in ("model", "voice", "input"):
        body = {key: "noise" for key in ("model", "voice", "input") if key != name}
        error = httpx.post(f"{url}/v1/audio/speech", json=body).json()["error"]
        assert error["message"] == f"'{name}' is missing"
        assert (error["param"], error["code"]) == (name, "missing_required_parameter")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"model": "wavetts", "voice": "noise", "input": "one"',
        b"\xff\xfe",
        b"\x00",
        b"[" * 20000,
        b'{"\\ud800": 1}',
    ],
)
def test_malformed_bodies(url, body):
    answer = httpx.post(f"{url}/v1/audio/speech", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_other_content_types_are_refused(url):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = b'{"model": "wavetts", "voice": "noise", "input": "one"}'
        answer = httpx.post(f"{url}/v1/audio/speech", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_other_paths_and_methods(url):
    for answer, status in ((httpx.get(f"{url}/v1/audio/speech"), 405), (httpx.get(f"{url}/docs"), 404)):
        assert answer.status_code == status
        assert answer.json()["error"]["param"] is None


def test_body_that_is_too_large(url):
    size = Limits().max_body
    body = {"model": "wavetts", "voice": "noise", "input": "a" * size}
    answer = httpx.post(f"{url}/v1/audio/speech", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "input")
    headers = {"Content-Type": "application/json"}
    # Without a length that says so beforehand.
    answer = httpx.post(
        f"{url}/v1/audio/speech", content=(b" " * 4096 for _ in range(size // 4096 + 1)), headers=headers
    )
    assert answer.status_code == 413
    # The longest text in the longest spelling is none.
    escaped = json.dumps({"model": "wavetts", "voice": "noise", "input": "a" + "\U0001f600" * 4095})
    assert httpx.post(f"{url}/v1/audio/speech", content=escaped, headers=headers, timeout=30).status_code == 200


def test_body_that_does_not_come(url, monkeypatch):
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        head = (
            "POST /v1/audio/speech HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_key(folder):
    with serving(folder, names=["noise"], api_key="secret") as url:
        assert httpx.get(f"{url}/health").status_code == 200
        for header in (None, "Bearer wrong", "Bearer", "Basic secret", "secret", "Bearer sécret"):
            for path in ("/v1/audio/speech", "/v1/models", "/v1/audio/voices", "/metrics", "/docs"):
                headers = {} if header is None else {"Authorization": header.encode()}
                answer = httpx.request("POST" if "speech" in path else "GET", url + path, headers=headers)
                assert answer.status_code == 401
                assert answer.json()["error"]["code"] == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            client_of(url, api_key="wrong").models.list()
        client = client_of(url, api_key="secret")
        assert client.audio.speech.create(model="wavetts", voice="noise", input="one").content
        found = figures(url, headers={"Authorization": "bearer secret"})
        assert found['wavetts_requests_total{status="401"}'] == 6


def test_health_does_not_queue_behind_a_crowd():
    begun = []

    async def app(scope, receive, send):
        begun.append(scope["path"])

    async def ask(guarded, path):
        await guarded({"type": "http", "path": path, "headers": []}, None, None)

    async def crowd():
        guarded = Gate(app, None, 1000, Metrics(lambda: 0, lambda: 0))
        asked = [asyncio.create_task(ask(guarded, gate.SPEECH_PATH)) for _ in range(100)]
        asked += [asyncio.create_task(ask(guarded, "/health"))]
        # One that goes away while it waits takes nobody's turn.
        asked[50].cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(crowd())
    assert begun.index("/health") < 10
    assert begun.count(gate.SPEECH_PATH) == 99
