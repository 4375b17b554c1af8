"""Hundreds of requests at once, some of them broken, some abandoned: nothing is lost, mixed up or left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from decoding import decode
from live_server import LONG, SETTINGS, figures, is_idle, serving
from toy_voice import save_voice
from waiting import until

from wavetts.audio.codecs import StreamEncoder, encode
from wavetts.model.generate import Generation
from wavetts.server import app
from wavetts.server.app import Limits, Speech
from wavetts.server.batching import Job
from wavetts.synthesis.voice import load_voice

TEXTS = ["one.", "First. Second one.", "a much longer text, of several words.", "two words", "no"]
AT_ONCE, WAVES, PER_WAVE = 24, 4, 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder / "noise", stop="never")
    save_voice(folder / "endless", stop="never")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """What a voice alone gives for (text, seed, whether it is streamed)."""
    voice = load_voice(folder / "noise", "cpu", 1)
    answers = {}
    for text in TEXTS:
        for seed in range(2):
            answers[text, seed, False] = voice.say(text, seed, SETTINGS)
            answers[text, seed, True] = np.concatenate(list(voice.stream(text, seed, SETTINGS)))
    return answers


def test_answers_differ(expected):
    """Otherwise no test would find them mixed up."""
    heads = {answer[:100].tobytes() for answer in expected.values()}
    assert len(heads) >= 2 * len(TEXTS)


class Crowd:
    """Clients of all kinds, and what became of them."""

    def __init__(self, url, expected, seed):
        self.url, self.expected, self.dice = url, expected, random.Random(seed)
        self.places = asyncio.Semaphore(AT_ONCE)
        self.openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
        self.outcomes = Counter()

    async def run(self, count):
        kinds = self.dice.choices([self.ask, self.go_away, self.be_wrong], weights=[6, 2, 2], k=count)
        async with self.openai, httpx.AsyncClient(timeout=60) as self.http:
            await asyncio.gather(*(self.one(kind) for kind in kinds))
        assert self.outcomes.total() == count

    async def one(self, kind):
        async with self.places:
            self.outcomes[await kind()] += 1

    async def ask(self):
        (text, seed, streamed), answer = self.dice.choice(list(self.expected.items()))
        speech = await self.openai.audio.speech.create(
            model="wavetts",
            voice="noise",
            input=text,
            response_format="flac",
            extra_body={"seed": seed, **({"stream_format": "audio"} if streamed else {})},
        )
        audio, _ = decode(await speech.aread(), "flac")
        np.testing.assert_allclose(audio, answer, atol=2e-4)
        return "right"

    async def go_away(self):
        body = {"model": "wavetts", "voice": "endless", "input": LONG[:200], "response_format": "pcm"}
        body |= {"stream_format": self.dice.choice([None, "audio", "sse"])}
        request = self.http.build_request("POST", f"{self.url}/v1/audio/speech", json=body)
        try:
            async with asyncio.timeout(self.dice.uniform(0.0, 0.2)):
                answer = await self.http.send(request, stream=True)
                async for _ in answer.aiter_bytes():
                    await answer.aclose()
                    break
        except TimeoutError:
            pass
        return "gone"

    async def be_wrong(self):
        good = {"model": "wavetts", "voice": "noise", "input": "one"}
        bodies = [
            (b"{", 400),
            (json.dumps(good | {"voice": "/etc/passwd"}).encode(), 400),
            (json.dumps(good | {"input": "a" * 5000}).encode(), 400),
            (json.dumps(good | {"input": "!"}).encode(), 400),
            (json.dumps(good | {"model": "x"}).encode(), 404),
            (b" " * (Limits().max_body + 1), 413),
        ]
        body, status = self.dice.choice(bodies)
        headers = {"Content-Type": "application/json"}
        answer = await self.http.post(f"{self.url}/v1/audio/speech", content=body, headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]
        return "refused"


def resident() -> int:
    """Bytes of memory that this process, which the server is a part of, holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout")
def test_hundreds_of_requests(folder, expected):
    sizes, outcomes = [], Counter()
    with serving(folder, limits=Limits(max_requests=2 * AT_ONCE)) as url:
        for wave in range(WAVES):
            crowd = Crowd(url, expected, wave)
            asyncio.run(crowd.run(PER_WAVE))
            outcomes += crowd.outcomes
            until(lambda: is_idle(url))
            gc.collect()
            sizes.append(resident())
            # `isinstance` would wake up modules that others load when they are needed.
            left = {type(item) for item in gc.get_objects()} & {Speech, Job, Generation, StreamEncoder}
            assert not left
        found = figures(url)
    answered = {key: value for key, value in found.items() if key.startswith("wavetts_requests_total")}
    assert outcomes.total() == WAVES * PER_WAVE
    assert answered['wavetts_requests_total{status="200"}'] >= outcomes["right"] > 200
    assert outcomes["gone"] > 40 and outcomes["refused"] > 40
    # Who went away at once may never have arrived.
    assert WAVES * PER_WAVE - outcomes["gone"] <= sum(answered.values()) <= WAVES * PER_WAVE
    assert not any('"5' in key for key in answered)
    assert found["wavetts_batch_size_sum"] > 2 * found["wavetts_batch_size_count"], "no batches came about"
    # The first wave fills caches and pools.
    if sys.platform == "linux":
        assert sizes[-1] - sizes[0] < 30e6, sizes
    assert threading.active_count() < 60


@pytest.mark.slow
def test_overload_is_refused_and_openais_client_comes_back(folder, expected):
    """More clients than the server takes, which do as `Retry-After` says."""
    (text, seed, _), answer = next(iter(expected.items()))
    with serving(folder, limits=Limits(max_requests=3)) as url:

        async def ask(client):
            speech = await client.audio.speech.create(
                model="wavetts", voice="noise", input=text, response_format="flac", extra_body={"seed": seed}
            )
            np.testing.assert_allclose(decode(await speech.aread(), "flac")[0], answer, atol=2e-4)

        async def crowd():
            async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=8, timeout=60) as client:
                await asyncio.gather(*(ask(client) for _ in range(12)))

        asyncio.run(crowd())
        found = figures(url)
    assert found['wavetts_requests_total{status="200"}'] == 12
    assert found['wavetts_requests_total{status="429"}'] >= 1


def test_few_answers_are_encoded_at_once(folder, monkeypatch):
    """Otherwise the threads that encode would keep the network's thread waiting, and with it everybody."""
    running, most = set(), []

    def slow_encode(*arguments):
        running.add(threading.get_ident())
        most.append(len(running))
        time.sleep(0.1)
        running.discard(threading.get_ident())
        return encode(*arguments)

    monkeypatch.setattr(app, "encode", slow_encode)
    body = {"model": "wavetts", "voice": "noise", "input": "one", "response_format": "wav"}

    async def crowd(url):
        async with httpx.AsyncClient(timeout=60) as client:
            answers = await asyncio.gather(*(client.post(f"{url}/v1/audio/speech", json=body) for _ in range(16)))
        assert [answer.status_code for answer in answers] == [200] * 16

    with serving(folder) as url:
        asyncio.run(crowd(url))
    assert len(most) == 16
    assert max(most) <= 4
