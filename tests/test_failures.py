"""What goes wrong on every machine sooner or later, through the commands themselves.

Each ends in one line and exit code 2, loses nothing that was there, and leaves nothing half written. Two stand
elsewhere: SIGKILL in training (test_train) and in the synthesis of a list (test_outputs).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from command_lines import ROOT
from toy import metrics, toy_config, write_corpus
from toy_voice import save_voice

from wavetts.audio import read_audio
from wavetts.config.load import dump_config
from wavetts.model import checkpoint
from wavetts.training import state as states

LJSPEECH = ROOT / "tests" / "data" / "ljspeech"
FAST = ["--max-seconds", "0.2", "--retries", "0", "--threads", "1", "--device", "cpu"]
# The toy voice knows few letters.
pytestmark = pytest.mark.filterwarnings("ignore:.*unknown to this voice")


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> str:
    return str(save_voice(tmp_path_factory.mktemp("voice"), stop="never"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture
def train(run, data, tmp_path):
    """`train(run folder, *words, data=folder, **train section)`: what `wavetts train` gives."""

    def call(folder: Path, *words: str, data: Path = data, **section: object) -> tuple[int, str, str]:
        config = tmp_path / "config.yaml"
        config.write_text(dump_config(toy_config(**{"max_steps": 6, "save_every": 2, "num_samples": 0, **section})))
        places = ["--data", str(data), "--run", str(folder), "--device", "cpu", "--threads", "1"]
        return run("train", str(config), *places, *words)

    return call


def assert_one_line(result: tuple[int, str, str], message: str) -> None:
    code, _, err = result
    last = err.replace("\r", "\n").splitlines()[-1]
    assert code == 2
    assert last.startswith("wavetts: error: ")
    assert message in last
    assert "Traceback" not in err


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def test_truncated_model(run, voice):
    whole = Path(voice, "model.safetensors").read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        Path("model.safetensors").write_bytes(whole[:size])
        arguments = ["model.safetensors", "Hello.", "-o", "a.wav", *FAST]
        assert_one_line(run("synthesize", *arguments), "model.safetensors: cut off or not a safetensors file")
        assert_one_line(run("export", "model.safetensors", "b.safetensors"), "model.safetensors: cut off")
    assert not Path("a.wav").exists()
    assert not Path("b.safetensors").exists()


def test_truncated_states(train, tmp_path):
    folder = tmp_path / "run"
    assert train(folder)[0] == 0
    whole = metrics(folder, "train")
    older, newest = states.list_states(folder)
    newest.write_bytes(newest.read_bytes()[:1000])
    code, _, err = train(folder, "--resume")
    assert code == 0
    assert f"wavetts: warning: {newest}: cut off, damaged or not a training state" in err
    assert metrics(folder, "train") == whole
    for path in (older, newest):
        path.write_bytes(path.read_bytes()[:1000])
    assert_one_line(train(folder, "--resume"), f"{older}: damaged, as all states of this run are; start another with")
    assert train(tmp_path / "other", "--init-from", str(folder))[0] == 0


def test_corrupt_audio(run, train, tmp_path, data):
    corpus = tmp_path / "corpus"
    shutil.copytree(LJSPEECH, corpus)
    first, second, *others = sorted((corpus / "wavs").iterdir())
    first.write_bytes(first.read_bytes()[:20_000])
    second.write_bytes(b"no audio")
    prepare = ["preprocess", str(corpus), "out", "--sample-rate", "16000", "--dev", "0", "--test", "0"]
    code, out, _ = run(*prepare)
    assert code == 0
    assert "- unreadable audio: 2" in out
    dropped = [json.loads(line) for line in Path("out/dropped.jsonl").read_text().splitlines()]
    assert {line["id"] for line in dropped} == {first.stem, second.stem}
    assert len(list(Path("out/audio").iterdir())) == len(others)
    for path in others:
        path.write_bytes(b"no audio")
    assert_one_line(run(*prepare), "0 of 7 clips are left")

    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    path = broken / "audio" / "train-003.flac"
    path.write_bytes(path.read_bytes()[:200])
    assert_one_line(train(tmp_path / "run", data=broken), f"{path}: ")
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_line_without_a_separator(run, voice, tmp_path):
    corpus = tmp_path / "corpus"
    (corpus / "wavs").mkdir(parents=True)
    (corpus / "metadata.csv").write_text("a|One.\nb Two.\n")
    assert_one_line(run("preprocess", str(corpus), "out"), "metadata.csv:2: expected 'id|text' or ")
    arguments = ["--input", str(corpus / "metadata.csv"), "--output-dir", "spoken", *FAST]
    assert_one_line(run("synthesize", voice, *arguments), "metadata.csv:2: expected 'id|text' or ")
    assert not Path("out").exists()
    assert not Path("spoken").exists()


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_empty_text(run, voice, content):
    Path("empty.txt").write_bytes(content)
    Path("metadata.csv").write_bytes(content)
    arguments = ["--output-dir", "out", *FAST]
    assert_one_line(run("synthesize", voice, "--input", "empty.txt", *arguments), "empty.txt: no text in it")
    assert_one_line(run("synthesize", voice, "-", "-o", "a.wav", stdin=content), "standard input: no text in it")
    assert_one_line(run("say", "-", "--voice", voice, "-o", "a.wav", stdin=content), "standard input: no text in it")
    assert_one_line(run("preprocess", "metadata.csv", "out"), "metadata.csv: it has no lines")
    assert sorted(path.name for path in Path().iterdir()) == ["empty.txt", "metadata.csv"]


def test_line_of_100_kb(run, tmp_path):
    """All of it is spoken, sentence by sentence; a clip with such a text is dropped, and says so."""
    voice = save_voice(tmp_path / "voice", stop="at once")
    Path("long.txt").write_text("a word, " * 12_500 + "end.\n")
    options = ["--retries", "0", "--batch-size", "64", "--threads", "1", "--device", "cpu"]
    code, _, err = run("synthesize", str(voice), "--input", "long.txt", "--output-dir", "out", *options)
    assert code == 0, err
    (line,) = [json.loads(line) for line in Path("out/report.jsonl").read_text().splitlines()]
    assert line["spoken"].split() == Path("long.txt").read_text().split()
    assert len(line["tries"]) > 500
    assert len(read_audio("out/long-0001.wav")[0]) > 500 * 160

    corpus = tmp_path / "corpus"
    shutil.copytree(LJSPEECH, corpus)
    rows = (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()
    rows[0] = rows[0].split("|")[0] + "|" + "a word, " * 12_500
    (corpus / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    code, out, _ = run("preprocess", str(corpus), "data", "--sample-rate", "16000", "--dev", "0", "--test", "0")
    assert code == 0
    assert "- text too long for its audio: 1" in out


def test_full_disk_in_training(train, small_disk, tmp_path):
    """What was saved before stays whole, and the run goes on from there as if nothing had been."""
    assert train(tmp_path / "whole")[0] == 0
    state = states.list_states(tmp_path / "whole")[0].stat().st_size
    # Room for the first save and a part of the second.
    model = (tmp_path / "whole" / "model.safetensors").stat().st_size
    resize(small_disk, str(state + model + state // 2))
    folder = small_disk / "run"
    assert_one_line(train(folder), "No space left on device")
    (path,) = states.list_states(folder)
    assert states.load_state(path)["step"] == 2
    assert checkpoint.load_model(folder).info["step"] == 2
    assert not list(folder.glob(".*"))
    resize(small_disk, "16m")
    assert train(folder, "--resume")[0] == 0
    one, two = (checkpoint.load_model(place).model.state_dict() for place in (tmp_path / "whole", folder))
    assert all(one[name].equal(two[name]) for name in one)
    assert metrics(folder, "train") == metrics(tmp_path / "whole", "train")


def test_full_disk_in_synthesis(run, voice, small_disk):
    Path("list.txt").write_text("one more line\n" * 20)
    # A WAV of 0.2 s is 3 kB.
    resize(small_disk, "32k")
    arguments = ["synthesize", voice, "--input", "list.txt", "--output-dir", str(small_disk / "out"), *FAST]
    assert_one_line(run(*arguments), "No space left on device; mend that and run the same command again")
    there = sorted((small_disk / "out").glob("*.wav"))
    assert 0 < len(there) < 20
    assert all(len(read_audio(path)[0]) == 1600 for path in there)
    assert not list((small_disk / "out").glob(".*"))
    resize(small_disk, "1m")
    code, _, err = run(*arguments)
    assert code == 0, err
    assert f"{len(there)} were there already" in err
    assert len(list((small_disk / "out").glob("*.wav"))) == 20
    report = [json.loads(line) for line in (small_disk / "out" / "report.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in report}) == 20


def test_full_disk_in_preprocessing(run, small_disk):
    """Library and several processes: test_preprocess."""
    arguments = ["preprocess", str(LJSPEECH), str(small_disk / "out"), "--dev", "1", "--test", "1"]
    assert_one_line(run(*arguments), "No space left on device; mend that and run the same command again")
    assert not list(small_disk.rglob(".*"))
    resize(small_disk, "2m")
    assert run(*arguments)[0] == 0
    assert len(list((small_disk / "out" / "audio").iterdir())) == 7
