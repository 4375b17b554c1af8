from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toy_voice import save_voice

from wavetts.audio import read_audio
from wavetts.errors import UserError
from wavetts.synthesis import outputs
from wavetts.synthesis.outputs import speak_to_file, speak_to_folder
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.texts import Text
from wavetts.synthesis.voice import load_voice

FAST = SynthesisSettings(max_seconds=0.2, retries=0, batch_size=2)
TEXTS = [Text(f"t{number}", "word " * (number + 1), f"list:{number}") for number in range(5)]


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return load_voice(save_voice(tmp_path_factory.mktemp("voice"), stop="never"), "cpu", 1)


def speak(voice, folder: Path, texts=TEXTS, settings=FAST, **options) -> list[dict]:
    return speak_to_folder(voice, texts, folder, settings, lambda _: None, **options)


def read_report(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_for_each_text_and_a_sorted_report(voice, tmp_path):
    finished = []
    lines = speak_to_folder(voice, TEXTS, tmp_path / "new", FAST, finished.append)
    assert sum(finished) == 5
    assert names(tmp_path / "new") == ["report.jsonl", *(f"t{number}.wav" for number in range(5))]
    report = read_report(tmp_path / "new" / "report.jsonl")
    assert [line["id"] for line in report] == ["t0", "t1", "t2", "t3", "t4"]
    assert sorted(lines, key=lambda line: line["id"]) == report
    assert report[1]["text"] == TEXTS[1].text
    audio, rate = read_audio(tmp_path / "new" / "t1.wav")
    assert (len(audio) / rate, rate) == (report[1]["seconds"], voice.sample_rate)


def test_what_is_there_is_left_unless_overwritten(voice, tmp_path):
    speak(voice, tmp_path)
    (tmp_path / "t3.wav").unlink()
    (tmp_path / "t1.wav").write_bytes(b"mine")
    (tmp_path / "t2.wav").write_bytes(b"")
    assert [line["id"] for line in speak(voice, tmp_path)] == ["t3", "t2"]
    assert (tmp_path / "t1.wav").read_bytes() == b"mine"
    assert len(read_report(tmp_path / "report.jsonl")) == 5
    assert len(speak(voice, tmp_path, overwrite=True)) == 5
    assert read_audio(tmp_path / "t1.wav")
    assert len(read_report(tmp_path / "report.jsonl")) == 5


def test_torn_report_is_mended(voice, tmp_path):
    (tmp_path / "report.jsonl").write_text('{"id": "t9", "seconds": 1.0}\n{"id": "t8", "sec')
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".t3.wav.{dead.pid}.tmp").write_bytes(b"half")
    # Others' files, and those of a process that still runs.
    others = [".editor.tmp", ".t3.wav.x.tmp", f".t3.wav.{os.getppid()}.tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    speak(voice, tmp_path)
    assert [line["id"] for line in read_report(tmp_path / "report.jsonl")] == ["t0", "t1", "t2", "t3", "t4", "t9"]
    assert sorted(path.name for path in tmp_path.glob(".*")) == sorted(others)


def test_processes_share_the_texts(voice, tmp_path):
    speak(voice, tmp_path / "one")
    for rank in range(2):
        speak(voice, tmp_path / "two", rank=rank, world_size=2)
    reports = [read_report(tmp_path / "two" / f"report-{rank}of2.jsonl") for rank in range(2)]
    assert sorted(line["id"] for report in reports for line in report) == [f"t{number}" for number in range(5)]
    assert {len(report) for report in reports} == {2, 3}
    for text in TEXTS:
        one, two = (read_audio(tmp_path / folder / f"{text.id}.wav")[0] for folder in ("one", "two"))
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_text_that_cannot_be_spoken_does_not_stop_the_others(voice, tmp_path):
    texts = [TEXTS[0], Text("bad", "...", "list:7")]
    with pytest.warns(UserWarning, match="list:7: .* nothing to speak"):
        lines = speak(voice, tmp_path, texts)
    assert names(tmp_path) == ["report.jsonl", "t0.wav"]
    assert {line["id"]: "error" in line for line in lines} == {"t0": False, "bad": True}
    assert "nothing to speak" in read_report(tmp_path / "report.jsonl")[0]["error"]


@pytest.mark.parametrize("name", [".wav", ".spectrogram.png"])
def test_full_disk_leaves_no_partial_file_and_no_audio_without_its_plots(voice, tmp_path, monkeypatch, name):
    fsync = os.fsync

    def fill(descriptor: int) -> None:
        if name in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(UserError, match=rf"cannot write .*{re.escape(name)}: No space left on device"):
            speak(voice, tmp_path, TEXTS[:2], plots=True)
    assert not [path for path in names(tmp_path) if path.endswith((".wav", ".tmp"))]
    assert len(speak(voice, tmp_path, TEXTS[:2], plots=True)) == 2
    assert len(names(tmp_path)) == 2 * 3 + 1


def test_unwritable_report(voice, tmp_path, monkeypatch):
    opened = Path.open

    def fail(path: Path, mode: str = "r", *args, **kwargs):
        if mode == "ab":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(UserError, match=r"cannot write .*report\.jsonl: No space left on device"):
        speak(voice, tmp_path)
    assert names(tmp_path) == ["report.jsonl"]


def test_folder_that_is_a_file(voice, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="out"):
        speak(voice, tmp_path / "out")


def test_plots(voice, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "wavetts.audio.figures.alignment_figure",
        lambda alignment, tokens, title: drawn.append((alignment.shape, len(tokens), title)),
    )
    monkeypatch.setattr("wavetts.audio.figures.save_figure", lambda figure, path: path.write_bytes(b""))
    speak(voice, tmp_path, [Text("a", "One. Two.", "list:1")], plots=True)
    assert names(tmp_path) == ["a.png", "a.spectrogram.png", "a.wav", "report.jsonl"]
    # Two sentences of 0.2 s, and their letters with full stop, begin and end.
    assert drawn == [((20, 12), 12, "a")]


def test_what_was_spoken_otherwise_is_spoken_again(voice, tmp_path):
    speak(voice, tmp_path)
    changed = [dataclasses.replace(TEXTS[1], text="Other words."), *TEXTS[2:]]
    with pytest.warns(UserWarning, match="1 files are of another text, voice or settings; they are spoken again"):
        assert [line["id"] for line in speak(voice, tmp_path, changed)] == ["t1"]
    assert speak(voice, tmp_path, changed) == []
    # How many at once is not heard.
    assert speak(voice, tmp_path, changed, dataclasses.replace(FAST, batch_size=3)) == []
    with pytest.warns(UserWarning, match="4 files are of another"):
        assert len(speak(voice, tmp_path, changed, dataclasses.replace(FAST, seed=1))) == 4
    report = {line["id"]: line for line in read_report(tmp_path / "report.jsonl")}
    assert (report["t1"]["text"], report["t1"]["settings"]["seed"]) == ("Other words.", 1)


def test_another_voice_speaks_again(voice, tmp_path):
    speak(voice, tmp_path / "out", TEXTS[:1])
    other = load_voice(save_voice(tmp_path / "other", stop="at once"), "cpu", 1)
    exact = load_voice(tmp_path / "other", "cpu", 1, "float32")
    assert len({voice.fingerprint, other.fingerprint, exact.fingerprint}) == 3
    with pytest.warns(UserWarning, match="1 files are of another text, voice"):
        assert len(speak(other, tmp_path / "out", TEXTS[:1])) == 1


def test_a_file_without_a_line_is_left_with_a_warning(voice, tmp_path):
    (tmp_path / "t1.wav").write_bytes(b"mine")
    with pytest.warns(UserWarning, match="1 files are in no report of it; they are left"):
        assert len(speak(voice, tmp_path)) == 4
    assert (tmp_path / "t1.wav").read_bytes() == b"mine"


def test_reports_of_another_number_of_processes_count(voice, tmp_path):
    for rank in range(2):
        speak(voice, tmp_path, rank=rank, world_size=2)
    assert speak(voice, tmp_path) == []


def test_two_runs_in_one_folder(voice, tmp_path):
    code = f"""
import time
from pathlib import Path
from wavetts.files import locked
with locked(Path({str(tmp_path / "out" / ".report.jsonl.lock")!r}), "x"):
    print(flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match=rf"out: process {other.pid} is writing there; wait for its end, or"):
            speak(voice, tmp_path / "out")
        other.kill()
    # What a kill left does not matter.
    assert len(speak(voice, tmp_path / "out")) == 5
    assert not list((tmp_path / "out").glob(".*"))


def test_one_file_holds_all_texts_in_order(voice):
    settings = SynthesisSettings(max_seconds=0.2, retries=0, paragraph_pause=0.1, sentence_pause=0.05, batch_size=2)
    texts = [Text("a", "One two. Three.\n\nFour.", "list:1"), *TEXTS[:2]]
    chunks, told = [], []
    spoken = speak_to_file(voice, texts, chunks.append, settings, told.append)
    (first, *others) = voice.synthesize([(text.text, settings.seed) for text in texts], settings)
    gap = np.zeros(int(0.1 * voice.sample_rate), np.float32)
    expected = np.concatenate([first.audio, gap, others[0].audio, gap, others[1].audio])
    np.testing.assert_allclose(np.concatenate(chunks), expected, atol=1e-4)
    # A sentence at a time, as it is made.
    assert len(chunks) == spoken.sentences == 5
    assert spoken.seconds == len(expected) / voice.sample_rate
    assert sum(told) == pytest.approx(3)
    assert min(told) >= 0
    assert [take.piece.spoken for take in spoken.broken][:2] == ["One two.", "Three."]
    assert all(take.audio.size == take.alignment.size == 0 for take in spoken.broken)


def test_one_file_fails_before_anything_is_spoken(voice):
    with pytest.raises(UserError, match=r"list:7: '\.\.\.': nothing to speak"):
        bad = [TEXTS[0], Text("bad", "...", "list:7")]
        speak_to_file(voice, bad, lambda _: pytest.fail("spoken"), FAST, lambda _: None)


def test_a_long_text_is_made_ready_a_few_sentences_at_a_time(voice, monkeypatch):
    """And what was given away is not kept."""
    transcribed, given, front_end = [], [], type(voice.tokenizer)
    transcribe = front_end.transcribe_spoken
    monkeypatch.setattr(
        front_end, "transcribe_spoken", lambda self, text: transcribed.append(text) or transcribe(self, text)
    )

    def write(audio):
        given.append(len(transcribed))
        if len(given) == 10:
            raise KeyboardInterrupt

    text = Text("long", "One two. " * 500, "list:1")
    settings = dataclasses.replace(FAST, max_seconds=0.04)
    with pytest.raises(KeyboardInterrupt):
        speak_to_file(voice, [text], write, settings, lambda _: None)
    assert given[-1] < 60


@pytest.mark.slow
def test_killed_list_goes_on_where_it_stopped(voice, tmp_path):
    """SIGKILL at any time: whole files, and the same command does the rest."""
    save_voice(tmp_path / "voice", stop="never")
    (tmp_path / "list.txt").write_text("".join(f"this is sentence {'very ' * (n % 5)}long\n" for n in range(20)))
    out = tmp_path / "out"
    flags = ["--batch-size", "1", "--retries", "0", "--max-seconds", "2", "--threads", "1"]
    command = ["synthesize", str(tmp_path / "voice"), "--input", str(tmp_path / "list.txt"), "--output-dir", str(out)]
    command = [sys.executable, "-m", "wavetts", *command, *flags]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while len(list(out.glob("*.wav"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    first = {path: path.stat().st_mtime_ns for path in out.glob("*.wav")}
    assert 3 <= len(first) < 20
    assert all(len(read_audio(path)[0]) for path in first)
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{len(first)} were there already" in result.stderr
    assert all(path.stat().st_mtime_ns == changed for path, changed in first.items())
    assert len(list(out.glob("*.wav"))) == len(read_report(out / "report.jsonl")) == 20
    assert not list(out.glob(".*"))
    assert outputs.speak_to_folder(voice, [], out, FAST, lambda _: None) == []


@pytest.mark.slow
def test_torchrun_gives_the_same_files(voice, tmp_path):
    save_voice(tmp_path / "voice", stop="never")
    lines = [{"id": text.id, "text": text.text} for text in TEXTS]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "wavetts"]
    words = ["synthesize", tmp_path / "voice", "--input", tmp_path / "list.jsonl", "--output-dir", tmp_path / "two"]
    flags = ["--max-seconds", "0.2", "--retries", "0", "--threads", "1", "--device", "cpu"]
    subprocess.run([sys.executable, *map(str, [*launcher, *words, *flags])], check=True, capture_output=True)
    speak(voice, tmp_path / "one")
    assert names(tmp_path / "two")[:2] == ["report-0of2.jsonl", "report-1of2.jsonl"]
    for text in TEXTS:
        one, two = (read_audio(tmp_path / folder / f"{text.id}.wav")[0] for folder in ("one", "two"))
        np.testing.assert_allclose(one, two, atol=1e-4)
