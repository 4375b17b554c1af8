"""Speaking needs the declared dependencies alone; whatever else is missing is named in one line, with its extra."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys

import pytest
from paths import ROOT
from toy import write_corpus
from toy_voice import save_voice

# Runs the command line as if the packages named in the first argument were not installed.
WITHOUT = """
import importlib.machinery, sys
hidden, find = sys.argv.pop(1).split(","), importlib.machinery.PathFinder.find_spec
def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in hidden else find(name, path, target)
importlib.machinery.PathFinder.find_spec = classmethod(find_spec)
from wavetts.cli import main
main()
"""
# What no declared dependency brings.
OPTIONAL = (
    "av,faster_whisper,fastapi,gradio,jiwer,librosa,matplotlib,onnxruntime,pandas,piper,pocketsphinx,"
    "prometheus_client,requests,scipy,sklearn,speechmos,tensorboard,torchaudio,uvicorn"
)


def wavetts(hidden: str, *arguments: str, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", WITHOUT, hidden, *arguments], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ("missing", "arguments", "line"),
    [
        (
            "tensorboard",
            "train {config} --data data --run run",
            "training needs tensorboard: {train}",
        ),
        ("librosa", "preprocess {clips} out", "trimming silence needs librosa: {train}"),
        ("matplotlib", "curves run/metrics.jsonl", "drawing needs matplotlib: {train}"),
        (
            "matplotlib",
            "synthesize {voice} --input {texts} --output-dir out --plots",
            "--plots needs matplotlib: {train}",
        ),
        ("gradio", "demo", "the page needs gradio: {demo}"),
        (
            "uvicorn,fastapi",
            "serve --port 0",
            "the speech server needs fastapi, uvicorn: {serve}",
        ),
        (
            "matplotlib",
            "evaluate {voice} data/dev.jsonl --html page",
            "--html needs matplotlib: {evaluate}",
        ),
    ],
)
def test_a_missing_package_is_one_line(missing, arguments, line, tmp_path):
    paths = {
        "config": ROOT / "recipes/train/toy.yaml",
        "clips": ROOT / "tests/data/ljspeech",
        "voice": save_voice(tmp_path / "voice"),
        "texts": ROOT / "recipes/synthesize/sentences.txt",
    }
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text('{"kind": "dev", "step": 1, "minutes": 1, "bits_per_sample": 8}\n')
    result = wavetts(missing, *arguments.format(**paths).split(), cwd=tmp_path)
    commands = {name: f"pip install 'wavetts[{name}]'" for name in ("train", "demo", "serve", "evaluate")}
    assert (result.returncode, result.stderr) == (2, f"wavetts: error: {line.format(**commands)}\n")
    # Nothing half-written.
    assert {path.name for path in tmp_path.iterdir()} == {"run", "voice"}


def test_speaking_needs_no_extra(tmp_path):
    result = wavetts(OPTIONAL, "say", "Hello there.", "-o", "hello.wav", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "hello.wav").stat().st_size > 10000


def test_what_can_be_measured_is_measured_without_the_extra(tmp_path):
    data, voice = write_corpus(tmp_path / "data"), save_voice(tmp_path / "voice")
    arguments = ("--synthesize", "1", "--max-seconds", "0.2", "--retries", "0", "--threads", "1")
    result = wavetts(OPTIONAL, "evaluate", str(voice), str(data / "dev.jsonl"), *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "bits/sample" in result.stdout and "MCD" not in result.stdout
    for name in ("recogniser", "dnsmos", "distances"):
        assert f"Not measured, {name}: pip install 'wavetts[evaluate]'." in result.stdout


def requirements() -> dict[str, set[str]]:
    """Distributions that each extra of pyproject.toml brings, "" those of every installation."""
    project = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(lines: list[str]) -> set[str]:
        return {re.match(r"[\w-]+", line)[0].lower() for line in lines if not line.startswith("wavetts[")}

    return {"": names(project["dependencies"])} | {
        extra: names(lines) for extra, lines in project["optional-dependencies"].items()
    }


def test_the_extra_that_is_named_brings_what_is_missing():
    """Every literal call of `require` and `missing_extra` against pyproject.toml."""
    brought, distributions = requirements(), importlib.metadata.packages_distributions()
    found = 0
    for path in (ROOT / "wavetts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("require", "missing_extra"):
                words = [word.value for word in node.args if isinstance(word, ast.Constant)]
                if len(words) < len(node.args):
                    continue
                extra, *modules = words[node.func.id == "require" :]
                for module in modules:
                    names = {name.lower().replace("_", "-") for name in distributions.get(module, [module])}
                    assert names & brought[extra], f"{path}: {module} is not in [{extra}]"
                    found += 1
    assert found > 10


def test_no_extra_repeats_what_every_installation_has():
    core, *extras = requirements().values()
    for extra in extras:
        assert not core & extra


def test_all_brings_every_extra_but_the_developers():
    extras = requirements().keys() - {"", "all", "dev"}
    (line,) = re.findall(r'^all = \["wavetts\[([\w,]+)\]"\]$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(line.split(",")) == extras
