"""The drivers in egs/: their options, the commands that they call, and two of them from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import ROOT, check_recipe, check_wavetts

SCRIPTS = sorted(ROOT.glob("egs/*/*.sh"))
CLIPS = ROOT / "tests" / "data" / "ljspeech"

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")


def run(script: Path, *words: object, cwd: Path, python: str | Path = sys.executable) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": str(python), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run([str(script), *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def recorder(tmp_path):
    """Stands in for python: writes down its arguments. Returns its path and a function that reads them."""
    path, log = tmp_path / "stand in", tmp_path / "calls"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "" >>"{log}"\n', encoding="utf-8")
    path.chmod(0o755)

    def calls() -> list[list[str]]:
        return [call.split("\n") for call in log.read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")]

    return path, calls


def test_there_are_six():
    names = [f"{path.parent.name}/{path.name}" for path in SCRIPTS]
    runs = [f"{name}/run.sh" for name in ("asterisk", "kokoro", "ljspeech", "piper", "toy")]
    assert names == sorted([*runs, "kokoro/gpu.sh"])


@every_script
def test_script_is_thin_strict_and_sound(script):
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert len(lines) <= 60
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script]).returncode == 0


@every_script
def test_help_names_every_option_and_stage(script, tmp_path):
    result = run(script, "--help", cwd=tmp_path)
    assert result.returncode == 0
    source = script.read_text(encoding="utf-8")
    options = source.partition('parse_options "')[2].partition('"')[0].split()
    for option in [*options, "stage", "stop_stage"]:
        assert f"--{option.rstrip('!').replace('_', '-')} " in result.stdout
    for line in source.splitlines():
        if line.startswith("if at_stage"):
            assert f"stage {line.split()[2]} " in result.stdout


@every_script
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--nonsense", "1"], "unknown option --nonsense"),
        (["--nonsense=1"], "unknown option --nonsense"),
        (["--stage"], "--stage needs a value"),
        (["--stage", "two"], "--stage and --stop-stage take whole numbers"),
        (["train.max_steps=1"], "unexpected argument train.max_steps=1"),
    ],
)
def test_mistake_is_one_line_and_exit_code_2(script, words, reason, tmp_path):
    result = run(script, *words, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@every_script
@pytest.mark.parametrize(
    "words", [["--stage", "9"], ["--stage=9", "--stop-stage=9"], ["--stage", "3", "--stop_stage", "2"]]
)
def test_stages_outside_of_the_range_do_nothing(script, words, tmp_path):
    result = run(script, *words, cwd=tmp_path, python="/nonexistent")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@every_script
def test_failing_command_ends_the_script(script, tmp_path):
    result = run(script, "--stage", 1, "--data", "a", "--exp", "b", cwd=tmp_path, python="/bin/false")
    assert result.returncode != 0
    assert result.stderr.count("== stage") == 1


@every_script
def test_commands_are_sound(script, tmp_path, recorder):
    python, calls = recorder
    result = run(
        script, "--stop-stage", 9, "--data", "d", "--exp", "e", "--", "train.seed=3", cwd=tmp_path, python=python
    )
    assert result.returncode == 0, result.stderr
    for call in calls():
        if "wavetts" in call:
            check_wavetts(call[call.index("wavetts") + 1 :])
        else:
            check_recipe(call[0], call[1:])
    trainings = [call for call in calls() if "train" in call]
    assert len(trainings) == 1
    for call in trainings:
        # Behind the script's own fields, so that the user's win.
        assert call[call.index("--data") - 1] == "train.seed=3"
        assert "--resume" not in call
    comparisons = [call for call in calls() if call[0].endswith("end_to_end.py")]
    assert [call[-1] for call in comparisons] == (["train.seed=3"] if script.parent.name == "asterisk" else [])


@every_script
def test_training_goes_on_where_it_left_off(script, tmp_path, recorder):
    python, calls = recorder
    words = ["--stage", 2, "--stop-stage", 2, "--exp", tmp_path / "my exp"]
    run(script, *words, cwd=tmp_path, python=python)
    (first,) = [call for call in calls() if "train" in call]
    folder = Path(first[first.index("--run") + 1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state-00000010.pt").touch()
    run(script, *words, cwd=tmp_path, python=python)
    assert [call for call in calls() if "train" in call] == [first, [*first, "--resume"]]


def test_ljspeech_trains_on_several_gpus(tmp_path, recorder):
    python, calls = recorder
    words = ["--stage", 2, "--stop-stage", 2, "--gpus", 4, "--exp", "e"]
    result = run(ROOT / "egs/ljspeech/run.sh", *words, cwd=tmp_path, python=python)
    assert result.returncode == 0, result.stderr
    (call,) = calls()
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4", "-m", "--", "wavetts", "train"]
    assert call[: len(launcher)] == launcher


@pytest.mark.parametrize(("language", "code"), [("en", "en-us"), ("es", "es-419"), ("fr", "fr-fr"), ("ru", "ru")])
def test_asterisk_languages_are_ones_that_espeak_knows(language, code, tmp_path, recorder):
    from wavetts.text.phonemes import phonemize

    python, calls = recorder
    run(ROOT / "egs/asterisk/run.sh", "--language", language, "--stop-stage", 2, cwd=tmp_path, python=python)
    _, preprocess, train = calls()
    assert preprocess[preprocess.index("--language") + 1] == code
    assert f"text.language={code}" in train
    assert phonemize("a", code)


def check_results(data: Path, run_dir: Path) -> None:
    """What the stages of a driver should have left."""
    ids = [json.loads(line)["id"] for line in (data / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(ids) == 2
    for name in ids:
        assert (run_dir / "test" / f"{name}.wav").stat().st_size > 44
        assert (run_dir / "test" / f"{name}.png").is_file()
    scores = json.loads((run_dir / "test.json").read_text(encoding="utf-8"))
    assert scores["utterances"] == 2
    (forced,) = (system["teacher_forced"] for system in scores["systems"] if system["kind"] == "model")
    assert 0 < forced["bits_per_sample"] < 16


@pytest.mark.slow
def test_toy_from_end_to_end(tmp_path):
    # From another folder, into relative ones, one of them with a space.
    words = ["--data", "my data", "--exp", "exp", "--", "train.max_steps=4", "train.eval_every=2", "train.save_every=2"]
    result = run(ROOT / "egs/toy/run.sh", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    check_results(tmp_path / "my data", tmp_path / "exp")

    # Again, with more steps: goes on.
    again = run(ROOT / "egs/toy/run.sh", "--stop-stage", 2, *words[:5], "train.max_steps=6", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "exp" / "state-00000006.pt").is_file()


@pytest.mark.slow
def test_ljspeech_from_end_to_end(tmp_path):
    """On real clips in the place and layout of the unpacked archive, at a rate that LJSpeech does not have."""
    words = ["--corpus", CLIPS, "--data", "data", "--exp", "exp", "--held-out", 2, "--jobs", 1]
    words += ["--config", ROOT / "recipes/train/toy.yaml", "--sample-rate", 8000, "--", "train.max_steps=4"]
    result = run(ROOT / "egs/ljspeech/run.sh", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "taken as they are" in result.stdout
    check_results(tmp_path / "data", tmp_path / "exp")
    scores = json.loads((tmp_path / "exp" / "test.json").read_text(encoding="utf-8"))
    assert scores["spoken"] == 2
    assert [system["name"] for system in scores["systems"]] == ["recordings", "exp"]
    assert (tmp_path / "exp" / "page" / "index.html").is_file()


@pytest.mark.slow
def test_minutes_on_a_gpu_from_end_to_end_on_a_cpu(tmp_path):
    """From a preprocessed corpus to speech, twice: the second time training goes on."""
    corpus = tmp_path / "corpus"
    words = ["preprocess", CLIPS, corpus, "--sample-rate", 16000, "--dev", 1, "--test", 1]
    subprocess.run([sys.executable, "-m", "wavetts", *map(str, words)], check=True, cwd=ROOT, capture_output=True)
    words = ["--corpus", corpus, "--packed", "packed", "--data", "my data", "--exp", "exp", "--tiny"]
    words += ["--device", "cpu", "--jobs", 1, "--batch-seconds", 8]
    for steps in (2, 3):
        stage = ["--stage", 0 if steps == 2 else 2]
        fields = [f"train.max_steps={steps}", "train.max_minutes=0", "train.num_samples=0"]
        result = run(ROOT / "egs/kokoro/gpu.sh", *stage, *words, "--", *fields, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "exp" / f"state-{steps:08}.pt").is_file()
    rounded, model = (tmp_path / "exp" / f"model{name}.safetensors" for name in ("-rounded", ""))
    assert rounded.stat().st_size < 0.7 * model.stat().st_size
    clips = (tmp_path / "my data" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    assert clips
    for line in clips:
        assert (tmp_path / "exp" / "test" / f"{json.loads(line)['id']}.wav").stat().st_size > 44
