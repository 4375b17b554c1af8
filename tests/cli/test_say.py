"""`wavetts say`: what is heard, what is written, and what is said of either."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import soundfile
from toy_voice import save_voice

FAST = ["--max-seconds", "0.2", "--retries", "0", "--threads", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> str:
    return str(save_voice(tmp_path_factory.mktemp("voice"), stop="never"))


@pytest.fixture
def player(monkeypatch, tmp_path):
    """A player named aplay, the only program there is; `played()` tells what it was given: arguments, input."""
    script = tmp_path / "bin" / "aplay"
    script.parent.mkdir()
    heard = tmp_path / "heard"
    copy = f"{sys.executable} -c 'import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())' > {heard}"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{copy}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))

    def played() -> tuple[str, bytes] | None:
        arguments = tmp_path / "arguments"
        if not arguments.exists():
            return None
        given = arguments.read_text().strip(), heard.read_bytes()
        arguments.unlink()
        return given

    return played


def test_say_plays_while_it_speaks_and_leaves_no_file(run, voice, player):
    code, out, err = run("say", "One.", "--voice", voice, *FAST, "Two.")
    assert (code, out) == (0, "")
    assert "wavetts: warning: 2 of 2 sentences did not reach their end in 1 tries, the first: 'One.'" in err
    assert "0.6 s of speech in" in err
    assert "the first after 0." in err
    assert "wrote" not in err
    arguments, samples = player()
    assert arguments == "-q -t raw -f S16_LE -c 1 -r 8000"
    assert len(samples) == 2 * 0.6 * 8000
    assert not list(Path().glob("*.wav"))
    assert run("say", "--voice", voice, "--play", "-o", "a.wav", *FAST, "One. Two.")[0] == 0
    assert player()[1] == samples == Path("a.wav").read_bytes()[44:]


def test_say_takes_a_pipe(run, voice, player):
    assert run("say", "--voice", voice, *FAST, stdin=b"One. Two.\n")[0] == 0
    assert len(player()[1]) == 2 * 0.6 * 8000
    code, _, err = run("say", "--voice", voice, *FAST, stdin=b"")
    assert (code, err) == (2, "wavetts: error: standard input: no text in it\n")


def test_say_to_a_file_does_not_play(run, voice, monkeypatch, player):
    code, _, err = run("say", "Hello.", "--voice", voice, "-o", "a.wav", *FAST)
    assert code == 0
    assert "wrote a.wav: 0.2 s of speech in" in err
    assert player() is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, _, err = run("say", "Hello.", "--voice", voice, "-o", "-", *FAST)
    assert (code, err) == (
        2,
        "wavetts: error: standard output is a terminal: send the audio on (-o - | aplay) or give -o FILE\n",
    )


@pytest.mark.parametrize("arguments", [[], ["--play", "-o", "other.wav"]])
def test_what_was_not_heard_is_written_and_said(run, voice, monkeypatch, tmp_path, arguments):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    output = arguments[-1] if arguments else "speech.wav"
    code, _, err = run("say", "One.", "--voice", voice, *arguments, *FAST)
    assert code == 0
    assert "not heard: no player is installed (one of aplay, paplay, ffplay, play, afplay)\n" in err
    assert f"wrote {output}: 0.2 s of speech in" in err
    assert soundfile.info(output).duration == 0.2


def test_a_player_that_fails_is_said_and_the_speech_is_written(run, voice, player, tmp_path):
    (tmp_path / "bin" / "aplay").write_text("#!/bin/sh\necho no sound card >&2\nexit 1\n")
    code, _, err = run("say", "One.", "--voice", voice, *FAST)
    assert code == 0
    assert "not heard: the player aplay failed (no sound card); is there a sound device?\nwrote speech.wav: " in err
    assert soundfile.info("speech.wav").duration == 0.2


def test_what_can_be_neither_heard_nor_written_is_an_error(run, voice, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "speech.wav").mkdir()
    code, _, err = run("say", "One.", "--voice", voice, *FAST)
    assert code == 2
    assert err.endswith(
        "wavetts: error: not heard: no player is installed (one of aplay, paplay, ffplay, play, afplay);"
        " and -o speech.wav: cannot be written; choose another file with -o\n"
    )
