"""Speech that the page's players fetch: followed while it is made, whole afterwards, kept in memory alone."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
import soundfile
from starlette.applications import Starlette
from starlette.testclient import TestClient

from wavetts.audio.waveform import streaming_wav_header, to_pcm
from wavetts.demo.recordings import Recordings

RATE = 8000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 800)).astype(np.float32)


@pytest.fixture
def recordings():
    return Recordings()


@pytest.fixture
def client(recordings):
    return TestClient(Starlette(routes=[recordings.route()]))


def test_what_is_made_is_followed_until_it_is_closed(recordings):
    recording = recordings.new("joe", RATE)

    async def follow() -> tuple[list[bytes], bytes]:
        recording.append(NOISE[0])
        early, late = recording.follow(), []
        header, first = await anext(early), await anext(early)
        waiting = asyncio.ensure_future(anext(early))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        recording.append(NOISE[1])
        recording.append(NOISE[2])
        late.append(await waiting)
        recording.close()
        late += [part async for part in early]
        # Who comes late gets all of it, too.
        return [header, first, *late], b"".join([part async for part in recording.follow()])

    parts, whole = asyncio.run(follow())
    samples = to_pcm(NOISE[:3].ravel()).tobytes()
    assert parts[0] == streaming_wav_header(RATE)
    assert parts[1] == samples[:1600]
    assert b"".join(parts) == whole == parts[0] + samples


def test_a_closed_one_is_an_ordinary_wav(recordings, client):
    recording = recordings.new("joe", RATE)
    recording.append(NOISE[0])
    recording.append(NOISE[1])
    recording.close()
    answer = client.get("/" + recording.path)
    assert answer.headers["content-type"] == "audio/wav"
    assert int(answer.headers["content-length"]) == 44 + 2 * 1600
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate == RATE
    np.testing.assert_array_equal(samples, to_pcm(NOISE[:2].ravel()))


def test_addresses_cannot_be_guessed_and_names_are_safe(recordings, client):
    one, other = (recordings.new('../../etc/"pass wd"\n', RATE) for _ in range(2))
    assert one.path != other.path
    token, name = one.path.split("/")[1:]
    assert len(token) >= 20
    assert name == "..-..-etc--pass-wd--.wav"
    one.close()
    assert client.get(f"/speech/{token[:-1]}x/{name}").status_code == 404
    assert client.get(f"/speech/{token}/other.wav").status_code == 404


def test_the_oldest_go_when_there_is_too_much():
    recordings = Recordings(most_bytes=2 * 1600)
    client = TestClient(Starlette(routes=[recordings.route()]))
    kept = []
    for _ in range(4):
        recording = recordings.new("joe", RATE)
        recording.append(NOISE[0])
        recording.close()
        kept.append(recording.path)
    assert [client.get("/" + path).status_code for path in kept] == [404, 200, 200, 200]
