from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from toy import RATE
from toy_voice import save_voice

from wavetts.demo import actions as demo_actions
from wavetts.demo.actions import MAX_SEED, Actions
from wavetts.errors import UserError
from wavetts.synthesis import catalog
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import load_voice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    save_voice(folder / "bundled" / "noise", stop="never")
    save_voice(folder / "models" / "run", stop="at once")
    (folder / "models" / "run" / "best.safetensors").write_bytes(
        (folder / "models" / "run" / "model.safetensors").read_bytes()
    )
    return folder


@pytest.fixture
def actions(folder, monkeypatch):
    monkeypatch.setattr(catalog, "BUNDLED", folder / "bundled")
    monkeypatch.setenv("WAVETTS_VOICES", str(folder / "mine"))
    return Actions(folder / "models", "cpu", 1, max_chars=40, max_long_chars=200)


def test_voices_and_models_have_names(actions, folder, monkeypatch):
    assert actions.names == ["noise", "run/best.safetensors", "run"]
    assert actions.voice("run") is actions.voice("run")
    assert Actions(folder / "models" / "run").names == ["noise", "best.safetensors", "run"]
    with pytest.raises(UserError, match="no voice '/etc/passwd' here; choose one of noise, run"):
        actions.voice("/etc/passwd")
    with pytest.raises(UserError, match="no model of wavetts in it or below it"):
        Actions(folder / "nothing")
    monkeypatch.setattr(catalog, "BUNDLED", folder / "nothing")
    with pytest.raises(UserError, match="name a folder of models"):
        Actions()


def test_few_voices_are_kept(actions, monkeypatch):
    monkeypatch.setattr(demo_actions, "_VOICES_KEPT", 1)
    first = actions.voice("run")
    actions.voice("noise")
    assert actions.voice("run") is not first


def test_speech_comes_in_pieces_and_is_that_of_the_library(actions, folder):
    (*parts, (rest, spoken)) = list(actions.speak("One. Two.", "noise", 0.5, 0.5, 3))
    assert len(rest) == 0
    assert len(parts) > 2
    assert len(parts[0][0]) == 0.2 * RATE
    settings = SynthesisSettings(temperature=0.5, seed=3, retries=0)
    expected = load_voice(folder / "bundled" / "noise", "cpu").say("One. Two.", settings=settings)
    audio = np.concatenate([chunk for chunk, _ in parts])
    np.testing.assert_allclose(audio, expected, atol=1e-4)
    np.testing.assert_array_equal(spoken.result.audio, audio)
    assert spoken.seconds == pytest.approx(len(audio) / RATE)
    assert 0 < spoken.first < spoken.working
    assert spoken.real_time_factor == spoken.working / spoken.seconds
    assert (spoken.finished, len(spoken.pieces)) == (2, 2)


def test_waiting_for_the_page_is_no_work(actions, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(demo_actions.time, "perf_counter", lambda: clock[0])
    working = []
    for _, spoken in actions.speak("One.", "noise", 0.5, 0.5, 0):
        working.append(spoken.working)
        clock[0] += 3600.0
    assert len(working) > 2
    assert not any(working)


def test_closing_stops_the_work(actions, monkeypatch):
    voice, steps = actions.voice("noise"), []
    step = voice.engine.decoder.step
    monkeypatch.setattr(voice.engine.decoder, "step", lambda *args: steps.append(1) or step(*args))
    speaking = actions.speak("One. Two.", "noise", 0.5, 0.5, 0)
    next(speaking)
    done = len(steps)
    speaking.close()
    assert len(steps) == done < 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": " "}, "no text: write something to say"),
        ({"text": None}, "no text: write something to say"),
        ({"text": "a" * 41}, "the text has 41 characters, the most here are 40"),
        ({"text": "..."}, "nothing to speak in it"),
        ({"name": "joe"}, "no voice 'joe' here"),
        ({"temperature": 2}, "temperature: 2 is not between 0 and 1.5"),
        ({"temperature": float("nan")}, "temperature: nan is not between"),
        ({"temperature": None}, "temperature: None is not between"),
        ({"stop_threshold": 1}, "stop_threshold: 1 is not between 0 and 1"),
        ({"seed": -1}, "seed: -1 is not a whole number"),
        ({"seed": 1.5}, "seed: 1.5 is not a whole number"),
        ({"seed": float("inf")}, "seed: inf is not a whole number"),
        ({"seed": None}, "seed: None is not a whole number"),
    ],
)
def test_mistakes_are_told(actions, change, message):
    arguments = {"text": "One.", "name": "noise", "temperature": 0.7, "stop_threshold": 0.5, "seed": 0, **change}
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        list(actions.speak(**arguments))


def test_compared_settings(actions):
    temperatures = actions.compared("temperatures", "0.5, 1", None, 3)
    assert [(one.temperature, one.seed) for one in temperatures] == [(0.5, 3), (1.0, 3)]
    seeds = actions.compared("seeds", "4 5;6", 0.6, None)
    assert [(one.temperature, one.seed) for one in seeds] == [(0.6, 4), (0.6, 5), (0.6, 6)]
    for values, message in (
        ("", "give 1 to 6 seeds with commas between; there are 0"),
        ("1 2 3 4 5 6 7", "there are 7"),
        ("1, two", "'two' is not a number; give seeds such as"),
        (f"{MAX_SEED + 1}", "is not a whole number between"),
    ):
        with pytest.raises(UserError, match=message):
            actions.compared("seeds", values, 0.7, 0)


def test_compare_speaks_each_once(actions):
    settings = actions.compared("seeds", "1, 2", 0.7, 0)
    compared = list(actions.compare("One.", "noise", settings))
    assert [one for one, _ in compared] == settings
    first, second = (spoken.result for _, spoken in compared)
    assert first.tries == second.tries == 1
    assert not np.allclose(first.audio, second.audio)
    assert compared[0][1].working > 0


def test_read_tells_how_far_it_is(actions, monkeypatch):
    monkeypatch.setattr(demo_actions, "_SENTENCES_AT_ONCE", 2)
    text = "One. Two. Three.\n\nFour. Five."
    progress = [(spoken.finished, spoken.result) for spoken in actions.read(text, "run", 0.7, 0)]
    assert [finished for finished, _ in progress] == [0, 1, 2, 3, 4, 5]
    assert [result is None for _, result in progress] == [True] * 5 + [False]
    expected = actions.voice("run").synthesize([(text, 0)])[0]
    np.testing.assert_allclose(progress[-1][1].audio, expected.audio, atol=1e-4)
    with pytest.raises(UserError, match="the most here are 200"):
        list(actions.read("a" * 201, "run", 0.7, 0))


def test_actions_import_no_gradio():
    code = "import sys, wavetts.demo.actions, wavetts.demo.views; assert 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
