from __future__ import annotations

import json
from argparse import Namespace

import numpy as np
import pytest
import reading
from reading import Reading, Speech, read_corpus_texts, read_texts, synthesize_corpus

from wavetts.audio import read_audio
from wavetts.corpus.formats import read_corpus
from wavetts.errors import UserError

RATE = 8000
TEXTS = [(name, f"This is sentence {name}.") for name in "abcdef"]


def reading_of(**changes) -> Reading:
    fields = {"voice": "hum", "language": "en-us", "min_seconds": 0.1, "max_seconds": 3.0, "seed": 0}
    return Reading(**{**fields, "sample_rate": None, "format": "wav", **changes})


class Voice:
    """Hums for 50 ms a character; knows no x."""

    def __init__(self, stop_after: int | None = None):
        self.heard: list[str] = []
        self.stop_after = stop_after

    def __call__(self, text: str, how: Reading) -> Speech:
        if len(self.heard) == self.stop_after:
            raise KeyboardInterrupt
        self.heard.append(text)
        time = np.arange(round(0.05 * RATE * len(text))) / RATE
        return Speech(np.sin(2 * np.pi * 440 * time, dtype=np.float32) / 2, RATE, "x" if "x" in text else "")


def test_lists_of_texts(tmp_path):
    path = tmp_path / "texts"
    path.write_text("One.\n\n  Two.\r\n", encoding="utf-8")
    assert read_texts(path) == [("000001", "One."), ("000003", "Two.")]
    path.write_text("a/b|One.|normalised\nc|Two.\n", encoding="utf-8")
    assert read_texts(path) == [("a_b", "One."), ("c", "Two.")]
    path.write_text("a|One.\na|Two.\n", encoding="utf-8")
    with pytest.raises(UserError, match="texts:2: id 'a' has another text already"):
        read_texts(path)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(UserError, match="texts: no texts in it"):
        read_texts(path)
    with pytest.raises(UserError, match="none: no such file"):
        read_texts(tmp_path / "none")


def test_extra_texts_are_taken_in_turn_and_tests_are_left_out(tmp_path):
    sentences = [f"The sentence that has the number {number:02d}." for number in range(20)]
    (tmp_path / "texts").write_text("\n".join(sentences), encoding="utf-8")
    (tmp_path / "extra").write_text("Yes.\nNo.\nMaybe.\n", encoding="utf-8")
    # A sentence alone, two that are joined with another, and a word that is in a test sentence without being one.
    kept = [sentences[3], f"Maybe. {sentences[4]} {sentences[5]}"]
    (tmp_path / "tests").write_text("\n".join(kept), encoding="utf-8")
    args = Namespace(texts=tmp_path / "texts", extra=tmp_path / "extra", exclude=tmp_path / "tests", seed=1)
    texts = read_corpus_texts(args)
    assert {text for _, text in texts} == {*sentences, "Yes.", "No.", "Maybe."} - {sentences[n] for n in (3, 4, 5)}
    assert {place for place, (name, _) in enumerate(texts) if name.startswith("extra-")} <= set(range(6))
    assert texts == read_corpus_texts(args) != read_corpus_texts(Namespace(**{**vars(args), "seed": 2}))


def test_a_corpus_is_made_with_what_fits(tmp_path, capsys):
    texts = [*TEXTS[:2], ("long", "Too long for one clip. " * 4), ("short", "A"), ("odd", "A xylophone.")]
    synthesize_corpus(texts, tmp_path / "out", reading_of(), Voice(), None, 1)
    clips = {line.id: line for line in read_corpus(tmp_path / "out")}
    # 3 s are 42 characters: the long text is split at its sentences; "A" would be shorter than 0.1 s.
    assert set(clips) == {"a", "b", "long-1", "long-2", "long-3", "long-4", "odd"}
    for clip in clips.values():
        samples, rate = read_audio(clip.audio)
        assert (rate, len(samples)) == (RATE, round(0.05 * RATE * len(clip.text)))
    shown = capsys.readouterr()
    assert "7 clips, 0.00 h; 1 were too short or too long" in shown.out
    assert "phonemes that the voice does not know: 'x' in 1" in shown.out
    assert shown.err.count("does not know the phoneme 'x'") == 1

    with pytest.raises(UserError, match=r"no text gave a clip of 2.9 to 3 s; widen the bounds"):
        synthesize_corpus(TEXTS, tmp_path / "none", reading_of(min_seconds=2.9), Voice(), None, 1)


