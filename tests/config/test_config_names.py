"""The configs that come with the package: by name in a checkout, and as data of an installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from wavetts.config.catalog import find_config, list_configs
from wavetts.config.load import load_config
from wavetts.errors import UserError

NAMES = [
    "compact_16k",
    "diffusion_16k",
    "linear_prediction_16k",
    "ljspeech_paper_chars",
    "ljspeech_paper_phonemes",
    "ljspeech_small",
    "toy",
]


def test_every_config_has_a_name_and_a_description(run):
    assert list(list_configs()) == NAMES
    code, out, err = run("config", "--list")
    assert (code, err) == (0, "")
    rows = [line.split("  ", 1) for line in out.splitlines()]
    assert [name.strip() for name, _ in rows] == NAMES
    assert all(len(description.strip()) > 20 for _, description in rows)


def test_a_config_by_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("toy").mkdir()
    # The checkout's file, or the one that was installed from it.
    assert find_config("toy").name == "toy.yaml"
    assert find_config("toy").read_text() == (ROOT / "recipes" / "train" / "toy.yaml").read_text()
    assert load_config("toy").audio.sample_rate == 8000
    Path("toy.yaml").write_text("audio: {sample_rate: 11025}\n")
    assert load_config("toy.yaml").audio.sample_rate == 11025
    Path("mine").write_text("audio: {sample_rate: 12000}\n")
    assert load_config("mine").audio.sample_rate == 12000
    assert run("config", "toy")[1] == (ROOT / "recipes" / "train" / "toy.yaml").read_text()
    with pytest.raises(UserError, match="tiny: no such config file; configs that have a name are compact_16k, "):
        find_config("tiny")


def test_they_are_installed(tmp_path):
    """What a wheel holds, without the C kernel."""
    copied = [path for path in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "wavetts", "recipes")]
    for name in copied:
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert sorted(path.stem for path in (tmp_path / "lib/wavetts/config/recipes").iterdir()) == NAMES
    assert (tmp_path / "lib/wavetts/voices/joe/model.safetensors").is_file()
    code = "from wavetts.config.catalog import find_config; print(find_config('toy'))"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "lib", capture_output=True, text=True, check=True
    )
    assert Path(shown.stdout.strip()) == tmp_path / "lib/wavetts/config/recipes/toy.yaml"
