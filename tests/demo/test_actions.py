from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading

import numpy as np
import pytest
from toy import RATE
from toy_voice import save_voice

from wavetts.demo import actions as demo_actions
from wavetts.demo.actions import MAX_SEED, Actions, Variant, page_settings
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
    with pytest.raises(UserError, match="no voice comes with this installation; name a folder of models"):
        Actions()


def test_few_voices_are_kept(actions, monkeypatch):
    monkeypatch.setattr(demo_actions, "_VOICES_KEPT", 1)
    first = actions.voice("run")
    actions.voice("noise")
    assert actions.voice("run") is not first


SETTINGS = SynthesisSettings(temperature=0.5, seed=3)


def test_a_voice_has_its_card_and_a_model_none(actions):
    assert actions.entry("noise").language == "en-us"
    assert actions.entry("run") is None
    with pytest.raises(UserError, match="no voice 'joe' here"):
        actions.entry("joe")


def test_speech_comes_in_pieces_and_is_that_of_the_library(actions, folder):
    (*parts, (rest, spoken)) = list(actions.speak("One. Two.", "noise", SETTINGS))
    assert len(rest) == 0
    assert len(parts) > 2
    assert len(parts[0][0]) == 0.2 * RATE
    settings = dataclasses.replace(SETTINGS, retries=0)
    expected = load_voice(folder / "bundled" / "noise", "cpu").say("One. Two.", settings=settings)
    audio = np.concatenate([chunk for chunk, _ in parts])
    np.testing.assert_allclose(audio, expected, atol=1e-4)
    np.testing.assert_array_equal(spoken.result.audio, audio)
    assert spoken.seconds == pytest.approx(len(audio) / RATE)
    assert 0 < spoken.first < spoken.working
    assert spoken.real_time_factor == spoken.working / spoken.seconds
    assert (spoken.finished, len(spoken.pieces)) == (2, 2)


@pytest.mark.parametrize("function", ["speak", "read"])
def test_waiting_for_the_page_is_no_work(actions, monkeypatch, function):
    clock = [0.0]
    monkeypatch.setattr(demo_actions.time, "perf_counter", lambda: clock[0])
    working = []
    for samples, spoken in getattr(actions, function)("One. Two. Three.", "noise", SETTINGS):
        if len(samples):
            working.append(spoken.working)
            clock[0] += 3600.0
    assert len(working) > 2
    assert not any(working)


def test_closing_stops_the_work(actions, monkeypatch):
    voice, steps = actions.voice("noise"), []
    step = voice.engine.decoder.step
    monkeypatch.setattr(voice.engine.decoder, "step", lambda *args: steps.append(1) or step(*args))
    speaking = actions.speak("One. Two.", "noise", SETTINGS)
    next(speaking)
    done = len(steps)
    speaking.close()
    assert len(steps) == done < 20


@pytest.mark.parametrize(
    ("function", "text", "message"),
    [
        ("speak", " ", "no text: write something to say"),
        ("speak", None, "no text: write something to say"),
        ("speak", "...", "nothing to speak in it"),
        ("speak", "a" * 41, "the text has 41 characters, the most here are 40; nothing was cut"),
        ("read", "a" * 201, "the text has 201 characters, the most here are 200; nothing was cut"),
        ("read", " ", "no text: write something to say"),
    ],
)
def test_texts_that_cannot_be_spoken(actions, function, text, message):
    with pytest.raises(UserError, match=message):
        list(getattr(actions, function)(text, "noise", SETTINGS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 2}, "temperature: 2 is not between 0 and 1.5"),
        ({"temperature": float("nan")}, "temperature: nan is not between"),
        ({"temperature": None}, "temperature: None is not between"),
        ({"guidance": 1.1}, "guidance: 1.1 is not between 0 and 1"),
        ({"stop_threshold": 1}, "stop threshold: 1 is not between"),
        ({"seed": -1}, "seed: -1 is not a whole number"),
        ({"seed": 1.5}, "seed: 1.5 is not a whole number"),
        ({"seed": float("inf")}, "seed: inf is not a whole number"),
        ({"seed": None}, "seed: None is not a whole number"),
        ({"speed": 3}, "speed: 3 is not between 0.5 and 2"),
    ],
)
def test_fields_of_the_page(change, message):
    fields = {"temperature": 0.7, "guidance": 0.25, "speed": 1.25, "stop_threshold": 0.4, "seed": 5}
    settings = page_settings(**fields)
    assert (settings.temperature, settings.guidance, settings.stop_threshold) == (0.7, 0.25, 0.4)
    assert (settings.speed, settings.seed) == (1.25, 5)
    with pytest.raises(UserError, match=message):
        page_settings(**{**fields, **change})