def test_unknown_phonemes_are_warned_of_once(tmp_path, capsys):
    texts = [(str(number), f"Box {number}.") for number in range(5)]
    synthesize_corpus(texts, tmp_path / "out", reading_of(), Voice(), None, 1)
    shown = capsys.readouterr()
    assert shown.err.count("does not know the phoneme 'x' (in 'Box 0.')") == shown.err.count("warning") == 1
    assert "'x' in 5" in shown.out


def test_flac_at_another_rate(tmp_path):
    synthesize_corpus(TEXTS[:1], tmp_path / "out", reading_of(sample_rate=4000, format="flac"), Voice(), None, 1)
    (clip,) = read_corpus(tmp_path / "out")
    samples, rate = read_audio(clip.audio)
    assert clip.audio.name == "a.flac" and rate == 4000
    tone = np.sin(2 * np.pi * 440 * np.arange(len(samples)) / rate) / 2
    assert np.abs(samples - tone)[200:-200].max() < 1e-3


def test_hours_end_it(tmp_path):
    voice = Voice()
    synthesize_corpus(TEXTS, tmp_path / "out", reading_of(), voice, 1.5 / 3600, 1)
    assert len(voice.heard) == len(read_corpus(tmp_path / "out")) == 2


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "TEXTS_PER_UPDATE", 2)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        synthesize_corpus(TEXTS, out, reading_of(), Voice(stop_after=5), None, 1)
    # The corpus can be used as it is, but for the last few.
    assert [clip.id for clip in read_corpus(out)] == ["a", "b", "c", "d"]
    with (out / "clips.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "torn')
    (out / "wavs" / "b.wav").unlink()
    voice = Voice()
    # A smaller --hours takes what there is, without the last text, of which nothing was read.
    synthesize_corpus(TEXTS[:5], out, reading_of(), voice, None, 1)
    assert voice.heard == ["This is sentence b."]
    assert [clip.id for clip in read_corpus(out)] == list("abcde")
    synthesize_corpus(TEXTS, out, reading_of(), voice, None, 1)
    assert voice.heard[1:] == ["This is sentence f."]
    header, *lines = (json.loads(line) for line in (out / "clips.jsonl").read_text(encoding="utf-8").splitlines())
    assert header["voice"] == "hum" and sorted(line["id"] for line in lines) == list("abcdef")
    # Another list of texts: one has changed, one is gone.
    texts = [("a", "Another one."), *TEXTS[2:]]
    synthesize_corpus(texts, out, reading_of(), voice, None, 1)
    assert voice.heard[2:] == ["Another one."]
    assert [(clip.id, clip.text) for clip in read_corpus(out)] == texts

    with pytest.raises(UserError, match=r"begun with another reading \(.*seed 0 -> 1"):
        synthesize_corpus(TEXTS, out, reading_of(seed=1), voice, None, 1)
    (tmp_path / "mine" / "wavs").mkdir(parents=True)
    with pytest.raises(UserError, match="holds a wavs folder that this recipe did not make"):
        synthesize_corpus(TEXTS, tmp_path / "mine", reading_of(), voice, None, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"min_seconds": 0}, "--min-seconds must be above 0 and below --max-seconds"),
        ({"min_seconds": 9, "max_seconds": 3}, "--min-seconds must be above 0 and below --max-seconds"),
        ({"jobs": 0}, "--jobs at least 1"),
        ({"sample_rate": 100}, "--sample-rate must be from 4000 to 192000"),
    ],
)
def test_values_out_of_bounds(changes, reason):
    fields = {"language": "en-us", "min_seconds": 1, "max_seconds": 9, "seed": 0, "sample_rate": None, "format": "wav"}
    with pytest.raises(UserError, match=reason):
        reading.common_fields(Namespace(**{**fields, "jobs": 1, **changes}))
