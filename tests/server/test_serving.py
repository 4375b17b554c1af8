from __future__ import annotations

import gc
import re
import shlex
import signal
import socket
import subprocess
import sys

import httpx
import openai
import pytest
from command_lines import ROOT, check_wavetts
from toy_voice import save_voice

from wavetts.server import connections
from wavetts.server import run as serving
from wavetts.synthesis import catalog


@pytest.fixture
def voices(tmp_path, monkeypatch):
    """A folder of named voices: one and two."""
    for name in ("one", "two"):
        save_voice(tmp_path / "voices" / name, stop="never")
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "voices")
    monkeypatch.setenv("WAVETTS_VOICES", str(tmp_path / "none"))
    return tmp_path / "voices"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--voice", "nobody"], "voice nobody: no such voice (one, two); give NAME=PATH"),
        (["--voice", "voices/one"], "voice voices/one: no such voice (one, two); give NAME=PATH"),
        (["--voice", "one="], "voice one=: expected NAME or NAME=PATH"),
        (["--voice", "=runs"], "voice =runs: expected NAME or NAME=PATH"),
        (["--voice", "one", "--voice", "one=voices/two"], "voice one=voices/two: there are two voices 'one'"),
        (["--voice", "a=none"], "none: no such model file, run folder or voice (one, two)"),
        (["--port", "65536"], "port 65536: cannot listen there: a port is a number from 0 to 65535"),
        (["--port", "http"], "argument --port: invalid int value: 'http'"),
        (["--host", "256.0.0.1"], "host 256.0.0.1, port 8000: cannot listen there: "),
        (["--api-key-file", "none"], "none: no such file"),
        (["--api-key-file", "empty"], "empty: the API key is empty"),
        (["--max-chars", "0"], "argument --max-chars: 0 is not a positive whole number"),
        (["--temperature", "-1"], "temperature: -1.0 is negative"),
    ],
)
def test_mistakes(run, voices, tmp_path, arguments, message):
    (tmp_path / "empty").write_text("\n")
    code, out, err = run("serve", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_port_that_is_taken(run, voices):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, _, err = run("serve", "--port", str(port))
    assert code == 2
    assert err == f"wavetts: error: host 127.0.0.1, port {port}: cannot listen there: Address already in use\n"


def test_voices_that_may_be_asked_for(voices, tmp_path):
    one, two = (voices / name / "model.safetensors" for name in ("one", "two"))
    assert serving._voice_paths([]) == {"one": one, "two": two}
    assert serving._voice_paths(["two"]) == {"two": two}
    assert serving._voice_paths([f"one={two.parent}", "two"]) == {"one": two.parent, "two": two}


def test_key_comes_from_file_or_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("WAVETTS_API_KEY", raising=False)
    assert serving._api_key(None) is None
    monkeypatch.setenv("WAVETTS_API_KEY", "of the environment")
    (tmp_path / "key").write_text("of the file\n")
    assert serving._api_key(None) == "of the environment"
    assert serving._api_key(tmp_path / "key") == "of the file"


def test_threads_share_pythons_lock_and_garbage_collection_is_short(run, voices, monkeypatch):
    """/health would wait for both while there is a crowd."""
    found = []

    def look(server, sockets):
        found.append((sys.getswitchinterval(), gc.get_freeze_count()))

    monkeypatch.setattr(connections.Server, "run", look)
    interval = sys.getswitchinterval()
    try:
        assert run("serve", "--port", "0")[0] == 0
    finally:
        sys.setswitchinterval(interval)
        gc.unfreeze()
    ((interval, frozen),) = found
    assert interval <= 0.001
    # Torch alone makes more objects.
    assert frozen > 100_000


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process(tmp_path, number):
    """It speaks, keeps texts to itself, and lets who is being answered have the rest when it is told to end."""
    save_voice(tmp_path / "noise", stop="never")
    flags = [f"--voice={name}={tmp_path / 'noise'}" for name in ("mine", "alloy")]
    # In float32 there is nothing to warn of where the C kernel was not built.
    flags += ["--port", "0", "--device", "cpu", "--threads", "1", "--precision", "float32"]
    words = [sys.executable, "-m", "wavetts", "serve", *flags, "--max_seconds", "2", "--batch-size", "1"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address, names = re.fullmatch(r"wavetts: speech at (\S+), voices: (.*)\n", process.stderr.readline()).groups()
        assert names == "mine, alloy"
        client = openai.OpenAI(base_url=address, api_key="none", timeout=30, max_retries=0)
        wanted = {
            "model": "wavetts",
            "voice": "alloy",
            "input": "Confidential words 世界. " * 6,
            "response_format": "pcm",
        }
        with client.audio.speech.with_streaming_response.create(**wanted, stream_format="audio") as answer:
            parts = answer.iter_bytes()
            size = len(next(parts))
            process.send_signal(number)
            size += sum(map(len, parts))
        assert size == 2 * 24000 * (6 * 2 + 5 * 0.2)
        assert process.wait(20) == 0
        out, err = process.communicate()
        assert "onfidential" not in out + err
        assert err == ""
    finally:
        process.kill()
        process.wait()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/models")


def test_image():
    """No Docker runs here: at least what the file names is there, and its command is one of ours."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = {word for step, rest in steps if step == "COPY" for word in rest.split()[:-1]}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'readme = "README.md"' in project and 'license-files = ["LICENSE"]' in project
    (pin,) = re.findall(r'"torch[<>=].*?"', project)
    assert pin in text
    found = dict(steps)
    assert found["USER"] != "root"
    check = eval(found["HEALTHCHECK"].partition(" CMD ")[2])
    compile(check[2], "HEALTHCHECK", "exec")
    program, *words = eval(found["ENTRYPOINT"])
    assert program == "wavetts"
    check_wavetts(words)
    assert words[words.index("--port") + 1] == found["EXPOSE"] in check[2].replace("/", ":").split(":")
    assert shlex.split(found["FROM"]) == ["python:3.12-slim"]
