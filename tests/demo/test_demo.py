"""The page as a browser meets it: a real server, asked through Gradio's client."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import soundfile
from paths import ROOT
from toy import RATE
from toy_voice import save_voice

from wavetts.demo.actions import Actions
from wavetts.synthesis import catalog

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from wavetts.demo import page as demo

    folder = tmp_path_factory.mktemp("demo")
    save_voice(folder / "bundled" / "noise", stop="never")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "BUNDLED", folder / "bundled")
        patch.setenv("WAVETTS_VOICES", str(folder / "mine"))
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "cache"))
        page = demo.launch(Actions(None, "cpu", 1, max_chars=40, max_long_chars=200), block=False)
        yield page
        page.blocks.close()


@pytest.fixture(scope="module")
def client(page):
    from gradio_client import Client

    return Client(page.blocks.local_url, verbose=False, analytics_enabled=False)


def test_page_asks_nobody_else(page):
    html = urllib.request.urlopen(page.blocks.local_url).read().decode()
    assert page.blocks.share_url is None
    assert page.blocks.server_name == "127.0.0.1"
    config = json.loads(urllib.request.urlopen(page.blocks.local_url + "config").read())
    assert not config["analytics_enabled"]
    for address in re.findall(r"(?:src|href)=\"(https?://[^\"]+)\"", html):
        assert "127.0.0.1" in address, address
    assert not re.findall(r"fonts\.(?:googleapis|gstatic)", html + json.dumps(config["theme"]))


def test_only_loopback_reaches_it(page):
    """The socket is bound to the loopback address, not to all of them."""
    port = page.blocks.server_port
    with socket.socket() as other:
        # Another loopback address is refused: bound to 0.0.0.0 it would be taken.
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_speak_streams_and_gives_the_recording(client):
    job = client.submit("One. Two.", "noise", 0.7, 0.5, 3, api_name="/speak")
    status, live, recording, read, spectrogram, alignment = job.result(timeout=120)
    assert "of speech made in" in status
    assert live
    info = soundfile.info(recording)
    assert (info.samplerate, info.subtype) == (RATE, "PCM_16")
    # Two sentences of six tokens: 1 s and 0.2 s a token, and a pause between.
    assert info.duration == pytest.approx(2 * 2.2 + 0.2)
    assert "one." in read
    assert spectrogram["plot"].startswith("data:image/")
    assert alignment["plot"].startswith("data:image/")
    # Status and sound came while it was made.
    assert len({output[0] for output in job.outputs()}) > 3


def test_same_seed_gives_the_same_recording(client):
    first, second, other = (
        soundfile.read(client.predict("One.", "noise", 0.7, 0.5, seed, api_name="/speak")[2])[0] for seed in (1, 1, 2)
    )
    assert (first == second).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a" * 41, "noise", 0.7, 0.5, 0), "the text has 41 characters, the most here are 40"),
        (("...", "noise", 0.7, 0.5, 0), "nothing to speak in it"),
        (("One.", "/etc/passwd", 0.7, 0.5, 0), "/etc/passwd"),
        (("One.", "noise", 99, 0.5, 0), "99"),
    ],
)
def test_mistakes_are_messages_and_the_page_lives_on(client, arguments, message):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match=message):
        client.predict(*arguments, api_name="/speak")
    assert "1 of 1 sentences" in client.predict("One.", "noise", 0.7, 0, api_name="/read")[0]


def test_compare(client):
    job = client.submit("One.", "noise", "seeds", "1, 2", 0.7, 0, api_name="/compare")
    assert "2 of 2" in job.result(timeout=120)[0]
    # Every step fills one card: audio, figures, spectrogram.
    audio = [job.outputs()[number][1 + 3 * number] for number in range(2)]
    assert [card["label"] for card in audio] == ["Seed 1", "Seed 2"]
    first, second = (soundfile.read(card["value"])[0] for card in audio)
    assert (first != second).any()


def test_read_a_long_text(client):
    status, recording = client.predict("One. Two.\n\nThree.", "noise", 0.7, 0, api_name="/read")
    assert "3 of 3 sentences" in status
    assert soundfile.info(recording).duration > 6


def test_cancel_ends_the_work(client, page, monkeypatch):
    voice, steps = page.actions.voice("noise"), []
    step = voice.model.decoder.step

    def slow(*args):
        steps.append(1)
        # 11 s in all if nobody stopped it.
        time.sleep(0.05)
        return step(*args)

    monkeypatch.setattr(voice.engine.decoder, "step", slow)
    job = client.submit("One. Two.", "noise", 0.7, 0.5, 0, api_name="/speak")
    while len(job.outputs()) < 3:
        time.sleep(0.05)
    job.cancel()
    time.sleep(2)
    done = len(steps)
    time.sleep(1)
    assert len(steps) == done < 200


def test_app_of_the_spaces_serves_the_page(tmp_path):
    """`python demo/app.py`, at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(ROOT / "demo" / "app.py")]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as app:
        try:
            assert app.stdout.readline() == f"http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
            assert "wavetts" in urllib.request.urlopen(f"http://127.0.0.1:{port}/").read().decode()
        finally:
            app.terminate()
