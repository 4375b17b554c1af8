from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from safetensors.numpy import load_file, save_file
from toy_voice import save_voice

from wavetts.errors import UserError
from wavetts.synthesis import catalog
from wavetts.synthesis.catalog import find_voice, list_voices, models_under, user_folder
from wavetts.synthesis.voice import load_voice

CARD = """---
license: CC0-1.0
description: A voice for tests.
---
# A voice

---
"""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Empty folders of bundled voices and of the user's."""
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setenv("WAVETTS_VOICES", str(tmp_path / "mine"))
    return tmp_path / "bundled", tmp_path / "mine"


def test_bundled_voices_have_a_card():
    entries = list_voices()
    assert entries
    assert {entry.path.parent.name for entry in entries if entry.bundled} == {entry.name for entry in entries}
    for entry in entries:
        assert entry.description.endswith(".")
        assert entry.licence
        assert entry.language == "en-us"
        assert entry.sample_rate in (16000, 24000)


def test_voices_of_both_folders(folders):
    bundled, mine = folders
    for folder in (bundled / "zoe", bundled / "amy", mine / "ben"):
        save_voice(folder)
    (bundled / "zoe" / "README.md").write_text(CARD)
    (mine / "notes").mkdir()
    (mine / "broken").mkdir()
    (mine / "broken" / "model.safetensors").write_bytes(b"nothing")
    entries = list_voices()
    assert [(entry.name, entry.bundled) for entry in entries] == [("amy", True), ("zoe", True), ("ben", False)]
    assert (entries[0].description, entries[0].licence) == ("", "")
    zoe = entries[1]
    assert (zoe.description, zoe.licence, zoe.language) == ("A voice for tests.", "CC0-1.0", "en-us")
    assert (zoe.sample_rate, zoe.path) == (8000, bundled / "zoe" / "model.safetensors")
    assert find_voice("ben") == mine / "ben" / "model.safetensors"
    assert find_voice(None) == bundled / "amy" / "model.safetensors"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tokenizer", "{"),
        ("tokenizer", "[]"),
        ("tokenizer", "{}"),
        ("tokenizer", '{"language": 1}'),
        ("config", "null"),
        ("config", '{"audio": []}'),
        ("config", '{"audio": {"sample_rate": "fast"}}'),
        ("config", "[" * 100_000),
    ],
)
def test_a_voice_with_damaged_metadata_hides_no_other(folders, field, value):
    bundled, mine = folders
    save_voice(bundled / "amy")
    path = save_voice(mine / "ben") / "model.safetensors"
    with safetensors.safe_open(path, "np") as file:
        metadata = file.metadata() | {field: value}
    safetensors.numpy.save_file({"x": np.zeros(1, np.float32)}, path, metadata)
    assert [entry.name for entry in list_voices()] == ["amy"]
    assert load_voice("amy", "cpu").sample_rate == 8000
    # Who asks for it is told what is wrong with it.
    with pytest.raises(UserError, match=r"ben/model\.safetensors: "):
        load_voice("ben", "cpu")


def test_heart_is_the_default(folders):
    for name in ("amy", "heart"):
        save_voice(folders[0] / name)
    assert list_voices()[0].name == "heart"
    assert find_voice(None).parent.name == "heart"


def test_own_voice_hides_a_bundled_one_of_its_name(folders):
    for folder in folders:
        save_voice(folder / "heart")
    (entry,) = list_voices()
    assert not entry.bundled
    assert find_voice("heart") == find_voice(None) == folders[1] / "heart" / "model.safetensors"


def test_card_that_is_not_yaml_is_no_card(folders):
    save_voice(folders[0] / "joe")
    for card in ("---\n: : [\n---\n", "---\nlist\n---\n", "no card"):
        (folders[0] / "joe" / "README.md").write_text(card)
        assert list_voices()[0].description == ""


def test_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("WAVETTS_VOICES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_folder() == tmp_path / "wavetts" / "voices"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_folder() == tmp_path / "home" / ".local" / "share" / "wavetts" / "voices"


def test_unknown_voice(folders):
    with pytest.raises(UserError, match="no voice comes with this installation; name a model file"):
        find_voice(None)
    with pytest.raises(UserError, match=r"amy: no such model file, run folder or voice \(there are none\)"):
        find_voice("amy")
    save_voice(folders[1] / "ben")
    with pytest.raises(UserError, match=r"amy: no such model file, run folder or voice \(ben\)"):
        find_voice("amy")


def test_a_name_comes_before_a_file_or_folder_of_that_name(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = save_voice(folders[0] / "joe") / "model.safetensors"
    save_voice(tmp_path / "joe")
    (tmp_path / "run").mkdir()
    assert find_voice("joe") == named
    for path in ("./joe", "joe/", str(tmp_path / "joe")):
        assert find_voice(path) == Path(path)
    assert find_voice(Path("joe")) == Path("joe")
    assert find_voice("run") == Path("run")
    assert find_voice(".") == Path(".")
    save_voice(folders[0] / "a.safetensors")
    assert find_voice("a.safetensors").parent.name == "a.safetensors"
    (tmp_path / "a.safetensors").touch()
    assert find_voice("a.safetensors") == Path("a.safetensors")


def test_strange_files_are_no_voices(folders):
    """A named pipe would be waited for."""
    good = load_file(save_voice(folders[1] / "good") / "model.safetensors")
    (folders[1] / "pipe").mkdir()
    os.mkfifo(folders[1] / "pipe" / "model.safetensors")
    tokenizers = ["[" * 100_000, "[]", "{}", '{"language": 5}', "nothing"]
    for number, tokenizer in enumerate(tokenizers):
        metadata = {"wavetts": "{}", "config": '{"audio": {"sample_rate": 8000}}', "tokenizer": tokenizer}
        (folders[1] / str(number)).mkdir()
        save_file(good, folders[1] / str(number) / "model.safetensors", metadata)
    assert [entry.name for entry in list_voices()] == ["good"]


def test_models_under_a_folder(tmp_path):
    for name in ("b", "a/deep"):
        save_voice(tmp_path / name)
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    assert models_under(tmp_path) == [tmp_path / name / "model.safetensors" for name in ("a/deep", "b")]
    with pytest.raises(UserError, match="no model of wavetts in it or below it"):
        models_under(tmp_path / "none")


def test_package_is_imported_and_voices_are_listed_without_torch():
    code = """
import sys
import wavetts
assert not {"numpy", "yaml"} & set(sys.modules)
assert wavetts.list_voices()[0].sample_rate == 16000
assert wavetts.SynthesisSettings().retries > 0
assert "torch" not in sys.modules
try:
    wavetts.sing
except AttributeError as error:
    assert str(error) == "module 'wavetts' has no attribute 'sing'"
assert callable(wavetts.load_voice)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
