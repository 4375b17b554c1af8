"""What clients of OpenAI's endpoint send and expect besides text and voice."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from decoding import decode
from live_server import serving
from toy_voice import save_voice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder / "noise", stop="never")
    return folder


@pytest.fixture(scope="module")
def url(folder):
    with serving(folder, names=["noise"], api_key="secret", origins=["https://page.example"]) as url:
        yield url


KEY = {"Authorization": "Bearer secret"}


def speak(url: str, **fields: object) -> httpx.Response:
    body = {"model": "wavetts", "voice": "noise", "input": "one", "response_format": "wav", **fields}
    return httpx.post(f"{url}/v1/audio/speech", json=body, headers=KEY, timeout=30)


def test_speed_changes_the_duration_alone(url):
    usual, same, fast = (decode(speak(url, **fields).content, "wav")[0] for fields in ({}, {"speed": 1}, {"speed": 2}))
    assert np.array_equal(usual, same)
    assert len(fast) == pytest.approx(len(usual) / 2, abs=2)


def test_what_makes_no_difference_is_ignored_and_named(url):
    usual = speak(url)
    assert "X-Wavetts-Ignored" not in usual.headers
    answer = speak(url, instructions="whisper", pitch=2, seed=None, temperature=None, speed=None, stream_format=None)
    assert answer.status_code == 200
    assert answer.headers["X-Wavetts-Ignored"] == "instructions, pitch"
    assert answer.content == usual.content
    assert speak(url, **{"a\r\nb": 1}).headers["X-Wavetts-Ignored"] == "unknown fields"


def test_null_is_no_value_where_one_is_needed(url):
    error = speak(url, input=None).json()["error"]
    assert (error["param"], error["code"]) == ("input", "missing_required_parameter")


def test_a_model_by_its_name(url):
    for name in ("wavetts", "tts-1"):
        assert httpx.get(f"{url}/v1/models/{name}", headers=KEY).json()["id"] == name
    missing = httpx.get(f"{url}/v1/models/gpt-5", headers=KEY)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/wavetts", "/v1/audio/voices", "/health", "/metrics"])
def test_head_is_get_without_its_body(url, path):
    answer = httpx.head(url + path, headers=KEY)
    assert (answer.status_code, answer.content) == (200, b"")


def test_preflights_need_no_key_and_requests_do(url):
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization, content-type"
    preflight = httpx.options(f"{url}/v1/audio/speech", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://page.example"
    other = httpx.options(f"{url}/v1/audio/speech", headers={**asked, "Origin": "https://other.example"})
    assert other.status_code == 400 and "Access-Control-Allow-Origin" not in other.headers
    assert httpx.get(f"{url}/v1/models", headers={"Origin": "https://page.example"}).status_code == 401
    answer = httpx.get(f"{url}/v1/models", headers={**KEY, "Origin": "https://page.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