def test_a_long_text_can_be_stopped_within_a_sentence(actions, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(actions.voice("run"), "speak", lambda *_: release.wait(60))
    reading = actions.read("One. Two.", "run", SETTINGS)
    for _ in range(3):
        samples, spoken = next(reading)
        assert (len(samples), spoken.finished) == (0, 0)
    reading.close()
    release.set()


@pytest.mark.parametrize("function", ["speak", "read"])
def test_speed(actions, function):
    """Twice as fast, half as long, the pauses too; what is heard is what is counted and kept."""
    fast = dataclasses.replace(SETTINGS, speed=2.0)
    for settings, expected in ((SETTINGS, 4.6), (fast, 2.3)):
        *_, (_, spoken) = parts = list(getattr(actions, function)("One. Two.", "noise", settings))
        heard = sum(len(samples) for samples, _ in parts) / RATE
        assert heard == pytest.approx(expected, abs=0.02)
        assert spoken.seconds == pytest.approx(heard)
        assert spoken.result.seconds == pytest.approx(heard, abs=0.01)


def test_what_is_compared(actions):
    temperatures = actions.variants("temperatures", "0.5, 1", "run", SETTINGS)
    assert [(one.voice, one.settings.temperature, one.settings.seed) for one in temperatures] == [
        ("run", 0.5, 3),
        ("run", 1.0, 3),
    ]
    seeds = actions.variants("seeds", "4 5;6", "run", SETTINGS)
    assert [(one.settings.temperature, one.settings.seed) for one in seeds] == [(0.5, 4), (0.5, 5), (0.5, 6)]
    voices = actions.variants("voices", ["noise", "run"], "noise", SETTINGS)
    # Each as it is meant to sound, with the same noise.
    assert [(one.label, one.settings.temperature, one.settings.seed) for one in voices] == [
        ("noise", None, 3),
        ("run", None, 3),
    ]
    for what, values, message in (
        ("seeds", "", "choose 1 to 4 seeds to compare; there are 0"),
        ("seeds", "1 2 3 4 5", "there are 5"),
        ("seeds", "1, two", "'two' is not a number; give seeds such as"),
        ("seeds", f"{MAX_SEED + 1}", "is not a whole number between"),
        ("temperatures", "9", "temperature: 9.0 is not between 0 and 1.5"),
        ("voices", [], "there are 0"),
        ("voices", None, "there are 0"),
        ("voices", ["/etc/passwd"], "no voice '/etc/passwd' here"),
    ):
        with pytest.raises(UserError, match=message):
            actions.variants(what, values, "run", SETTINGS)


def test_compare_speaks_each_once(actions):
    variants = actions.variants("seeds", "1, 2", "noise", SETTINGS)
    compared = list(actions.compare("One.", variants))
    assert [one for one, _ in compared] == variants
    first, second = (spoken.result for _, spoken in compared)
    assert first.tries == second.tries == 1
    assert not np.allclose(first.audio, second.audio)
    assert compared[0][1].working > 0


def test_compare_voices(actions):
    variants = [Variant(name, name, SETTINGS) for name in ("noise", "run")]
    (_, noise), (_, run) = actions.compare("One.", variants)
    assert noise.voice is actions.voice("noise") and run.voice is actions.voice("run")
    assert noise.seconds > run.seconds


def test_read_gives_each_sentence_when_it_is_finished(actions):
    text = "One. Two. Three.\n\nFour. Five."
    parts, progress = [], []
    for samples, spoken in actions.read(text, "run", SETTINGS):
        if len(samples) or not spoken.finished:
            parts.append(samples)
            progress.append((spoken.finished, spoken.result is None))
    assert progress[0] == (0, True) and len(parts[0]) == 0
    assert [one for one in progress if one[0]] == [(1, True), (2, True), (3, True), (4, True), (5, False)]
    expected = actions.voice("run").synthesize([(text, 3)], SETTINGS)[0]
    np.testing.assert_allclose(np.concatenate(parts), expected.audio, atol=1e-4)
    np.testing.assert_array_equal(spoken.result.audio, np.concatenate(parts))


def test_actions_import_no_gradio():
    code = "import sys, wavetts.demo.actions, wavetts.demo.views; assert 'gradio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
