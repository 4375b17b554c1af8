"""The page as a program meets it: a real server, asked through Gradio's client."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.request

import pytest
import soundfile
from live_page import connect, serve
from toy import RATE

pytestmark = pytest.mark.slow

# Temperature, guidance, speed, stop threshold, seed.
FIELDS = (0.7, 0, 1, 0.5, 0)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("demo"), max_chars=40, max_long_chars=1000) as page:
        yield page


@pytest.fixture(scope="module")
def client(page):
    return connect(page.blocks.local_url)


@pytest.fixture
def recorded(page, tmp_path):
    """`recorded(address)` -> samples and rate of a recording."""

    def fetch(address: str):
        path = tmp_path / "speech.wav"
        path.write_bytes(urllib.request.urlopen(page.blocks.local_url + address).read())
        return soundfile.read(path, dtype="int16")

    return fetch


def test_page_asks_nobody_else(page):
    answer = urllib.request.urlopen(page.blocks.local_url)
    html = answer.read().decode()
    assert page.blocks.share_url is None
    assert page.blocks.server_name == "127.0.0.1"
    config = json.loads(urllib.request.urlopen(page.blocks.local_url + "config").read())
    assert not config["analytics_enabled"]
    for address in re.findall(r"(?:src|href)=\"(https?://[^\"]+)\"", html):
        assert "127.0.0.1" in address, address
    assert not re.findall(r"fonts\.(?:googleapis|gstatic)", html + json.dumps(config["theme"]))
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_only_loopback_reaches_it(page):
    """The socket is bound to the loopback address, not to all of them."""
    port = page.blocks.server_port
    with socket.socket() as other:
        # Another loopback address is refused: bound to 0.0.0.0 it would be taken.
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_speak_streams_and_gives_the_recording(client, recorded):
    job = client.submit("One. Two.", "noise", 0.7, 0, 1, 0.5, 3, api_name="/speak")
    status, address, result = job.result(timeout=120)
    assert "of speech made in" in status
    samples, rate = recorded(address)
    assert rate == RATE
    # Two sentences of six tokens: 1 s and 0.2 s a token, and a pause between.
    assert len(samples) / rate == pytest.approx(2 * 2.2 + 0.2)
    assert "one." in result
    assert result.count("data:image/png") == 3
    # Status and address came while it was made.
    outputs = job.outputs()
    assert len({output[0] for output in outputs}) > 3
    assert outputs[0][1] == address


def test_the_recording_is_heard_while_it_is_made(client, page):
    job = client.submit("One. " * 100, "noise", *FIELDS, api_name="/read")
    while not job.outputs():
        time.sleep(0.01)
    with urllib.request.urlopen(page.blocks.local_url + job.outputs()[0][1]) as answer:
        assert answer.headers["content-length"] is None
        assert answer.read(44)[:4] == b"RIFF"
        assert len(answer.read(RATE)) == RATE
        assert not job.done()
        job.cancel()
        # What was finished when it was stopped is all there is, and it is kept.
        rest = answer.read()
    whole = urllib.request.urlopen(page.blocks.local_url + job.outputs()[0][1]).read()
    assert len(whole) == 44 + RATE + len(rest)
    assert len(whole) < 2 * RATE * 50 * 2.2


def test_same_seed_gives_the_same_recording(client, recorded):
    first, second, other = (
        recorded(client.predict("One.", "noise", 0.7, 0, 1, 0.5, seed, api_name="/speak")[1])[0] for seed in (1, 1, 2)
    )
    assert (first == second).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a" * 41, "noise", *FIELDS), "the text has 41 characters, the most here are 40"),
        (("...", "noise", *FIELDS), "nothing to speak in it"),
        (("One.", "/etc/passwd", *FIELDS), "/etc/passwd"),
        (("One.", "noise", 99, *FIELDS[1:]), "99"),
    ],
)
def test_mistakes_are_messages_and_the_page_lives_on(client, arguments, message):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match=message):
        client.predict(*arguments, api_name="/speak")
    assert "1 of 1 sentences" in client.predict("One.", "noise", *FIELDS, api_name="/read")[0]


def test_compare(client, recorded):
    job = client.submit("One.", "noise", "seeds", [], "", "1, 2", *FIELDS, api_name="/compare")
    status, *cards = job.result(timeout=120)
    assert "2 of 2" in status
    assert ["Seed 1" in cards[0], "Seed 2" in cards[3], cards[6]] == [True, True, ""]
    # A card's recording comes once; its picture again when another one is there, on the same axes.
    first, second = (recorded(job.outputs()[number][2 + 3 * number])[0] for number in range(2))
    assert (first != second).any()
    assert cards[2].count("data:image/png") == 1


def test_read_a_long_text(client, recorded):
    status, address = client.predict("One. Two.\n\nThree.", "noise", *FIELDS, api_name="/read")
    assert "3 of 3 sentences" in status
    samples, rate = recorded(address)
    assert len(samples) > 6 * rate


def test_a_long_text_does_not_hold_up_a_short_one(client):
    long = client.submit("One. " * 200, "noise", *FIELDS, api_name="/read")
    while not long.outputs():
        time.sleep(0.01)
    assert "of speech made in" in client.predict("One.", "noise", *FIELDS, api_name="/speak")[0]
    assert not long.done()
    long.cancel()


def test_cancel_ends_the_work(client, page, monkeypatch):
    voice, steps = page.actions.voice("noise"), []
    step = voice.model.decoder.step

    def slow(*args):
        steps.append(1)
        # 11 s in all if nobody stopped it.
        time.sleep(0.05)
        return step(*args)

    monkeypatch.setattr(voice.engine.decoder, "step", slow)
    # The sentence that a stopped reader was at may still be spoken.
    before = -1
    while before != len(steps):
        before = len(steps)
        time.sleep(0.5)
    steps.clear()
    job = client.submit("One. Two.", "noise", *FIELDS, api_name="/speak")
    while len(job.outputs()) < 3:
        time.sleep(0.05)
    job.cancel()
    time.sleep(2)
    done = len(steps)
    time.sleep(1)
    assert len(steps) == done < 200


def test_requests_beyond_the_queue_are_told(page):
    client = connect(page.blocks.local_url)
    jobs = [client.submit("One. " * 200, "noise", *FIELDS, api_name="/read") for _ in range(20)]
    errors = []
    watchers = [threading.Thread(target=lambda job=job: errors.append(job.exception(120))) for job in jobs]
    for watcher in watchers:
        watcher.start()
    while not errors:
        time.sleep(0.05)
    for job in jobs:
        job.cancel()
    assert "full" in str(errors[0]).lower()
