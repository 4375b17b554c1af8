"""Corpora as people have them: which column is what, and where the audio is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavetts.corpus.formats import read_corpus
from wavetts.corpus.preprocess import PreprocessOptions, preprocess
from wavetts.errors import UserError

SENTENCES = ["The door was open.", "Nobody came, nobody went.", "Is it four?", "It was half past four by then.", "Yes."]


def read(folder: Path, lines: list[str]) -> list[tuple[str, str, str | None]]:
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [(line.id, line.text, line.speaker) for line in read_corpus(folder)]


@pytest.mark.parametrize("suffix", [".wav", ""])
@pytest.mark.parametrize("speakers", [["ann", "bob"], ["Mary Ann"], ["p225", "p226", "p227", "p228", "p229"]])
@pytest.mark.parametrize(
    ("layout", "header"),
    [
        ("{file}|{text}|{speaker}", None),
        ("{file}|{speaker}|{text}", None),
        ("{file}|{text}|{speaker}", "audio_file|text|speaker_name"),
        ("{file}|{speaker}|{text}", "FILE|Speaker|Transcript"),
        ("{speaker}|{text}|sad|{file}", "speaker|text|emotion|path"),
    ],
)
def test_text_and_speaker_are_told_apart(tmp_path, layout, header, speakers, suffix):
    lines, expected = [header] if header else [], []
    for number, text in enumerate(SENTENCES):
        speaker = speakers[number % len(speakers)]
        lines.append(layout.format(file=f"clip{number}{suffix}", text=text, speaker=speaker))
        expected.append((f"clip{number}", text, speaker))
    assert read(tmp_path, lines) == expected


def test_short_commands_are_more_than_their_speakers(tmp_path):
    words = ["yes", "no", "stop", "go", "yes", "no"]
    for layout in ("{i}.wav|{word}|{who}", "{i}.wav|{who}|{word}"):
        lines = [layout.format(i=i, word=word, who="ab"[i % 2]) for i, word in enumerate(words)]
        assert [(text, who) for _, text, who in read(tmp_path, lines)] == list(zip(words, "ababab", strict=True))


def test_what_cannot_be_told_is_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"metadata\.csv:1: cannot tell which of 'ann' and 'one' is the text and which"):
        read(tmp_path, ["a.wav|ann|one", "b.wav|bob|two"])
    assert read(tmp_path, ["file|speaker|text", "a.wav|ann|one", "b.wav|bob|two"])[1] == ("b", "two", "bob")
    with pytest.raises(
        UserError, match=r"metadata\.csv:1: two columns have names of the same kind: id\|text\|sentence"
    ):
        read(tmp_path, ["id|text|sentence", "a|one|two"])
    with pytest.raises(
        UserError, match=r"metadata\.csv:2: expected file\|speaker\|text, found 2 columns in 'a\.wav\|x'"
    ):
        read(tmp_path, ["file|speaker|text", "a.wav|x"])


@pytest.mark.parametrize(
    "rows",
    [
        ["a|In 1999 it was 5.|In nineteen ninety-nine it was five.", "b|Yes.|yes", "c|No.|no"],
        ["a|1|one", "b|2|two", "c|1|one", "d|2|two"],
        ["a|One.|", "b|Two.|"],
        ["a|Two words.", "b|Three.|three", "c|Four.|"],
        ["a|東京へ行く。|とうきょうへいく。", "b|雨だ。|あめだ。"],
    ],
)
def test_ljspeech_stays_what_it_was(tmp_path, rows):
    expected = [row.split("|")[-1] or row.split("|")[1] for row in rows]
    assert [(text, speaker) for _, text, speaker in read(tmp_path, rows)] == [(text, None) for text in expected]


def test_a_header_of_ljspeech(tmp_path):
    expected = [("a", "five", None), ("b", "Six", None)]
    assert read(tmp_path, ["id|text|normalized_text", "a|5|five", "b|Six|"]) == expected
    assert read(tmp_path, ["id|normalized_text", "a|five"]) == expected[:1]


def test_audio_of_any_suffix_beside_the_id(tmp_path):
    (tmp_path / "wavs").mkdir()
    for name in ("wavs/a.WAV", "wavs/b.mp3", "c.ogg", "wavs/d.flac", "wavs/d.mp3", "wavs/e.wav", "e.flac"):
        (tmp_path / name).touch()
    (tmp_path / "metadata.csv").write_text("".join(f"{name}|Text.\n" for name in "abcdef"))
    found = [str(line.audio.relative_to(tmp_path)) for line in read_corpus(tmp_path)]
    assert found == ["wavs/a.WAV", "wavs/b.mp3", "c.ogg", "wavs/d.flac", "wavs/e.wav", "wavs/f.wav"]
    (tmp_path / "metadata.csv").write_text("a.wav|One.\nb.MP3|Two.\n")
    assert [line.audio.name for line in read_corpus(tmp_path)] == ["a.WAV", "b.mp3"]


def test_null_is_as_good_as_nothing(tmp_path):
    items = [{"id": "a", "text": "One.", "speaker": None}, {"id": None, "audio": "b.mp3", "text": "Two."}]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    assert [(line.id, line.speaker) for line in read_corpus(tmp_path)] == [("a", None), ("b", None)]
    (tmp_path / "metadata.jsonl").write_text('{"id": "a", "text": null}\n')
    with pytest.raises(UserError, match="an object needs 'text'"):
        read_corpus(tmp_path)


@pytest.mark.slow
def test_the_report_says_what_the_columns_were_taken_for(tmp_path):
    rng = np.random.default_rng(0)
    for number, suffix in enumerate((".WAV", ".mp3", ".ogg", ".flac")):
        soundfile.write(tmp_path / f"{number}{suffix}", 0.1 * rng.standard_normal(16000), 16000)
    lines = [f"{number}|Hello there, number {number}.|ann" for number in range(4)]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = PreprocessOptions(sample_rate=16000, dev=1, test=1)
    report = preprocess(tmp_path, tmp_path / "out", options)
    assert report["columns"] == "file|text|speaker (by what they hold)"
    assert report["speakers"] == {"ann": 4}
    text = (tmp_path / "out" / "report.md").read_text()
    assert "Columns of the corpus: file|text|speaker (by what they hold)." in text
