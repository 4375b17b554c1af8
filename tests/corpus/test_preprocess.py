from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from paths import DATA, ROOT

from wavetts.audio import read_audio, write_audio
from wavetts.corpus.preprocess import PreprocessOptions, assign_splits, count_clipped, preprocess
from wavetts.errors import UserError
from wavetts.text.normalize import FRONT_END_VERSION

LJSPEECH = DATA / "ljspeech"
OPTIONS = PreprocessOptions(sample_rate=24000, dev=1, test=1)
MANIFESTS = ("train.jsonl", "dev.jsonl", "test.jsonl", "dropped.jsonl", "info.json", "report.md")


def options(**changes) -> PreprocessOptions:
    return PreprocessOptions(**{"sample_rate": 16000, "dev": 0, "test": 0, **changes})


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that training sees."""
    paths = [folder / name for name in MANIFESTS] + sorted((folder / "audio").iterdir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def make_corpus(folder: Path, rows: list[str]) -> Path:
    (folder / "wavs").mkdir(parents=True)
    for path in (LJSPEECH / "wavs").iterdir():
        shutil.copy(path, folder / "wavs")
    (folder / "metadata.csv").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("prepared") / "out"
    preprocess(LJSPEECH, output, OPTIONS)
    return output


def test_real_clips(prepared):
    info = json.loads((prepared / "info.json").read_text(encoding="utf-8"))
    assert (info["sample_rate"], info["language"], info["dropped"]) == (24000, "en-us", {})
    assert info["clips"] == {"train": 5, "dev": 1, "test": 1}
    assert info["options"]["margin"] == 0.1 and "jobs" not in info["options"]
    clips = {clip["id"]: clip for split in ("train", "dev", "test") for clip in read_lines(prepared / f"{split}.jsonl")}
    clip = clips["LJ001-0008"]
    assert clip["text"] == clip["spoken"] == "has never been surpassed."
    assert clip["phonemes"] == "hɐz nˈɛvɚ bˌɪn sɚpˈæst."
    for clip in clips.values():
        audio = soundfile.info(prepared / clip["audio"])
        assert (audio.format, audio.subtype, audio.channels, audio.samplerate) == ("FLAC", "PCM_16", 1, 24000)
        assert audio.frames == clip["samples"] == pytest.approx(clip["seconds"] * 24000, abs=12)
        original, rate = read_audio(LJSPEECH / "wavs" / f"{clip['id']}.wav")
        # LJSpeech is cut close: no more than the pauses goes.
        assert 0.75 * len(original) / rate < clip["seconds"] <= len(original) / rate + 1e-3
    report = (prepared / "report.md").read_text(encoding="utf-8")
    assert "| train | 5 |" in report
    assert f"text front end {FRONT_END_VERSION}" in report and info["front_end_version"] == FRONT_END_VERSION
    assert not list(prepared.rglob("*.tmp"))


def test_what_is_done_is_not_done_again(prepared, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    before = {path: path.stat().st_mtime_ns for path in (output / "audio").iterdir()}
    (output / "audio" / "LJ001-0008.flac").unlink()
    # The split is not a matter of the clips.
    info = preprocess(LJSPEECH, output, options(sample_rate=24000, dev=2, test=0))
    assert info["clips"] == {"train": 5, "dev": 2, "test": 0}
    changed = [path.stem for path in before if path.stat().st_mtime_ns != before[path]]
    assert changed == ["LJ001-0008"]
    preprocess(LJSPEECH, output, OPTIONS)
    assert contents(output) == contents(prepared)


def test_other_options_need_overwrite(prepared, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    with pytest.raises(UserError, match=r"other options \(sample_rate 24000 -> 16000\); overwrite it or choose"):
        preprocess(LJSPEECH, output, options())
    assert contents(output) == contents(prepared)
    assert preprocess(LJSPEECH, output, options(overwrite=True))["sample_rate"] == 16000
    assert soundfile.info(output / "audio" / "LJ001-0008.flac").samplerate == 16000


def test_a_changed_corpus(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", ["LJ001-0002|in being modern.", "LJ001-0008|has never been surpassed."])
    preprocess(corpus, tmp_path / "out", options())
    (corpus / "metadata.csv").write_text(
        "LJ001-0008|has ever been surpassed.\nLJ001-0013|than in the same operations.\n"
    )
    preprocess(corpus, tmp_path / "out", options())
    assert [clip["text"] for clip in read_lines(tmp_path / "out" / "train.jsonl")] == [
        "has ever been surpassed.",
        "than in the same operations.",
    ]
    assert sorted(path.stem for path in (tmp_path / "out/audio").iterdir()) == ["LJ001-0008", "LJ001-0013"]


def test_every_reason_to_drop_a_clip(tmp_path):
    text = "has never been surpassed."
    bad = {
        "gone": "missing file",
        "garbage": "unreadable audio",
        "cut": "unreadable audio",
        "nan": "not finite",
        "silent": "silent",
        "short": "too short",
        "long": "too long",
        "empty": "empty text",
        "dots": "no phonemes",
        "bracket": "text cannot be normalised",
        "book": "text too long for its audio",
        "many": "text too long for its audio",
        "word": "text too short for its audio",
    }
    texts = {
        "empty": " ",
        "dots": "...",
        "bracket": "a [[b",
        "book": "word " * 20_000,
        "many": "Number 999,999,999.",
        "word": "yes",
    }
    corpus = make_corpus(tmp_path / "corpus", [f"{name}|{texts.get(name, text)}" for name in ["LJ001-0008", *bad]])
    metadata = corpus / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("LJ001-0008|word", f"LJ001-0008|{text}"))
    samples, rate = read_audio(LJSPEECH / "wavs" / "LJ001-0008.wav")
    wavs = corpus / "wavs"
    for name in ("empty", "dots", "bracket", "book"):
        write_audio(wavs / f"{name}.wav", samples, rate)
    (wavs / "garbage.wav").write_bytes(os.urandom(5000))
    (wavs / "cut.wav").write_bytes((LJSPEECH / "wavs" / "LJ001-0008.wav").read_bytes()[:20000])
    soundfile.write(wavs / "nan.wav", np.where(np.arange(len(samples)) == 9, np.nan, samples), rate, subtype="FLOAT")
    write_audio(wavs / "silent.wav", samples * 1e-4, rate)
    write_audio(wavs / "short.wav", samples[8000:10000], rate)
    write_audio(wavs / "long.wav", np.tile(samples, 15), rate)
    write_audio(wavs / "many.wav", samples[8000:20000], rate)
    write_audio(wavs / "word.wav", np.tile(samples, 3), rate)

    info = preprocess(corpus, tmp_path / "out", options())
    dropped = read_lines(tmp_path / "out" / "dropped.jsonl")
    assert {item["id"]: item["reason"] for item in dropped} == bad
    assert all(item["detail"] for item in dropped)
    assert info["dropped"]["unreadable audio"] == 2 and info["clips"]["train"] == 1
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert all(f"- {reason}: " in report for reason in bad.values())
    assert [path.stem for path in (tmp_path / "out/audio").iterdir()] == ["LJ001-0008"]


def test_clipping_is_reported_and_kept(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", ["LJ001-0008|has never been surpassed.", "LJ001-0002|in being modern."])
    samples, rate = read_audio(LJSPEECH / "wavs" / "LJ001-0008.wav")
    write_audio(corpus / "wavs" / "LJ001-0008.wav", samples * 20, rate)
    info = preprocess(corpus, tmp_path / "out", options())
    assert list(info["clipped"]) == ["LJ001-0008"] and info["clipped"]["LJ001-0008"] > 100
    report = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "Clipped, yet kept: 1 clips, most in LJ001-0008." in report


def test_runs_at_full_scale_are_counted():
    samples = np.array([1, 1, 0, 1, 1, 1, 0.5, -1, -1, -1, -1], dtype=np.float32)
    assert count_clipped(samples) == 7
    assert count_clipped(np.zeros(5, np.float32)) == 0


def test_loudness_speakers_and_json_lines(tmp_path):
    items = [
        {"audio": str(LJSPEECH / f"wavs/LJ001-00{n}.wav"), "text": "in a word", "speaker": "lj"} for n in ("08", "02")
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, items)))
    info = preprocess(tmp_path / "list.jsonl", tmp_path / "out", options(loudness=-30.0, top_db=0))
    assert info["speakers"] == {"lj": 2}
    for clip in read_lines(tmp_path / "out" / "train.jsonl"):
        samples, _ = read_audio(tmp_path / "out" / clip["audio"])
        assert 20 * np.log10(np.sqrt(np.mean(samples**2))) == pytest.approx(-30, abs=0.05)
        assert clip["speaker"] == "lj"


def test_splits_are_exact_and_stay_when_clips_are_added():
    ids = [f"clip{number}" for number in range(1000)]
    splits = assign_splits(ids, 50, 60, seed=0)
    assert [list(splits.values()).count(name) for name in ("dev", "test", "train")] == [50, 60, 890]
    assert assign_splits(list(reversed(ids)), 50, 60, seed=0) == splits
    more = assign_splits([*ids, "new"], 50, 60, seed=0)
    assert sum(more[name] != splits[name] for name in ids) <= 1
    # What was held out never becomes the other held-out part.
    assert not any({more[name], splits[name]} == {"dev", "test"} for name in ids)
    assert assign_splits(ids, 50, 60, seed=1) != splits
    assert set(assign_splits(ids, 0, 0, seed=0).values()) == {"train"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be from 4000 to 192000"),
        ({"top_db": -1}, "top_db must not be negative"),
        ({"margin": -1}, "margin must not be negative"),
        ({"loudness": 3.0}, "loudness must be below 0 dBFS"),
        ({"min_seconds": 5, "max_seconds": 5}, "min_seconds must be above 0 and below max_seconds"),
        ({"dev": -1}, "dev and test must not be negative"),
        ({"jobs": 0}, "jobs must be at least 1"),
    ],
)
def test_options_out_of_range(changes, message):
    with pytest.raises(UserError, match=message):
        options(**changes)


def test_runs_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match="it has 7 clips, and dev=4, test=3 leave none to train on"):
        preprocess(LJSPEECH, tmp_path / "a", options(dev=4, test=3))
    corpus = make_corpus(tmp_path / "corpus", ["x|one", "y|two"])
    with pytest.raises(UserError, match=r"0 of 2 clips are left.*why clips were dropped: .*dropped\.jsonl"):
        preprocess(corpus, tmp_path / "b", options(dev=0, test=0))
    assert not (tmp_path / "b" / "info.json").exists()
    with pytest.raises(UserError, match="holds files that `wavetts preprocess` did not make"):
        preprocess(corpus, corpus, options())
    with pytest.raises(UserError, match="klingon"):
        preprocess(LJSPEECH, tmp_path / "c", options(language="klingon"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make the folder .*file/audio: Not a directory; choose another"):
        preprocess(LJSPEECH, tmp_path / "file", options())


# A clip takes at least 50 ms, here and in the workers, so that there is a middle to be killed in.
SCRIPT = """
import sys
import time
from pathlib import Path
import wavetts.corpus.preprocess
from wavetts.errors import run
from wavetts.corpus.preprocess import PreprocessOptions, preprocess, write_audio

