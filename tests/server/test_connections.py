"""Clients that say nothing, say it slowly, do not listen or are too many."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from live_server import ENDLESS, LONG, figures, is_idle, serving
from toy_voice import save_voice
from waiting import until

from wavetts.server import connections
from wavetts.server.app import Limits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder / "noise", stop="never")
    save_voice(folder / "endless", stop="never")
    return folder


def connect(url: str, data: bytes = b"") -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    client.sendall(data)
    return client


def is_closed(client: socket.socket, seconds: float) -> bool:
    """Whether the server ends the connection within so many seconds."""
    client.settimeout(seconds)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


HALF_A_HEAD = b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("data", [b"", HALF_A_HEAD, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /heal"])
def test_who_sends_no_whole_head_is_cut_off(folder, monkeypatch, data):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with serving(folder) as url:
        client = connect(url, data)
        assert not is_closed(client, 0.2)
        assert is_closed(client, 5.0)
        assert httpx.get(f"{url}/health").status_code == 200


def test_a_slow_head_and_a_kept_connection_are_served(folder, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 3.0)
    with serving(folder) as url, connect(url) as client:
        for _ in range(2):
            for part in (b"GET /health HT", b"TP/1.1\r\nHost:", b" x\r\n\r\n"):
                client.sendall(part)
                time.sleep(0.2)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_idle_connections_make_room_for_new_ones(folder, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 12)
    with serving(folder) as url:
        idle = [connect(url, HALF_A_HEAD) for _ in range(50)]
        started = time.monotonic()
        with httpx.Client() as client:
            for _ in range(5):
                assert client.get(f"{url}/health").status_code == 200
        assert time.monotonic() - started < 2
        # The newest are those that are still there.
        assert [is_closed(client, 0.1) for client in (idle[0], idle[-1])] == [True, False]
        for client in idle:
            client.close()


def test_beyond_the_cap_the_server_is_busy(folder, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 8)
    body = json.dumps({"model": "wavetts", "voice": "endless", "input": LONG[:500], "response_format": "pcm"}).encode()
    head = HALF_A_HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(folder, ENDLESS, limits=Limits(max_requests=20)) as url:
        busy = [connect(url, head + body) for _ in range(8)]
        until(lambda: httpx.get(f"{url}/health").status_code == 503)
        answer = httpx.get(f"{url}/health")
        assert answer.json()["error"]["code"] == "overloaded"
        assert answer.headers["retry-after"]
        for client in busy:
            client.close()
        until(lambda: httpx.get(f"{url}/health").status_code == 200)
        until(lambda: is_idle(url))


def test_who_does_not_read_is_dropped_and_who_reads_slowly_is_not(folder, monkeypatch):
    monkeypatch.setattr(connections, "STALL_SECONDS", 1.5)
    monkeypatch.setattr(connections, "_SEND_BUFFER", 4096)
    body = {"model": "wavetts", "voice": "endless", "input": LONG[:200]}
    body = json.dumps(body | {"response_format": "pcm", "stream_format": "audio"}).encode()
    request = HALF_A_HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with serving(folder, ENDLESS) as url:
        host, port = url.removeprefix("http://").split(":")
        clients = []
        for _ in range(2):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            client.sendall(request)
            clients.append(client)
        deaf, slow = clients
        ended = threading.Event()

        def read_slowly():
            for _ in range(20):
                if not slow.recv(2048):
                    ended.set()
                time.sleep(0.25)

        reader = threading.Thread(target=read_slowly)
        reader.start()
        until(lambda: figures(url)["wavetts_open_requests"] == 2)
        until(lambda: figures(url)["wavetts_open_requests"] == 1)
        reader.join()
        assert not ended.is_set()
        assert figures(url)["wavetts_open_requests"] == 1
        slow.close()
        until(lambda: is_idle(url))
        deaf.close()


def test_errors_of_the_system_are_a_line_now_and_then(folder, caplog):
    import asyncio

    server = connections.Server(lambda *_: None, 1)
    loop = asyncio.new_event_loop()
    context = {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many open files")}
    with caplog.at_level(logging.DEBUG):
        for _ in range(1000):
            server._handle_exception(loop, context)
        loop.close()
    assert [record.getMessage() for record in caplog.records] == [
        "socket.accept() out of system resource: Too many open files"
    ]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file limits")
def test_200_idle_connections_with_128_files(folder, tmp_path):
    """The server's health is there throughout, somebody is answered, and the log stays short."""
    flags = ["--port=0", "--threads=1", "--max-seconds=0.2", f"--voice=noise={folder / 'noise'}"]
    command = [sys.executable, "-m", "wavetts", "serve", *flags]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(["bash", "-c", 'ulimit -n 128; exec "$@"', "-", *command], stderr=log)
    try:
        until(lambda: b"http" in (tmp_path / "log").read_bytes())
        url = (tmp_path / "log").read_text().split("speech at ")[1].split("/v1")[0]
        until(lambda: is_up(url))
        idle, times = [], []
        for _ in range(200):
            idle.append(connect(url, HALF_A_HEAD))
            if len(idle) % 10 == 0:
                started = time.monotonic()
                with connect(url, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") as client:
                    assert client.recv(65536).startswith(b"HTTP/1.1 200")
                times.append(time.monotonic() - started)
        body = {"model": "wavetts", "voice": "noise", "input": "one", "response_format": "wav"}
        assert httpx.post(f"{url}/v1/audio/speech", json=body, timeout=30).status_code == 200
        # Processes beside this one may hold it up once.
        assert sorted(times)[len(times) // 2] < 0.2, times
        assert os.path.getsize(tmp_path / "log") < 2000
    finally:
        process.terminate()
        process.wait(20)
    for client in idle:
        client.close()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False
