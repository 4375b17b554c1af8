from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from paths import ROOT

from wavetts.errors import UserError
from wavetts.synthesis.settings import SynthesisSettings, load_settings
from wavetts.synthesis.texts import read_stdin, read_texts

RECIPES = ROOT / "recipes" / "synthesize"


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def pipe(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def entries(path: str) -> list[tuple[str, str]]:
    return [(text.id, text.text) for text in read_texts(path)]


def test_text_file_has_one_text_a_line_and_ids_count_all_lines(tmp_path):
    path = write(tmp_path, "list.txt", "\ufeffOne.\r\n\n  \nTwo\u2028and a half. \n")
    assert entries(path) == [("list-0001", "One."), ("list-0004", "Two\u2028and a half.")]


def test_metadata_has_an_id_and_takes_the_normalised_text(tmp_path):
    path = write(tmp_path, "metadata.csv", 'a|"Quotes, and 5"|quotes and five\nb|Only text\nc|Raw|\n')
    assert entries(path) == [("a", "quotes and five"), ("b", "Only text"), ("c", "Raw")]


def test_json_lines_ignore_other_keys(tmp_path):
    lines = [{"id": "a", "text": "One.", "audio": "audio/a.flac"}, {"id": "b", "text": "Two."}]
    assert entries(write(tmp_path, "t.jsonl", "\n".join(map(json.dumps, lines)))) == [("a", "One."), ("b", "Two.")]


def test_standard_input(monkeypatch):
    pipe(monkeypatch, b"One.\nTwo.\n")
    assert entries("-") == [("text-0001", "One."), ("text-0002", "Two.")]
    pipe(monkeypatch, b"One.\nStill one.\n\nTwo.\n")
    assert read_stdin().text == "One.\nStill one.\n\nTwo.\n"
    pipe(monkeypatch, b" \n")
    with pytest.raises(UserError, match="standard input: no text"):
        read_stdin()


def test_line_of_100_kb(tmp_path):
    line = "word " * 20_000
    assert entries(write(tmp_path, "long.txt", line)) == [("long-0001", line.strip())]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.txt", "", "e.txt: no text in it"),
        ("e.txt", "\n \n", "e.txt: no text in it"),
        ("e.txt", b"good\nbad \xff\n", "e.txt:2: not UTF-8 .byte 0xff"),
        ("e.csv", "a|One.\nb|  \n", "e.csv:2: no text"),
        ("e.csv", "a|One.\nOnly text\n", r"e.csv:2: expected 'id\|text'"),
        ("e.csv", "a|b|c|d\n", "e.csv:1: expected .* found 4 columns"),
        ("e.csv", "a|One.\nA|Two.\n", "e.csv:2: id 'A' was given at .*e.csv:1 already"),
        ("e.csv", "../a|One.\n", "e.csv:1: id '../a' cannot name a file"),
        ("e.csv", "b\\a|One.\n", "e.csv:1: id .* cannot name a file"),
        ("e.csv", ".a|One.\n", "e.csv:1: id '.a' cannot name a file"),
        ("e.csv", "|One.\n", "e.csv:1: id '' cannot name a file"),
        ("e.csv", "a\x00b|One.\n", "e.csv:1: id .* cannot name a file"),
        ("e.csv", "a" * 300 + "|One.\n", "e.csv:1: id .* is longer than 200 bytes"),
        ("e.jsonl", '{"id": "a", "text": "One."}\n{"id": "b"\n', "e.jsonl:2: not JSON"),
        ("e.jsonl", '{"id": "a", "text": ""}\n', "e.jsonl:1: no text"),
        ("e.jsonl", '{"id": 3, "text": "x"}\n', 'e.jsonl:1: expected an object with "id" and "text"'),
        ("e.jsonl", "[1]\n", "e.jsonl:1: expected"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        read_texts(write(tmp_path, name, content))


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_texts(str(tmp_path / "none.txt"))
    with pytest.raises(UserError, match="cannot be read"):
        read_texts(str(tmp_path))


def test_recipes_are_readable():
    assert load_settings(RECIPES / "default.yaml") == SynthesisSettings()
    assert len(read_texts(str(RECIPES / "sentences.txt"))) == 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("temperature: hot", "s.yaml: temperature: 'hot' is not a number"),
        ("temperature: -1", "s.yaml: temperature: -1 is negative"),
        ("temperature: .nan", "s.yaml: temperature: nan is not a number"),
        ("stop_threshold: 1.5", "s.yaml: stop_threshold: 1.5 is not between 0 and 1"),
        ("batch_size: 0", "s.yaml: batch_size: 0 is not positive"),
        ("seed: 1.5", "s.yaml: seed: 1.5 is not a whole number"),
        ("heat: 1", "s.yaml: heat: no such setting; known: temperature"),
        ("- 1", "s.yaml: expected lines such as"),
        ("a: [", "s.yaml: not YAML"),
    ],
)
def test_wrong_settings(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        load_settings(Path(write(tmp_path, "s.yaml", content)))


def test_partial_settings(tmp_path):
    assert load_settings(Path(write(tmp_path, "s.yaml", "seed: 3"))) == SynthesisSettings(seed=3)
    assert load_settings(Path(write(tmp_path, "e.yaml", ""))) == SynthesisSettings()