def write_slowly(*arguments):
    time.sleep(0.05)
    write_audio(*arguments)

wavetts.corpus.preprocess.write_audio = write_slowly

def main(argv):
    preprocess(Path(argv[0]), Path(argv[1]), PreprocessOptions(16000, dev=2, test=2, jobs=int(argv[2])))

if __name__ == "__main__":
    run(main)
"""


def start(tmp_path: Path, *arguments: object) -> subprocess.Popen:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "script.py"), *map(str, arguments)]
    # A shell's background jobs, and what they start, ignore Ctrl-C: this one must not.
    return subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture
def large_corpus(tmp_path) -> Path:
    rows = (LJSPEECH / "metadata.csv").read_text(encoding="utf-8").splitlines()
    corpus = make_corpus(tmp_path / "large", [f"{copy:02d}-{row}" for copy in range(60) for row in rows])
    for path in list((corpus / "wavs").iterdir()):
        for copy in range(60):
            (corpus / "wavs" / f"{copy:02d}-{path.name}").hardlink_to(path)
    return corpus


def wait_for_lines(process: subprocess.Popen, path: Path, lines: int) -> None:
    while not path.is_file() or path.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_or_interrupted_it_goes_on_and_jobs_do_not_matter(tmp_path, large_corpus):
    state = tmp_path / "out" / "clips.jsonl"
    killed = start(tmp_path, large_corpus, tmp_path / "out", 2)
    wait_for_lines(killed, state, 20)
    killed.kill()
    killed.wait()
    # Its workers end as well.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(killed.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("a worker outlives its parent")
    done = state.read_bytes().count(b"\n")
    assert done < 400 and not (tmp_path / "out" / "info.json").exists()
    written = [json.loads(line)["clip"]["audio"] for line in state.read_text().splitlines()[1:]]
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in written}
    # As if the kill had come while a line and a file were being written.
    state.write_bytes(state.read_bytes() + b'{"id": "torn')
    (tmp_path / f"out/audio/.x.flac.{killed.pid}.tmp").write_bytes(b"half")

    interrupted = start(tmp_path, large_corpus, tmp_path / "out", 1)
    wait_for_lines(interrupted, state, done + 20)
    os.killpg(interrupted.pid, signal.SIGINT)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert errors.splitlines()[-1] == "interrupted: run the same command again to go on" and "Traceback" not in errors
    # What was done before is not done again.
    assert len(before) == done - 1
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in written} == before

    preprocess(large_corpus, tmp_path / "out", options(dev=2, test=2, jobs=1))
    preprocess(large_corpus, tmp_path / "at-once", options(dev=2, test=2, jobs=2))
    assert contents(tmp_path / "out") == contents(tmp_path / "at-once")


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, small_disk, prepared, jobs):
    with pytest.raises(UserError, match=r"cannot write .*\.flac: No space left on device; mend that") as error:
        preprocess(LJSPEECH, small_disk / "out", options(sample_rate=24000, dev=1, test=1, jobs=jobs))
    assert "\n" not in str(error.value)
    for path in (small_disk / "out" / "audio").iterdir():
        assert path.read_bytes() == (prepared / "audio" / path.name).read_bytes()
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    preprocess(LJSPEECH, small_disk / "out", OPTIONS)
    assert contents(small_disk / "out") == contents(prepared)
