from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from paths import ROOT
from toy_voice import save_voice

import wavetts
from wavetts.cli import config as config_command
from wavetts.synthesis.catalog import find_voice

COMMANDS = [*["preprocess", "train", "distill", "config", "synthesize", "say", "repair"]]
COMMANDS += ["voices", "demo", "evaluate", "analyse", "curves", "export", "serve"]
SENTENCES = str(ROOT / "recipes" / "synthesize" / "sentences.txt")
FAST = ["--max-seconds", "0.2", "--retries", "0", "--threads", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> str:
    return str(save_voice(tmp_path_factory.mktemp("voice"), stop="never"))


def wavetts_process(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "wavetts", *arguments], capture_output=True, **options)


def test_help_is_instant():
    """CPU time of the whole process: wall time would depend on what else runs here."""
    for arguments in ([], *([name] for name in COMMANDS)):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wavetts_process(*arguments, "--help", check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


@pytest.mark.parametrize("arguments", [["--help"], ["synthesize", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
from wavetts.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    assert end.code == 0
assert not {{"torch", "numpy", "soundfile", "yaml", "tqdm"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version(run):
    assert run("--version") == (0, f"wavetts {wavetts.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"examples:\n  wavetts {name}" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_spelled_with_dashes(run, name):
    """So that `errors.dashed` makes the other spelling of each."""
    _, out, _ = run(name, "--help")
    options = [word.strip("[],") for word in out.split("examples:")[0].split() if word.strip("[],").startswith("--")]
    assert "--help" in options
    assert not [option for option in options if "_" in option]


def test_options_of_preprocess_have_the_defaults_of_the_library(monkeypatch, run):
    from wavetts.corpus import preprocess

    calls = []
    monkeypatch.setattr(preprocess, "preprocess", lambda *arguments: calls.append(arguments))
    for flags in ([], ["--sample_rate=16000", "--loudness", "-23", "--overwrite", "--top_db", "0"]):
        Path("out").mkdir(exist_ok=True)
        Path("out/report.md").write_text("# Report")
        code, out, err = run("preprocess", "corpus", "out", *flags)
        assert (code, out) == (0, "# Report\n")
        assert err == "wrote out: train with `wavetts train CONFIG --data out --run DIR`\n"
    options = preprocess.PreprocessOptions
    changed = options(sample_rate=16000, loudness=-23.0, overwrite=True, top_db=0.0)
    assert calls == [(Path("corpus"), Path("out"), options()), (Path("corpus"), Path("out"), changed)]


def test_train_takes_overrides_anywhere(monkeypatch, run):
    import wavetts.training.loop

    calls = []
    monkeypatch.setattr(wavetts.training.loop, "train", lambda *args, **kwargs: calls.append((args, kwargs)))
    config = str(ROOT / "recipes" / "train" / "toy.yaml")
    flags = ["--data", "D", "train.max_steps=7", "--run", "R", "--init_from", "joe", "train.seed=3"]
    hint = 'hear it: wavetts say --voice R/model.safetensors "Hello."\n'
    assert run("train", config, "train.log_every=2", *flags) == (0, "", hint)
    ((args, kwargs),) = calls
    assert args[1:] == (Path("D"), Path("R"))
    assert (args[0].train.max_steps, args[0].train.seed, args[0].train.log_every) == (7, 3, 2)
    assert kwargs.pop("voice_folders")
    assert kwargs == {"resume": False, "init_from": find_voice("joe"), "device": "auto", "threads": 0}


def test_every_command_that_writes_says_where(run, voice, tmp_path):
    """Others: test_say, preprocess above, training's end in test_logs."""
    assert "wrote a.flac: 0.2 s of speech in" in run("synthesize", voice, "Hello.", "-o", "a.flac", *FAST)[2]
    Path("list.txt").write_text("one\n")
    err = run("synthesize", voice, "--input", "list.txt", "--output-dir", "out", *FAST)[2]
    assert "wrote 1 files to out, out/report.jsonl: 0.2 s of speech in" in err
    assert re.search(r"^wrote b\.safetensors: \d+\.\d MB$", run("export", voice, "b.safetensors")[2], re.MULTILINE)
    Path("metrics.jsonl").write_text('{"kind": "train", "step": 1, "minutes": 1, "bits_per_sample": 9}\n')
    assert run("curves", ".") == (0, "", "wrote curves.png\n")


def test_names_of_voices_everywhere(run, voice, monkeypatch, tmp_path):
    """A folder of the same name is not in the way."""
    monkeypatch.setenv("WAVETTS_VOICES", str(tmp_path / "voices"))
    assert run("export", voice, "voices/mine/model.safetensors")[0] == 0
    Path("mine").mkdir()
    shutil.copy(ROOT / "tests/data/ljspeech/wavs/LJ001-0008.wav", "mine/text-0001.wav")
    assert run("export", "mine", "copy.safetensors")[0] == 0
    Path("text.txt").write_text("one\n")
    code, out, err = run("evaluate", "mine", "text.txt", "--synthesize", "0", "--timing", *FAST)
    assert (code, err.count("error")) == (0, 0), err
    assert "mine" in out
    assert run("say", "Hello.", "--voice", "mine", "-o", "a.wav", *FAST)[0] == 0
    assert run("say", "Hello.", "--voice", "./mine", "-o", "a.wav", *FAST)[0] == 2


def test_config_prints_every_field(run):
    from wavetts.config.load import describe

    assert run("config") == (0, describe(), "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sing"], "argument COMMAND: invalid choice: 'sing'"),
        (["synthesize"], "the following arguments are required: MODEL; see `wavetts synthesize --help`"),
        (
            ["synthesize", "m", "text", "--loud"],
            "unrecognized arguments: --loud; run `wavetts synthesize --help` for those that it takes",
        ),
        (["synthesize", "m", "text", "--temp", "1"], "unrecognized arguments: --temp"),
        (["synthesize", "m", "text", "--temperature", "hot"], "argument --temperature: invalid float value: 'hot'"),
        (["synthesize", "m", "text", "--threads", "0"], "argument --threads: 0 is not a positive whole number"),
        (["synthesize", "m", "text", "--temperature", "-1"], "temperature: -1.0 is negative"),
        (["synthesize", "m", "text", "--input", "a.txt"], "give a TEXT or --input FILE, not both"),
        (["synthesize", "m", " "], "no text: give it as an argument"),
        (["synthesize", "m", "--input", "a.txt"], "a.txt: no such file"),
        (["synthesize", "m", "text", "--plots"], "--plots and --overwrite go with --output-dir DIR"),
        (["synthesize", "m", "text", "--output-dir", "o", "-o", "a.wav"], "give --output-dir DIR or -o FILE, not both"),
        (["synthesize", "m", "text", "-o", "a.mp3"], "-o a.mp3: audio is written as .wav or .flac"),
        (["synthesize", "m", "text"], "m: no such model file, run folder or voice"),
        (["synthesize", "m", "text", "--settings", "none.yaml"], "none.yaml: no such file"),
        (["say", "hello", "--voice", "nobody"], "nobody: no such model file, run folder or voice"),
        (["train", "c.yaml"], "the following arguments are required: --data, --run; see `wavetts train --help`"),
        (["train", "c.yaml", "--data", "D", "--run", "R"], "c.yaml: no such config"),
        (["train", "c.yaml", "--data", "D", "--run", "R", "what"], "unrecognized arguments: what"),
        (["preprocess", "f", "o", "--loudness", "high"], "argument --loudness: invalid level in dBFS or 'off' value"),
        (["preprocess", "f", "o", "--jobs", "0"], "jobs must be at least 1"),
        (["evaluate", "m", "none.jsonl"], "none.jsonl: no such file"),
        (["say", "Hello.", "-o", "/dev/null/a.wav"], "-o /dev/null/a.wav: cannot be written; choose another file"),
        (["demo", "--models", "none"], "none: no model of wavetts in it or below it"),
        (["say", ""], "no text: give it as an argument"),
        (["say", "Hello", "--voice", "joe", "there", "--loud"], "unrecognized arguments: there --loud"),
        (["curves", "none"], "none: cannot be read: No such file or directory"),
        (
            ["export", "none", "voice.safetensors"],
            "none: no such model file, run folder or voice (heart, allison, joe, michael)",
        ),
        (["export", "joe", "voice.pt"], "voice.pt: models are written as .safetensors"),
        (["export", "joe", "v.safetensors", "train.seed=1"], "train.seed=1: only fields of `synthesis` can be changed"),
        (["export", "joe", "v.safetensors", "synthesis.no=1"], "v.safetensors: synthesis.no: no such field"),
        (
            ["export", "joe", "v.safetensors", "synthesis.temperature=-1"],
            "v.safetensors: synthesis.temperature: -1.0 is negative",
        ),
        (
            ["train", "compact", "--data", "D", "--run", "R"],
            "compact: no such config file; configs that have a name",
        ),
        (
            ["train", "toy", "--data", "D", "--run", "R", "--init-from", "nobody"],
            "nobody: no such model file",
        ),
        (
            ["train", "toy", "train.seed=1" + 22 * "0", "--data", "D", "--run", "R"],
            "override train.seed=1000000000",
        ),
        (
            ["train", "toy", "train.max_steps=soon", "--data", "D", "--run", "R"],
            "override train.max_steps=soon: ",
        ),
        (
            ["train", "toy", "audio.frame_length=100000000", "--data", "D", "--run", "R"],
            "override audio.frame_length=",
        ),
        (["say", "hello", "--speed", "5"], "speed: 5.0 is not between 0.25 and 4"),
        (["evaluate", "m", SENTENCES, "--synthesize", "-1"], "synthesize -1: must not be negative"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"wavetts: error: {message}")
    assert err.count("\n") == 1


def test_exit_codes_of_the_process(tmp_path):
    done = wavetts_process("say", "hello", "--voice", str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stderr.startswith(b"wavetts: error: ")


def test_ctrl_c(run, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(config_command, "run", interrupt)
    assert run("config") == (130, "", "wavetts: interrupted\n")


def test_closed_pipe_is_silent():
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run([sys.executable, "-m", "wavetts", "config"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert process.stderr == b""
    assert process.returncode == 1


def test_text_to_file(run, voice):
    code, out, err = run("synthesize", voice, "Hello there.", *FAST)
    assert (code, out) == (0, "")
    assert "wavetts: warning: 1 of 1 sentences did not reach their end" in err
    assert "0.2 s of speech in" in err
    assert soundfile.info("speech.wav").duration == 0.2
    assert run("say", "Hello there.", "--voice", voice, "-o", "other.flac", *FAST)[0] == 0
    assert soundfile.info("other.flac").duration == 0.2


@pytest.mark.parametrize("arguments", [["-"], []])
def test_standard_input_is_one_text_of_paragraphs(run, voice, arguments):
    code, *_ = run("synthesize", voice, *arguments, "-o", "a.wav", *FAST, stdin=b"One. Two\nthree.\n\nFour.\n")
    assert code == 0
    assert soundfile.info("a.wav").duration == pytest.approx(3 * 0.2 + 0.2 + 0.5)


def test_audio_on_standard_output(voice):
    done = wavetts_process("synthesize", voice, "--input", "-", "-o", "-", *FAST, input=b"one\ntwo\n", check=True)
    audio, rate = soundfile.read(io.BytesIO(done.stdout))
    assert len(audio) == (2 * 0.2 + 0.5) * rate
    # Sent while it is made: the header cannot say how long it will be.
    assert int.from_bytes(done.stdout[4:8], "little") > len(done.stdout)


def test_list_to_folder(run, voice):
    Path("list.csv").write_text("a|One.\nb|Two, three.\n")
    arguments = ["synthesize", voice, "--input", "list.csv", "--output_dir", "out", *FAST]
    code, out, err = run(*arguments)
    assert (code, out) == (0, "")
    assert "wavetts: warning: 2 texts did not reach their end, see out/report.jsonl: " in err
    assert sorted(os.listdir("out")) == ["a.wav", "b.wav", "report.jsonl"]
    assert "2 were there already" in run(*arguments)[2]


def test_unspeakable_text_is_an_error_in_the_end(run, voice):
    Path("list.csv").write_text("a|...\nb|Two.\n")
    code, _, err = run("synthesize", voice, "--input", "list.csv", "--output-dir", "out", *FAST)
    assert code == 2
    assert "wavetts: warning: list.csv:1: '...': nothing to speak in it" in err
    assert err.endswith("wavetts: error: 1 of 2 texts could not be spoken, see out/report.jsonl\n")
    assert Path("out/b.wav").exists()


def test_processes_share_a_list(run, voice, monkeypatch):
    Path("list.txt").write_text("one\ntwo\nthree\n")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        assert run("synthesize", voice, "--input", "list.txt", "--output-dir", "out", *FAST)[0] == 0
    assert len(list(Path("out").glob("*.wav"))) == 3
    assert len(list(Path("out").glob("report-?of2.jsonl"))) == 2
    code, _, err = run("synthesize", voice, "--input", "list.txt", "-o", "a.wav", *FAST)
    assert (code, err) == (2, f"wavetts: error: {ONE_PROCESS}\n")


ONE_PROCESS = "one file is written by one process: give --output-dir DIR, or run without torchrun"


def test_flags_win_over_the_settings_file(run, voice):
    Path("s.yaml").write_text("seed: 5\nmax_seconds: 0.1\nretries: 2\n")
    flags = ["--settings", "s.yaml", "--retries", "0", "--threads", "1"]
    assert run("synthesize", voice, "--input", "-", "--output-dir", "a", *flags, stdin=b"one")[0] == 0
    assert run("synthesize", voice, "--input", "-", "--output-dir", "b", *flags, "--seed", "6", stdin=b"one")[0] == 0
    one, two = (json.loads(Path(name, "report.jsonl").read_text()) for name in "ab")
    assert (one["seconds"], one["tries"]) == (0.1, [1])
    assert one["seeds"] != two["seeds"]


def test_say_streams_to_standard_output(voice):
    """The header and the first samples come while the rest is still to be spoken."""
    command = [sys.executable, "-m", "wavetts", "say", "-", "--voice", voice, "-o", "-", *FAST, "--max-seconds", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"One here. " * 40)
        process.stdin.close()
        # A pipe holds 64 kB, this text gives 700: it cannot have ended.
        first = process.stdout.read(44 + 1000)
        assert process.poll() is None
        rest = process.stdout.read()
    assert process.returncode == 0
    audio, rate = soundfile.read(io.BytesIO(first + rest))
    assert (len(audio), rate) == ((40 * 1.0 + 39 * 0.2) * 8000, 8000)


def test_voices(run, voice, monkeypatch, tmp_path):
    monkeypatch.setenv("WAVETTS_VOICES", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert run("export", voice, str(tmp_path / "mine" / "model.safetensors"))[0] == 0
    code, out, err = run("voices")
    assert (code, err) == (0, f"your own: {tmp_path}/NAME/model.safetensors\n")
    header, *rows = out.splitlines()
    assert header.split() == ["name", "language", "Hz", "licence", "description"]
    assert rows[0].split()[1] == "(default)"
    assert rows[-1].split() == ["mine", "en-us", "8000"]
    listed = json.loads(run("voices", "--json")[1])
    assert listed[0]["default"]
    assert (listed[-1]["name"], listed[-1]["bundled"], listed[-1]["default"]) == ("mine", False, False)
    assert run("say", "Hello.", "--voice", "mine", "-o", "a.wav", *FAST)[0] == 0


def test_say_explains_what_each_token_was_taken_for(run, voice):
    code, out, _ = run("say", "Dr. Lee paid $5.", "--voice", voice, "--explain")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["written", "class", "said"],
        ["Dr.", "abbreviation", "Doctor"],
        ["Lee", "word", "Lee"],
        ["paid", "word", "paid"],
        ["$5", "money", "five", "dollars"],
        [".", "mark", "."],
    ]
    assert not Path("speech.wav").exists()
