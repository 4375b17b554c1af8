from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wavetts.audio.player import PLAYERS, check_player, open_player, play_file
from wavetts.errors import UserError


@pytest.fixture
def install(monkeypatch, tmp_path):
    """`install(name, python)`: a program that is found, and no other."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(name: str, code: str) -> None:
        script = tmp_path / name
        script.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{code}\n")
        script.chmod(0o755)

    return make


@pytest.mark.parametrize("program", [name for name, (_, command) in PLAYERS.items() if command])
def test_samples_reach_every_player(install, tmp_path, program):
    install(program, f"Path('{tmp_path}/heard').write_text(repr((sys.argv[1:], sys.stdin.buffer.read())))")
    with open_player(22050) as sink:
        sink.write(b"ab")
        sink.write(b"cd")
    arguments, samples = eval((tmp_path / "heard").read_text())
    assert samples == b"abcd"
    assert "22050" in " ".join(arguments)
    assert not any("{" in argument for argument in arguments)


def test_file_is_played(install, tmp_path):
    install("afplay", f"Path('{tmp_path}/heard').write_text(repr(sys.argv[1:]))")
    play_file(Path("a.wav"))
    assert eval((tmp_path / "heard").read_text()) == ["a.wav"]
    with pytest.raises(UserError, match="no player is installed: install one of aplay, paplay, ffplay, play, or"):
        check_player()


def test_no_player_leaves_the_file_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    play_file("a.wav")


@pytest.mark.parametrize("code", ["sys.exit(1)", "sys.stdin.buffer.read(); sys.exit(1)"])
def test_player_that_fails_is_told(install, code):
    install("aplay", code)
    with pytest.raises(UserError, match="the player aplay failed; is there a sound device"), open_player(8000) as sink:
        for _ in range(100):
            sink.write(bytes(10_000))


def test_interrupt_ends_the_player(install, tmp_path):
    install("aplay", f"import time; Path('{tmp_path}/started').touch(); time.sleep(60)")
    with pytest.raises(KeyboardInterrupt), open_player(8000):
        while not (tmp_path / "started").exists():
            pass
        raise KeyboardInterrupt
