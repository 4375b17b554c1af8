from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from toy import FRAME, RATE
from toy_voice import save_voice

from wavetts.errors import UserError
from wavetts.runtime.decoder import NativeDecoder
from wavetts.runtime.int8 import Int8Linear
from wavetts.synthesis import scheduler
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import judge, new_generation
from wavetts.synthesis.voice import load_voice

FAST = SynthesisSettings(max_seconds=0.3, retries=1)
TEXTS = ["one.", "a much longer text, of several words.", "two words", "First. Second one. Third."]


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return load_voice(save_voice(tmp_path_factory.mktemp("voice"), stop="never"), "cpu", 1)


@pytest.fixture
def fake_generate(monkeypatch):
    """Replaces the network: `tries` maps a try's number to (stopped, reaches the end) of every sentence."""
    calls = []

    def use(tries: list[tuple[bool, bool]], diverged: tuple[int, ...] = ()) -> list:
        attempts: dict[int, int] = {}

        class Batch:
            def __init__(self, engine):
                self.speaking = []

            def add(self, generation):
                self.speaking.append(generation)

            def step(self):
                spoken, self.speaking = self.speaking, []
                if spoken:
                    calls.append([generation.seed for generation in spoken])
                for generation in spoken:
                    seed, length = generation.seed, len(generation.tokens)
                    attempt = attempts[seed] = attempts.get(seed - 1, -1) + 1
                    stopped, reaches = tries[attempt]
                    alignment = np.zeros((4, length), dtype=np.float32)
                    alignment[:, np.minimum(np.arange(4), length - 1)] = 0.01
                    alignment[-1, -1 if reaches else 0] = 1.0
                    generation.samples.append(np.full(4 * FRAME, 0.1 * (attempt + 1), dtype=np.float32))
                    generation.weights.extend(alignment)
                    generation.stopped, generation.max_frames = stopped, 1
                    generation.diverged = attempt in diverged
                return [(generation, generation.samples[-1]) for generation in spoken]

        monkeypatch.setattr(scheduler, "RunningBatch", Batch)
        return calls

    return use


def test_batch_gives_what_single_texts_give(voice):
    together = voice.synthesize([(text, 3) for text in TEXTS], FAST)
    for text, result in zip(TEXTS, together, strict=True):
        alone = voice.synthesize([(text, 3)], SynthesisSettings(max_seconds=0.3, retries=1, batch_size=1))[0]
        np.testing.assert_allclose(result.audio, alone.audio, atol=1e-4)
        np.testing.assert_allclose(result.alignment, alone.alignment, atol=1e-4)
        assert result.seeds == alone.seeds
        assert np.abs(result.audio).max() > 0.01


def test_seed_text_and_place_decide_the_noise(voice):
    first, other_seed, same = voice.synthesize([("One. One.", 0), ("One. One.", 1), ("One. One.", 0)], FAST)
    assert first.seeds == same.seeds
    assert len({*first.seeds, *other_seed.seeds}) == 4
    assert not np.allclose(first.audio, other_seed.audio)


def test_sentences_are_joined_with_pauses(voice):
    settings = SynthesisSettings(max_seconds=0.2, retries=0, sentence_pause=0.1, paragraph_pause=0.25)
    result = voice.synthesize([("One here. Two here.\n\nThree here.", 0)], settings)[0]
    assert [take.piece.spoken for take in result.takes] == ["One here.", "Two here.", "Three here."]
    pieces = [len(take.audio) for take in result.takes]
    assert pieces == [0.2 * RATE] * 3
    assert len(result.audio) == sum(pieces) + 0.35 * RATE
    pause = result.audio[pieces[0] : pieces[0] + int(0.1 * RATE)]
    assert not pause.any()
    assert result.spoken == "One here. Two here. Three here."
    assert result.transcript == "one here. two here. three here."
    assert result.alignment.shape == (30, sum(len(take.piece.tokens) for take in result.takes))
    assert result.seconds == len(result.audio) / RATE


def test_duration_is_limited_by_tokens_and_seconds(voice):
    settings = SynthesisSettings(retries=0, max_seconds=2.5)
    short, long = voice.synthesize([("no", 0), ("a long text of words", 0)], settings)
    # "no" is four tokens with begin and end: 1 s + 4 * 0.2 s.
    assert len(short.audio) == 1.8 * RATE
    assert len(long.audio) == 2.5 * RATE
    assert not long.stopped
    assert not long.complete


def test_incomplete_sentence_is_tried_again_and_the_best_try_kept(voice, fake_generate):
    calls = fake_generate([(True, False), (False, True), (False, False), (True, False)])
    result = voice.synthesize([("one", 0)])[0]
    first = calls[0][0]
    assert calls == [[first], [first + 1], [first + 2], [first + 3]]
    assert result.tries == 4
    assert result.seeds == [first + 1]
    assert not result.complete
    np.testing.assert_allclose(result.audio, 0.2)
    report = result.report()
    assert (report["complete"], report["tries"], report["seeds"]) == (False, [4], [first + 1])


