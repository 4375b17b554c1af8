from __future__ import annotations

import sys
import time

import pytest
import soundfile

from wavetts.audio.player import PLAYERS, open_player


@pytest.fixture
def install(monkeypatch, tmp_path):
    """`install(name, python)`: a program that is found, and no other."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(name: str, code: str) -> None:
        script = tmp_path / name
        script.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{code}\n")
        script.chmod(0o755)

    return make


@pytest.mark.parametrize("program", [name for name, command in PLAYERS.items() if "{file}" not in command])
def test_samples_reach_every_player(install, tmp_path, program):
    install(program, f"Path('{tmp_path}/heard').write_text(repr((sys.argv[1:], sys.stdin.buffer.read())))")
    with open_player(22050) as player:
        player.write(b"ab")
        player.write(b"cd")
    assert player.problem is None
    arguments, samples = eval((tmp_path / "heard").read_text())
    assert samples == b"abcd"
    assert "22050" in " ".join(arguments)
    assert not any("{" in argument for argument in arguments)


def test_a_player_of_files_gets_one(install, tmp_path):
    install("afplay", f"Path('{tmp_path}/heard.wav').write_bytes(Path(sys.argv[1]).read_bytes())")
    with open_player(8000) as player:
        player.write(b"\1\0" * 80)
        player.write(b"\2\0" * 80)
    assert player.problem is None
    samples, rate = soundfile.read(tmp_path / "heard.wav", dtype="int16")
    assert (rate, samples.tolist()) == (8000, [1] * 80 + [2] * 80)


def test_without_a_player_it_is_a_problem_and_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with open_player(8000) as player:
        player.write(b"ab")
    assert player.problem == "no player is installed (one of aplay, paplay, ffplay, play, afplay)"


@pytest.mark.parametrize("reads", ["", "sys.stdin.buffer.read()\n"])
def test_a_player_that_fails_is_a_problem_with_its_own_words(install, capfd, reads):
    install("aplay", f"{reads}print('ALSA lib: no card\\nno device \\n', file=sys.stderr)\nsys.exit(1)")
    with open_player(8000) as player:
        for _ in range(100):
            player.write(bytes(10_000))
    assert player.problem == "the player aplay failed (no device); is there a sound device?"
    assert capfd.readouterr().err == ""


def test_a_player_that_fails_with_an_exit_code_of_0(install):
    install("ffplay", "sys.stdin.buffer.read(); print('audio open failed\\nFailed to open pipe', file=sys.stderr)")
    with open_player(8000) as player:
        player.write(b"ab")
    assert player.problem == "the player ffplay failed (audio open failed); is there a sound device?"


def test_a_player_that_fails_in_silence(install):
    install("aplay", "sys.exit(3)")
    with open_player(8000) as player:
        player.write(b"ab")
    assert "failed (exit code 3)" in player.problem


def test_interrupt_ends_the_player(install, tmp_path):
    install("aplay", f"import time; Path('{tmp_path}/started').touch(); time.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), open_player(8000) as player:
        player.write(b"ab")
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 30
