"""How the process of a command begins and ends: closed streams, signals, what it prints of a stranger's file."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_voice import save_voice

from wavetts.errors import LONGEST_LINE, UserError, one_line, printable

COMMAND = f"{sys.executable} -m wavetts"
FAST = "--max-seconds 0.2 --retries 0 --threads 1 --device cpu"


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> str:
    return str(save_voice(tmp_path_factory.mktemp("voice"), stop="never"))


def shell(line: str) -> tuple[int, str]:
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    return done.returncode, done.stderr


def test_help_without_a_command(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.startswith("usage: wavetts")
    places = [out.index(f"\n  {name} ") for name in ("say", "synthesize", "preprocess", "train", "evaluate", "export")]
    assert places == sorted(places)
    assert "\nspeak:\n" in out and "\ntrain:\n" in out
    assert "None" not in run("say", "--help")[1]


def test_closed_streams(tmp_path, voice):
    out = tmp_path / "a.wav"
    assert shell(f"{COMMAND} say --voice {voice} {FAST} -o {out} <&-") == (
        2,
        "wavetts: error: standard input: no text in it\n",
    )
    code, _ = shell(f"{COMMAND} say Hello. --voice {voice} {FAST} -o {out} >&- <&-")
    assert code == 0 and out.stat().st_size == 44 + 2 * 1600
    assert shell(f"{COMMAND} say Hello. --voice {voice} {FAST} -o {out} 2>&-") == (0, "")
    for command in ("config", "voices --json", "--help"):
        assert shell(f"{COMMAND} {command} >&-") == (2, "wavetts: error: standard output is closed\n")
    for command in ("config", "voices --json"):
        assert shell(f"{COMMAND} {command} > /dev/full") == (2, "wavetts: error: No space left on device\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_in_the_temporary_folder(tmp_path, voice, number):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    # Reads text by phonemes, for which phonemizer copies a library; and cannot be done by then.
    code = (
        "from wavetts.text.phonemes import phonemize; phonemize('a'); print('ready', flush=True)\n"
        "import time; time.sleep(60)"
    )
    script = f"from wavetts import cli\ndef work(args):\n    exec({code!r})\ncli._run = work\ncli.main([])"
    command = [sys.executable, "-c", script]
    # Whoever runs the tests may ignore a hang-up.
    heeds = functools.partial(signal.signal, number, signal.SIG_DFL)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, preexec_fn=heeds) as process:
        assert process.stdout.readline() == b"ready\n"
        assert list(tmp_path.iterdir())
        process.send_signal(number)
    assert process.returncode == 128 + number
    assert not list(tmp_path.iterdir())


def test_an_ignored_hangup_stays_ignored(tmp_path):
    script = "from wavetts import cli; import time; cli._run = lambda args: time.sleep(1); cli.main([])"
    with subprocess.Popen(["nohup", sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=-3) as process:
        time.sleep(0.5)
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 0


def test_messages_are_short_and_printable():
    long = one_line(UserError(f"a.yaml: {'x' * 300_000} is not a number"))
    assert len(long) < LONGEST_LINE + 60
    assert long.startswith("a.yaml: xxx") and long.endswith("xxx is not a number")
    assert one_line(UserError("a\x1b[31mb\nc\u202ed\udc80")) == r"a\x1b[31mb\nc\u202ed\udc80"
    assert printable("Größe, naïve, 東京, a\u00a0b") == "Größe, naïve, 東京, a\u00a0b"


def test_names_of_voices_do_not_steer_the_terminal(run, tmp_path, monkeypatch):
    monkeypatch.setenv("WAVETTS_VOICES", str(tmp_path / "voices"))
    save_voice(tmp_path / "voices" / "x\x1b[2Jy")
    code, out, _ = run("voices")
    assert code == 0
    assert "\x1b" not in out
    assert r"x\x1b[2Jy" in out
    assert "\x1b" not in run("say", "Hello.", "--voice", "none")[2]


def test_memory_that_is_full_is_one_line(run, monkeypatch):
    from wavetts.cli import config

    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1")):

        def fail(_, error=error):
            raise error

        monkeypatch.setattr(config, "run", fail)
        assert run("config") == (2, "", "wavetts: error: memory is full: take a smaller model, batch or text\n")


def test_a_foreign_report_is_one_line(run, voice):
    Path("list.txt").write_text("one\n")
    Path("out").mkdir()
    for content, message in (
        (b"[1]\n", "report.jsonl:1: not a JSON object"),
        (b'{"a": 1}\n', "not a report of wavetts"),
    ):
        Path("out/report.jsonl").write_bytes(content)
        code, _, err = run("synthesize", voice, "--input", "list.txt", "--output-dir", "out", *FAST.split())
        assert code == 2
        assert message in err.splitlines()[-1]
        assert Path("out/report.jsonl").read_bytes() == content