def test_complete_sentence_is_not_tried_again(voice, fake_generate):
    calls = fake_generate([(True, False), (True, True)])
    finished = []
    result = voice.synthesize([("One. Two.", 0)], progress=finished.append)[0]
    assert [len(seeds) for seeds in calls] == [2, 2]
    assert result.complete
    assert result.tries == 2
    assert sum(finished) == 1


def test_no_second_try_without_noise(voice, fake_generate):
    calls = fake_generate([(False, False)])
    assert voice.synthesize([("one", 0)], SynthesisSettings(temperature=0.0))[0].tries == 1
    assert len(calls) == 1


def test_a_model_has_a_guidance_of_its_own(voice, monkeypatch):
    monkeypatch.setattr(voice.config.synthesis, "guidance", 0.3)
    (piece,) = voice.prepare("one", 0)
    assert new_generation(piece, voice.settled(), 0, 50).guidance == 0.3
    assert new_generation(piece, voice.settled(SynthesisSettings(guidance=0.0)), 0, 50).guidance == 0


def test_a_model_has_a_temperature_of_its_own(voice, monkeypatch):
    monkeypatch.setattr(voice.config.synthesis, "temperature", 0.3)
    own, same, other = (
        voice.say("one", 1, SynthesisSettings(max_seconds=0.2, temperature=value)) for value in (None, 0.3, 0.9)
    )
    assert np.array_equal(own, same)
    assert not np.array_equal(own, other)
    assert voice.settled().temperature == 0.3
    assert voice.settled(SynthesisSettings(temperature=0.9)).temperature == 0.9
    streamed = np.concatenate(list(voice.stream("one", 1, SynthesisSettings(max_seconds=0.2))))
    np.testing.assert_allclose(streamed, own, atol=1e-5)


def test_temperature_zero_does_not_depend_on_the_seed(voice):
    settings = SynthesisSettings(max_seconds=0.2, temperature=0.0)
    one, two = voice.synthesize([("one", 0), ("one", 1)], settings)
    np.testing.assert_allclose(one.audio, two.audio, atol=1e-5)


def test_diverged_try_is_never_the_best(voice, fake_generate):
    fake_generate([(True, True), (True, False)], diverged=(0,))
    result = voice.synthesize([("one", 0)], SynthesisSettings(retries=1))[0]
    assert not result.complete
    assert result.tries == 2


def test_unknown_symbols_are_left_out_with_a_warning(voice, fake_generate):
    fake_generate([(True, True)])
    with pytest.warns(UserWarning, match=r"'naïve, no\?': symbols left out, unknown to this voice: \? ï"):
        result = voice.synthesize([("naïve, no?", 0)])[0]
    assert result.unknown == ["?", "ï"]
    assert result.report()["unknown"] == ["?", "ï"]
    assert voice.tokenizer.decode(result.takes[0].piece.tokens) == "nave, no"


def test_sentence_of_unknown_symbols_only_is_left_out_with_a_warning(voice, fake_generate):
    fake_generate([(True, True)])
    with pytest.warns(UserWarning, match="'Жж.': left out, this voice knows none of its symbols"):
        result = voice.synthesize([("One. Жж.", 0)])[0]
    assert result.spoken == "One."


@pytest.mark.parametrize("text", ["", " \n\n", "...", "— !"])
def test_nothing_to_speak(voice, text):
    with pytest.raises(UserError, match="nothing to speak"):
        voice.synthesize([(text, 0)])


def test_line_of_100_kb_is_split(voice, fake_generate):
    fake_generate([(True, True)])
    words = ["word"] * 20_000
    result = voice.synthesize([(" ".join(words), 0)])[0]
    assert result.spoken.split() == words
    assert max(len(take.piece.spoken) for take in result.takes) <= 200


def test_a_text_is_normalised_once(voice, fake_generate, monkeypatch):
    fake_generate([(True, True)])
    monkeypatch.setattr("wavetts.text.tokenizer.normalize", lambda *_: pytest.fail("normalised again"))
    assert voice.synthesize([("Dr. Who, 5.", 0)])[0].transcript == "doctor who, five."


