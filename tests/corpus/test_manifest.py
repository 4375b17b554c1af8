from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from wavetts.corpus.formats import read_corpus
from wavetts.errors import UserError
from wavetts.jsonlines import append_journal, read_journal


def corpus(tmp_path, metadata: str, name: str = "metadata.csv"):
    (tmp_path / "wavs").mkdir(exist_ok=True)
    (tmp_path / name).write_text(metadata, encoding="utf-8")
    return tmp_path


def test_two_and_three_columns(tmp_path):
    lines = read_corpus(
        corpus(tmp_path, 'a|"Quoted, he said|\nb|In 1999.|In nineteen ninety-nine.\n\nc|two columns\r\n')
    )
    assert [(line.id, line.text, line.speaker) for line in lines] == [
        ("a", '"Quoted, he said', None),
        ("b", "In nineteen ninety-nine.", None),
        ("c", "two columns", None),
    ]
    assert lines[1].audio == tmp_path / "wavs" / "b.wav" and lines[2].where.endswith("metadata.csv:4")


def test_quotation_marks_do_not_join_lines(tmp_path):
    lines = read_corpus(corpus(tmp_path, 'a|He said "no.\nb|Not he."\n'))
    assert [line.text for line in lines] == ['He said "no.', 'Not he."']


def test_file_names_and_speakers(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs" / "b.flac").touch()
    lines = read_corpus(corpus(tmp_path, "a.wav|ann|One and two.\nb.flac|bob|Two.\nsub/c.WAV|three\n"))
    assert [(line.id, line.speaker, line.text) for line in lines] == [
        ("a", "ann", "One and two."),
        ("b", "bob", "Two."),
        ("c", None, "three"),
    ]
    assert [line.audio for line in lines] == [tmp_path / "a.wav", tmp_path / "wavs/b.flac", tmp_path / "sub/c.WAV"]


def test_flac_where_there_is_no_wav_and_a_byte_order_mark(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs" / "ä.flac").touch()
    (line,) = read_corpus(corpus(tmp_path, "\ufeffä|Grün.\n"))
    assert (line.id, line.audio.name) == ("ä", "ä.flac")


def test_json_lines(tmp_path):
    items = [{"audio": "clips/a.wav", "text": "one"}, {"id": "b", "text": "a|b", "speaker": "ann"}]
    items += [{"id": "c", "audio": "/abs/x.ogg", "text": "three", "ignored": 1}]
    corpus(tmp_path, "\n".join(map(json.dumps, items)), "metadata.jsonl")
    lines = read_corpus(tmp_path)
    assert lines == read_corpus(tmp_path / "metadata.jsonl")
    assert [(line.id, line.text, line.speaker) for line in lines] == [
        ("a", "one", None),
        ("b", "a|b", "ann"),
        ("c", "three", None),
    ]
    assert lines[0].audio == tmp_path / "clips/a.wav" and str(lines[2].audio) == "/abs/x.ogg"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("a|one\nb two\n", r"metadata\.csv:2: expected 'id\|text'.*found 1 column in 'b two'"),
        ("a|b|c|d\n", r"metadata\.csv:1: .*found 4 column"),
        ("a|one\nb|two\nA|three\n", r"metadata\.csv:3: id 'A' is taken by .*metadata\.csv:1"),
        ("../a|one\n", r"metadata\.csv:1: id '\.\./a' cannot name a file"),
        ("a\\b|one\n", "cannot name a file"),
        (".a|one\n", "cannot name a file"),
        ("|one\n", "cannot name a file"),
        ("a\tb|one\n", "cannot name a file"),
        ("x" * 201 + "|one\n", r"metadata\.csv:1: id 'x{60}\.\.\.' is longer than 200 bytes"),
        ("\n \n", r"metadata\.csv: it has no lines"),
    ],
)
def test_bad_columns(tmp_path, metadata, message):
    with pytest.raises(UserError, match=message):
        read_corpus(corpus(tmp_path, metadata))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"metadata\.jsonl:1: not JSON"),
        ("[1]", r"metadata\.jsonl:1: expected a JSON object, not '\[1\]'"),
        ('{"id": "a"}', r"an object needs 'text' and 'audio' \(or 'id'\); it has \['id'\]"),
        ('{"text": "a"}', "an object needs 'text'"),
        ('{"id": 7, "text": "a"}', "'id' must be a string, not 7"),
    ],
)
def test_bad_json_lines(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        read_corpus(corpus(tmp_path, line, "metadata.jsonl"))


def test_nothing_to_read(tmp_path):
    with pytest.raises(UserError, match=r"no metadata\.csv or metadata\.jsonl there"):
        read_corpus(tmp_path)
    (tmp_path / "metadata.csv").write_bytes("ä|ö".encode("latin-1"))
    with pytest.raises(UserError, match=r"metadata\.csv:1: not UTF-8 \(byte 0xe4\)"):
        read_corpus(tmp_path)


def test_a_journal_forgets_only_a_torn_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    with append_journal(path) as append:
        append({"n": 1})
        # At once, not at the end.
        assert read_journal(path) == [{"n": 1}]
        append({"n": "ü"})
    path.write_bytes(path.read_bytes() + b'{"n": \xc3')
    assert read_journal(path) == [{"n": 1}, {"n": "ü"}]


class FullDisk(io.BytesIO):
    def write(self, data: bytes) -> int:
        return super().write(data[:3])


def test_a_line_that_the_disk_took_in_part_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: FullDisk())
    with (
        append_journal(tmp_path / "journal.jsonl") as append,
        pytest.raises(UserError, match=r"cannot write .*journal\.jsonl: No space left on device"),
    ):
        append({"n": 1})


def test_a_journal_that_is_none(tmp_path):
    (tmp_path / "a").write_text('{"n": 1}\nnothing\n{"n": 2}\n')
    with pytest.raises(UserError, match="a:2: not JSON"):
        read_journal(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_journal(tmp_path)
    (tmp_path / "a").write_text('{"n": 1}\n[2]\n')
    with pytest.raises(UserError, match="a:2: not a JSON object"):
        read_journal(tmp_path / "a")
    (tmp_path / "a").write_text("[" * 100_000 + "\n")
    with pytest.raises(UserError, match="a:1: not JSON"):
        read_journal(tmp_path / "a")
