"""The server as clients see it: a real uvicorn, OpenAI's own client, voices that speak noise quickly."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time

import httpx
import numpy as np
import openai
import pytest
from command_lines import ROOT
from decoding import decode
from live_server import ENDLESS, LONG, SETTINGS, client_of, figures, is_idle, serving
from toy_voice import save_voice
from waiting import until

from wavetts.audio.codecs import MEDIA_TYPES
from wavetts.server.app import Limits
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import load_voice

BROKEN_OFF = r"incomplete chunked read|peer closed"
# The toy voice knows few letters.
pytestmark = pytest.mark.filterwarnings("ignore:.*unknown to this voice", "ignore:.*this voice knows none")
TEXTS = ["one.", "First. Second one.\n\nThird.", "héllo, wörld", "two words 世界", "5 cats"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder / "noise", stop="never")
    save_voice(folder / "endless", stop="never")
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    """The voice of the server, in a copy that speaks nothing else."""
    return load_voice(folder / "noise", "cpu", 1)


@pytest.fixture(scope="module")
def url(folder):
    with serving(folder) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    with client_of(url) as client:
        yield client


def post(url, **fields) -> httpx.Response:
    body = {"model": "wavetts", "voice": "noise", "input": "one", "response_format": "wav", **fields}
    return httpx.post(f"{url}/v1/audio/speech", json=body, timeout=30)


def test_lists(client, url):
    assert [model.id for model in client.models.list()] == ["wavetts"]
    voices = httpx.get(f"{url}/v1/audio/voices").json()["voices"]
    assert voices[0] == {"id": "noise", "name": "noise", "language": "en-us", "sample_rate": 8000}
    assert [voice["id"] for voice in voices] == ["noise", "endless"]
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}


@pytest.mark.parametrize("text", TEXTS)
def test_whole_answer_is_what_the_voice_says(client, alone, text):
    answer = client.audio.speech.create(model="tts-1", voice="noise", input=text, response_format="wav")
    audio, rate = decode(answer.content, "wav")
    assert rate == 8000
    np.testing.assert_allclose(audio, alone.say(text, settings=SETTINGS), atol=2e-4)


def test_seed_and_temperature_of_a_request(client, alone):
    seen = []
    for extra in ({"seed": 7}, {"seed": 2**63 - 1}, {"temperature": 0.1}, {"seed": 7, "temperature": 0}):
        answer = client.audio.speech.create(
            model="wavetts", voice={"id": "noise"}, input="one", response_format="flac", extra_body=extra
        )
        audio, _ = decode(answer.content, "flac")
        settings = SynthesisSettings(**{**vars(SETTINGS), **extra})
        np.testing.assert_allclose(audio, alone.say("one", settings=settings), atol=2e-4)
        seen.append(audio.tobytes())
    assert len({*seen}) == 4


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_every_format_whole_and_streamed(client, alone, format):
    """The text speaks for 0.12 s in each of four sentences, with pauses between."""
    wanted = {"model": "wavetts", "voice": "endless", "input": "One. Two. Three. Four.", "response_format": format}
    whole = client.audio.speech.create(**wanted)
    assert whole.response.headers["content-type"] == MEDIA_TYPES[format]
    assert int(whole.response.headers["content-length"]) == len(whole.content)
    with client.audio.speech.with_streaming_response.create(**wanted, stream_format="audio") as answer:
        streamed = b"".join(answer.iter_bytes())
        assert answer.headers["content-type"] == MEDIA_TYPES[format]
        assert "content-length" not in answer.headers
    for data in (whole.content, streamed, *sse(client, wanted)[:1]):
        audio, rate = decode(data, format)
        assert len(audio) / rate == pytest.approx(4 * 0.12 + 3 * 0.05, abs=0.3 if format in ("mp3", "aac") else 1e-3)
        assert np.abs(audio).max() > 0.1


def sse(client, wanted) -> tuple[bytes, dict, int]:
    """A stream of events: the audio, the last event, the number of the others."""
    with client.audio.speech.with_streaming_response.create(**wanted, stream_format="sse") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    *deltas, last = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {delta["type"] for delta in deltas} <= {"speech.audio.delta"}
    return b"".join(base64.b64decode(delta["audio"]) for delta in deltas), last, len(deltas)


def test_streams_are_what_the_voice_streams(client, alone):
    for text in TEXTS:
        wanted = {"model": "wavetts", "voice": "noise", "input": text, "response_format": "flac"}
        data, last, _ = sse(client, wanted)
        stream = alone.stream(text, settings=SETTINGS)
        expected = np.concatenate(list(stream))
        np.testing.assert_allclose(decode(data, "flac")[0], expected, atol=2e-4)
        tokens = sum(len(piece.tokens) for piece in stream.pieces)
        frames = sum(len(take.alignment) for take in stream.takes)
        usage = {"input_tokens": tokens, "output_tokens": frames, "total_tokens": tokens + frames}
        assert last == {"type": "speech.audio.done", "usage": usage}


BAD = [
    ({"model": "gpt-5"}, 404, "model", "model_not_found"),
    ({"model": None}, 400, "model", "missing_required_parameter"),
    ({"voice": "nobody"}, 400, "voice", "voice_not_found"),
    ({"voice": "../noise"}, 400, "voice", "voice_not_found"),
    ({"voice": "http://127.0.0.1/model.safetensors"}, 400, "voice", "voice_not_found"),
    ({"voice": {"id": "nobody"}}, 400, "voice", "voice_not_found"),
    ({"voice": 3}, 400, "voice", "invalid_value"),
    ({"input": ""}, 400, "input", "empty_string"),
    ({"input": " \n"}, 400, "input", "empty_string"),
    ({"input": "..."}, 400, "input", "nothing_to_speak"),
    ({"input": "世界"}, 400, "input", "nothing_to_speak"),
    ({"input": "..", "stream_format": "sse"}, 400, "input", "nothing_to_speak"),
    ({"input": "a" * 4097}, 400, "input", "string_above_max_length"),
    ({"input": ["one"]}, 400, "input", "invalid_value"),
    ({"response_format": "ape"}, 400, "response_format", "unsupported_value"),
    ({"speed": 5}, 400, "speed", "invalid_value"),
    ({"speed": 0.2}, 400, "speed", "invalid_value"),
    ({"speed": "fast"}, 400, "speed", "invalid_value"),
    ({"stream_format": "ogg"}, 400, "stream_format", "invalid_value"),
    ({"temperature": 3}, 400, "temperature", "invalid_value"),
    ({"seed": -1}, 400, "seed", "invalid_value"),
    ({"seed": 2**63}, 400, "seed", "invalid_value"),
]


@pytest.mark.parametrize(("fields", "status", "param", "code"), BAD)
def test_bad_fields_are_named(url, fields, status, param, code):
    answer = post(url, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 200


def test_errors_raise_in_openais_client(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="wavetts", voice="nobody", input="one")
    assert (caught.value.param, caught.value.code) == ("voice", "voice_not_found")
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-5' here: wavetts"):
        client.audio.speech.create(model="gpt-5", voice="noise", input="one")
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="wavetts", file=b"sound")


def test_too_many_requests_are_told_to_come_back(folder):
    with serving(folder, ENDLESS, limits=Limits(max_requests=2)) as url, client_of(url) as client:
        wanted = {"model": "wavetts", "voice": "endless", "input": LONG, "response_format": "pcm"}
        create = client.audio.speech.with_streaming_response.create
        with create(**wanted, stream_format="audio") as first, create(**wanted, stream_format="sse") as second:
            # A response whose iterator is thrown away is closed.
            streams = [first.iter_bytes(), second.iter_bytes()]
            assert all([next(stream) for stream in streams])
            with pytest.raises(openai.RateLimitError) as caught:
                client.audio.speech.create(**wanted)
            assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
            assert caught.value.code == "overloaded"
            assert figures(url)["wavetts_open_requests"] == 2
        # They went away: their places are free.
        until(lambda: is_idle(url))
        assert client.audio.speech.create(**{**wanted, "voice": "noise", "input": "one"}).content
        found = figures(url)
        assert found['wavetts_requests_total{status="429"}'] == 1
        assert found['wavetts_requests_total{status="499"}'] == 2


def test_time_runs_out(folder):
    with serving(folder, ENDLESS, limits=Limits(timeout=0.8)) as url, client_of(url) as client:
        wanted = {"model": "wavetts", "voice": "endless", "input": LONG, "response_format": "pcm"}
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.speech.create(**wanted)
        assert (caught.value.status_code, caught.value.code) == (504, "timeout")
        # Its status was sent long ago: the answer breaks off.
        with (
            client.audio.speech.with_streaming_response.create(**wanted, stream_format="audio") as answer,
            pytest.raises(Exception, match=BROKEN_OFF),
        ):
            list(answer.iter_bytes())
        until(lambda: is_idle(url))
        assert figures(url)['wavetts_requests_total{status="504"}'] == 2


def test_client_that_goes_away_frees_its_place(folder):
    with serving(folder, ENDLESS) as url:
        for stream_format in (None, "audio", "sse"):
            with pytest.raises(httpx.TimeoutException), httpx.Client(timeout=0.3) as client:
                body = {"model": "wavetts", "voice": "endless", "input": LONG, "response_format": "opus"}
                with client.stream(
                    "POST", f"{url}/v1/audio/speech", json={**body, "stream_format": stream_format}
                ) as a:
                    # Opus has pages of a second, which take longer than the client's patience; or are skipped over.
                    for _ in a.iter_bytes():
                        raise httpx.ReadTimeout("enough")
            until(lambda: is_idle(url))
        assert figures(url)['wavetts_requests_total{status="499"}'] == 3


def test_defect_is_the_servers_fault_and_it_lives_on(folder, monkeypatch):
    from wavetts.model.generate import RunningBatch

    def fail(_):
        raise RuntimeError("defect")

    with serving(folder) as url:
        with monkeypatch.context() as patch:
            patch.setattr(RunningBatch, "step", fail)
            answer = post(url)
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "server_error"
        assert post(url).status_code == 200


def test_failure_in_the_middle_of_a_stream(folder, monkeypatch):
    from wavetts.model.generate import RunningBatch

    step, started = RunningBatch.step, []

    def fail_later(batch):
        if batch.speaking:
            started.append(time.monotonic())
            # Long enough for the first audio to be on its way, on a busy machine too.
            if started[-1] - started[0] > 1.0:
                started.clear()
                raise RuntimeError("defect")
        return step(batch)

    monkeypatch.setattr(RunningBatch, "step", fail_later)
    with serving(folder, ENDLESS) as url, client_of(url) as client:
        wanted = {"model": "wavetts", "voice": "endless", "input": LONG, "response_format": "pcm"}
        data, last, _ = sse(client, wanted)
        assert len(data) > 0
        assert last["type"] == "error"
        assert last["error"]["code"] == "speaking_failed"
        with (
            client.audio.speech.with_streaming_response.create(**wanted, stream_format="audio") as answer,
            pytest.raises(Exception, match=BROKEN_OFF),
        ):
            list(answer.iter_bytes())
        assert is_idle(url)


def test_readmes_client_and_curl(folder, tmp_path):
    section = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (curl,) = re.findall(r"^curl (?:.*\\\n)*.*\n", section, re.MULTILINE)
    used = set(re.findall(r'voice\\?"?[=:] ?"(\w+)"', code + curl))
    assert len(used) == 1
    shutil.copytree(folder / "noise", tmp_path / used.pop())
    (name,) = (path.name for path in tmp_path.iterdir())
    with serving(tmp_path, names=[name]) as url:
        where = f"cd '{tmp_path}' && "
        subprocess.run(["bash", "-c", where + curl.replace("http://127.0.0.1:8000", url)], check=True)
        exec(
            compile(
                code.replace("http://127.0.0.1:8000", url).replace('"hello.', f'"{tmp_path}/hello.'), "README", "exec"
            )
        )
    written = sorted(path for path in tmp_path.iterdir() if path.is_file())
    assert len(written) == 2
    for path in written:
        assert len(decode(path.read_bytes(), path.suffix[1:])[0]) > 0
