"""How the page is served: one line for what cannot be, a folder of its own, no files, an orderly end."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from live_page import connect
from paths import ROOT
from toy_voice import save_voice

from wavetts.demo import launch as demo
from wavetts.errors import UserError


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "port 99999 is not between 1 and 65535"),
        (["--port", "-1"], "port -1 is not between 1 and 65535"),
        (["--port", "0"], "port 0 is not between 1 and 65535"),
        (["--host", "300.1.1.1"], "host '300.1.1.1' is no address; 127.0.0.1 is this machine alone"),
        (["--host", ""], "host '' is no address"),
        # An address for documentation, of no machine.
        (["--host", "192.0.2.1", "--port", "7999"], "cannot listen at 192.0.2.1, port 7999: "),
    ],
)
def test_where_it_cannot_listen_takes_one_line(run, arguments, message):
    code, output, error = run("demo", *arguments)
    assert (code, output) == (2, "")
    assert error.startswith(f"wavetts: error: {message}") and error.count("\n") == 1


def test_a_port_in_use_is_told_and_passed_over(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen at 127.0.0.1, port {port}: Address already in use"):
            demo._free_port("127.0.0.1", port)
        monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
        monkeypatch.setattr(demo, "FIRST_PORT", port)
        assert port < demo._free_port("127.0.0.1", None) < port + demo.NUM_PORTS
        monkeypatch.setattr(demo, "NUM_PORTS", 1)
        with pytest.raises(UserError, match=f"any port from {port} to {port}"):
            demo._free_port("127.0.0.1", None)


def test_port_of_the_environment(monkeypatch, free_port):
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(free_port))
    assert demo._free_port("127.0.0.1", None) == free_port
    monkeypatch.setenv("GRADIO_SERVER_PORT", "web")
    with pytest.raises(UserError, match="GRADIO_SERVER_PORT=web is not a port"):
        demo._free_port("127.0.0.1", None)


def status(url: str, data: bytes | None = None) -> int:
    try:
        return urllib.request.urlopen(urllib.request.Request(url, data)).status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
def test_app_of_the_spaces_serves_the_page_and_leaves_nothing(tmp_path, free_port):
    """`python demo/app.py` where somebody else has the folder that Gradio would take; ended while it speaks."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (temporary / "gradio").write_text("not a folder, and not ours")
    save_voice(tmp_path / "voices" / "joe", stop="never")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"},
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(temporary),
        "WAVETTS_VOICES": str(tmp_path / "voices"),
        "GRADIO_SERVER_PORT": str(free_port),
        "OMP_NUM_THREADS": "1",
    }
    command, url = [sys.executable, str(ROOT / "demo" / "app.py")], f"http://127.0.0.1:{free_port}/"
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as app:
        try:
            assert app.stdout.readline() == f"{url} (Ctrl-C ends it)\n"
            answer = urllib.request.urlopen(url)
            assert "wavetts" in answer.read().decode()
            assert "default-src 'self'" in answer.headers["content-security-policy"]
            (folder,) = temporary.glob("wavetts-demo-*")
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

            form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'
            assert status(url + "gradio_api/upload", form) == 403
            for closed in ("upload?upload_id=1", "%75pload", "file=/etc/passwd", "deep_link", "vibe-code", "proxy=x"):
                assert status(url + "gradio_api/" + closed, b"") == 403, closed
                assert status(url + "gradio_api/" + closed) == 403, closed

            client = connect(url)
            client.submit("One. " * 200, "joe", 0.7, 0, 1, 0.5, 0, api_name="/read")
            while not client.predict("One.", "joe", 0.7, 0, 1, 0.5, 0, api_name="/speak"):
                pass
            # No speech is written, only what Gradio keeps for itself.
            assert not [path for path in files(temporary) if b"RIFF" in path.read_bytes()[:4]]
            started = time.monotonic()
        finally:
            app.terminate()
        assert app.wait(90) == 0
        assert time.monotonic() - started < 60
    assert files(temporary) == [temporary / "gradio"]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
