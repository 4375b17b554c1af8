"""Speed of speech, in what is spoken at once and in what is streamed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from toy_voice import save_voice

from wavetts.errors import UserError
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.voice import load_voice

TEXT = "One here. Two here.\n\nThree here."
SETTINGS = SynthesisSettings(retries=0, max_seconds=0.5, temperature=0.7)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return load_voice(save_voice(tmp_path_factory.mktemp("voice"), stop="never"), "cpu", 1)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_sentences_and_pauses_take_their_share(voice, speed):
    (result,) = voice.synthesize([(TEXT, 0)], dataclasses.replace(SETTINGS, speed=speed))
    rate = voice.sample_rate
    assert len(result.audio) == 3 * round(0.5 * rate / speed) + round(0.2 * rate / speed) + round(0.5 * rate / speed)
    # What the model said is what it says at any speed.
    (plain,) = voice.synthesize([(TEXT, 0)], SETTINGS)
    for take, other in zip(result.takes, plain.takes, strict=True):
        np.testing.assert_array_equal(take.audio, other.audio)


@pytest.mark.parametrize("speed", [0.8, 1.25, 3.0])
def test_a_stream_of_another_speed_is_what_is_said_at_once(voice, speed):
    settings = dataclasses.replace(SETTINGS, speed=speed)
    stream = voice.stream(TEXT, seed=3, settings=settings)
    chunks = list(stream)
    assert len(chunks) > 10
    assert all(len(chunk) for chunk in chunks)
    audio = np.concatenate(chunks)
    np.testing.assert_array_equal(stream.result.audio, audio)
    (expected,) = voice.synthesize([(TEXT, 3)], settings)
    assert len(audio) == len(expected.audio)


def test_a_speed_of_one_changes_nothing_bit_for_bit(voice):
    (plain,) = voice.synthesize([(TEXT, 0)], SETTINGS)
    (same,) = voice.synthesize([(TEXT, 0)], dataclasses.replace(SETTINGS, speed=1.0))
    np.testing.assert_array_equal(plain.audio, same.audio)
    pause = voice.sample_rate // 5
    first = plain.takes[0].audio
    np.testing.assert_array_equal(plain.audio[: len(first)], first)
    assert not plain.audio[len(first) : len(first) + pause].any()


@pytest.mark.parametrize("speed", [0, 0.2, 4.5, float("nan"), "fast", True])
def test_speeds_that_are_none(speed):
    with pytest.raises(UserError, match="speed: "):
        SynthesisSettings(speed=speed)
