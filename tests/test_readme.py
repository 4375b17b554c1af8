"""The README and its neighbours say what is so: commands, Python, the tree, links."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import ROOT, check_recipe, check_wavetts
from toy_voice import save_voice

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    path
    for folder in ("", "docs/", "egs/*/", "recipes/", "tests/data/", "wavetts/voices/*/")
    for path in ROOT.glob(f"{folder}*.md")
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of every command in the shell blocks, split at pipes and &&."""
    found = []
    for line in "".join(blocks(text, "bash")).replace("\\\n", " ").splitlines():
        command: list[str] = []
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        for word in [*lexer, "&&"]:
            if word in ("&&", "|", ";"):
                found += [command] if command else []
                command = []
            else:
                command.append(word)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page):
    for words in commands(page.read_text(encoding="utf-8")):
        if words[:2] == ["torchrun", "--nproc-per-node"]:
            # Without the dashes torchrun takes our --run for an abbreviation of its own --run-path.
            assert words[3:5] == ["-m", "--"], words
            words = words[5:]
        program, *rest = words
        if program == "wavetts":
            check_wavetts(rest)
        elif program.startswith("egs/"):
            # The options are read; `true` in python's place does nothing.
            environment = {**os.environ, "PYTHON": "true"}
            result = subprocess.run([ROOT / program, *rest], env=environment, capture_output=True, text=True)
            assert result.returncode == 0, (words, result.stderr)
        elif program == "python":
            check_recipe(str(ROOT / rest[0]), rest[1:])


def test_readme_is_short():
    assert README.count("\n") <= 150


def test_the_pages_show_every_subcommand():
    shown = subprocess.run([sys.executable, "-m", "wavetts", "--help"], cwd=ROOT, capture_output=True, text=True)
    names = re.findall(r"^  (\w+) ", shown.stdout, re.MULTILINE)
    assert names
    pages = [README, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))]
    used = {words[words.index("wavetts") + 1] for page in pages for words in commands(page) if "wavetts" in words[:-1]}
    assert set(names) == used


def test_first_command_speaks_and_second_tests():
    first, second = blocks(README, "bash")[:2]
    set_up = "python3 -m venv .venv && . .venv/bin/activate && "
    for block in (first, second):
        assert block.startswith(set_up + "pip install ")
        assert block.count("\n") == 1
    assert "&& wavetts say " in first
    assert second == set_up + 'pip install ".[dev]" && pytest\n'


def test_ci_runs_these_two_commands():
    """.ci/run takes them out of the README."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (function,) = re.findall(r"^readme_block\(\) \{.*\}$", script, re.MULTILINE)
    for number, block in enumerate(blocks(README, "bash")[:2], 1):
        words = ["bash", "-c", f"{function}; readme_block {number}"]
        assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout == block
    assert "for block in 1 2; do" in script
    for check in ("ruff check .", "ruff format --check .", "ty check", "egs/toy/run.sh"):
        assert f"\n{check}" in script
    assert "- run: .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_ci_script_is_sound():
    script = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    assert script.stat().st_mode & 0o111


PYTHON = [
    pytest.param(source, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, source in enumerate(blocks(page.read_text(encoding="utf-8"), "python"), 1)
]


@pytest.mark.parametrize("source", PYTHON)
def test_python_runs(source, tmp_path, monkeypatch):
    import wavetts.synthesis.catalog

    # In the bundled voice's place one that speaks quickly.
    for name in ("heart", "joe"):
        save_voice(tmp_path / "voices" / name)
    monkeypatch.setattr(wavetts.synthesis.catalog, "BUNDLED", tmp_path / "voices")
    for folder in ("recipes", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(source, "a page's Python", "exec"), names)
    if "write_audio" in names:
        assert (tmp_path / "hello.wav").stat().st_size > 44
    else:
        assert names["nats"].shape == (8,)
        assert names["drawn"].shape == (8, 320)


def test_readme_has_python():
    assert blocks(README, "python")


@pytest.mark.slow
def test_training_commands_run_as_pasted(tmp_path):
    """From nothing to speech, but for the time that training may take."""
    (block,) = [block for block in blocks(README, "bash") if "wavetts train" in block]
    install, *lines = block.splitlines()
    assert install == 'pip install ".[train]"'
    script = "\n".join(lines)
    assert script.count("train.max_minutes=60") == 1
    for folder in ("recipes", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    program = tmp_path / "bin" / "wavetts"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wavetts "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    words = ["bash", "-euc", script.replace("train.max_minutes=60", "train.max_minutes=0.02")]
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "mine.wav").stat().st_size > 1000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    # What stands in backticks is code.
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"\bsrc=\"([^\"]+)\"", text):
        if not re.match(r"https?://|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_code_spans_exist(page):
    for path in re.findall(r"`((?:wavetts|recipes|egs|tests|benchmarks)/[\w./-]+)`", page.read_text(encoding="utf-8")):
        if "NAME" not in path:
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_characters_need_no_gpl_code():
    """As the README's licence section says."""
    code = """
import sys
from wavetts.text.tokenizer import Tokenizer
tokenizer = Tokenizer.build(["hello."], "characters", "en-us")
tokenizer.encode(tokenizer.transcribe("Hello."))
import wavetts.corpus.batches, wavetts.synthesis.voice, wavetts.training.loop
assert not {"phonemizer", "espeakng_loader"} & {name.partition(".")[0] for name in sys.modules}
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_version_is_the_same_everywhere():
    import yaml

    from wavetts import __version__

    assert importlib.metadata.version("wavetts") == __version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == __version__
    assert f"version = {{{__version__}}}" in README


def test_no_page_names_a_place_on_a_machine():
    for page in [*PAGES, *Path(ROOT / "egs").rglob("*.sh"), ROOT / ".ci" / "run"]:
        assert not re.search(r"(?<![\w.])/(work|root|home|tmp|mnt)/", page.read_text(encoding="utf-8")), page