def test_full_memory_of_the_device_says_what_to_do(voice, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(voice.engine.decoder, "step", fail)
    with pytest.raises(UserError, match="memory is full: take a batch_size below 16"):
        voice.synthesize([("one", 0), ("two", 0)])


def test_unknown_device_or_folder_without_a_model(tmp_path):
    with pytest.raises(UserError, match=r"no model\.safetensors in it"):
        load_voice(tmp_path)
    with pytest.raises(UserError, match="device 'abacus'"):
        load_voice(save_voice(tmp_path / "joe"), "abacus")
    with pytest.raises(UserError, match="device 'mps': only cpu and cuda are supported; use cpu"):
        load_voice(tmp_path / "joe", "mps")


@pytest.mark.parametrize(
    ("token", "share", "reached"),
    [(-1, 1.0, True), (-5, 1.0, True), (-6, 1.0, False), (0, 1.0, False), (-6, 0.5, True), (-6, 0.7, False)],
)
def test_end_is_reached_with_the_last_tokens_or_beyond(voice, token, share, reached):
    """A mixture's mass that is at no token is beyond the text."""
    (piece,) = voice.prepare("a few words", 0)
    utterance = new_generation(piece, voice.settled(), 0, 50)
    for position in (0, token):
        weights = np.zeros(len(piece.tokens), dtype=np.float32)
        weights[position] = share if position == token else 1.0
        utterance.weights.append(weights)
        utterance.samples.append(np.zeros(voice.model.frame_length, dtype=np.float32))
    utterance.stopped = True
    take = judge(piece, utterance)
    assert take.reached_end == take.complete == reached
    utterance.diverged = True
    assert not judge(piece, utterance).reached_end


def test_precision_is_int8_on_a_cpu_unless_asked_otherwise(tmp_path):
    def small(**precision) -> bool:
        engine = load_voice("allison", "cpu", 1, **precision).engine
        kinds = {NativeDecoder, Int8Linear} & {type(module) for module in engine.decoder.modules()}
        return engine.decoder is not engine.model.decoder and bool(kinds)

    assert small()
    assert small(precision="int8")
    assert not small(precision="float32")


def test_int8_speech_of_a_real_voice_is_nearly_the_float_one():
    """The same seed drifts apart in time; over the first frames it is the same sound."""
    settings = SynthesisSettings(retries=0, max_seconds=0.12, batch_size=1)
    exact, ours = (load_voice("heart", "cpu", 1, name).say("Hello.", settings=settings) for name in ("float32", "int8"))
    assert len(exact) == len(ours)
    assert np.corrcoef(exact, ours)[0, 1] > 0.95


# The short ways: say and stream


def test_say_is_the_audio_of_synthesize(voice):
    (expected,) = voice.synthesize([("One. Two.", 7)], FAST)
    np.testing.assert_array_equal(voice.say("One. Two.", seed=7, settings=FAST), expected.audio)
    seeded = dataclasses.replace(FAST, seed=7)
    np.testing.assert_array_equal(voice.say("One. Two.", settings=seeded), expected.audio)


STREAMED = SynthesisSettings(max_seconds=0.3, retries=0, batch_size=1)


def test_stream_is_the_audio_of_say_piece_by_piece(voice):
    text = "One here. Two here.\n\nThree here."
    stream = voice.stream(text, seed=3, settings=STREAMED)
    chunks = list(stream)
    (expected,) = voice.synthesize([(text, 3)], STREAMED)
    frames = 0.3 * RATE / FRAME
    assert [len(chunk) for chunk in chunks] == [
        length for pause in (0, 0.2, 0.5) for length in [*[round(pause * RATE)] * (pause > 0), *[FRAME] * int(frames)]
    ]
    assert all(chunk.dtype == np.float32 for chunk in chunks)
    np.testing.assert_allclose(np.concatenate(chunks), expected.audio, atol=1e-6)
    np.testing.assert_array_equal(stream.result.audio, np.concatenate(chunks))
    np.testing.assert_allclose(stream.result.alignment, expected.alignment, atol=1e-6)
    assert stream.result.seeds == expected.seeds


def test_stream_of_the_bundled_voice_is_what_it_says():
    """De-emphasis at a real voice's gain: its state is kept from frame to frame."""
    voice = load_voice("allison", "cpu", 1)
    settings = SynthesisSettings(retries=0, batch_size=1, max_seconds=1.0)
    chunks = list(voice.stream("Hello. Goodbye.", settings=settings))
    audio = np.concatenate(chunks)
    np.testing.assert_allclose(audio, voice.say("Hello. Goodbye.", settings=settings), atol=1e-6)
    assert np.abs(audio).max() > 0.01


def test_stream_computes_what_is_asked_for(voice, monkeypatch):
    steps, step = [], voice.engine.decoder.step
    monkeypatch.setattr(voice.engine.decoder, "step", lambda *args: steps.append(1) or step(*args))
    stream = voice.stream("One here. Two here.", settings=STREAMED)
    assert (len(steps), stream.result) == (0, None)
    next(stream)
    assert len(steps) == 1
    stream.close()
    assert list(stream) == []
    assert len(steps) == 1


def test_stream_tells_at_once_that_there_is_nothing_to_speak(voice):
    with pytest.raises(UserError, match="nothing to speak"):
        voice.stream("...")


def test_stream_has_a_sentence_s_take_with_its_last_chunk(voice):
    stream = voice.stream("One here. Two here.", settings=STREAMED)
    for _ in range(15):
        assert stream.takes == []
        audio = [next(stream) for _ in range(1)]
    assert len(audio) == 1
    assert [take.piece.spoken for take in stream.takes] == ["One here."]


def test_speaking_imports_nothing_that_it_does_not_need(tmp_path):
    code = f"""
import sys
from wavetts.cli import main
from wavetts.synthesis.voice import load_voice
main(["synthesize", {str(save_voice(tmp_path, "never"))!r}, "One, two.", "-o", {str(tmp_path / "a.wav")!r},
      "--max-seconds", "0.1", "--threads", "1"])
heavy = {{"librosa", "torchaudio", "gradio", "tensorboard", "matplotlib", "scipy", "pandas", "fastapi", "soxr"}}
found = heavy & set(sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "a.wav").stat().st_size > 1000
