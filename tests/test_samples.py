"""The page of samples plays what is there, and is made again by its script."""

from __future__ import annotations

import importlib.util
import re
import shutil

import pytest
import soundfile
from paths import ROOT
from toy_voice import save_voice

DOCS = ROOT / "docs"


@pytest.fixture
def make_samples():
    spec = importlib.util.spec_from_file_location("make_samples", DOCS / "make_samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_player_has_its_file_and_every_file_its_player():
    players = re.findall(r'<audio [^>]*src="([^"]+)"', (DOCS / "samples.html").read_text(encoding="utf-8"))
    assert {DOCS / player for player in players} == set(DOCS.glob("samples/*/*.mp3"))
    for player in players:
        info = soundfile.info(DOCS / player)
        assert info.format == "MP3" and 0.5 < info.duration < 10
    assert sum((DOCS / player).stat().st_size for player in players) < 1_000_000


def test_pictures_are_small():
    for picture in (DOCS / "images").iterdir():
        assert picture.stat().st_size < 200_000, picture


def test_samples_are_made(make_samples, tmp_path, monkeypatch):
    from wavetts.synthesis import catalog

    save_voice(tmp_path / "voices" / "ann", stop="at once")
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "voices")
    (tmp_path / "samples" / "ann").mkdir(parents=True)
    (tmp_path / "samples" / "ann" / "texts.txt").write_text("a|One <and> two.\nb|Three.\n")
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for name in ("a", "b"):
        shutil.copy(ROOT / "tests/data/ljspeech/wavs/LJ001-0002.wav", recordings / f"{name}.wav")
    make_samples.main(["ann", "--output", str(tmp_path), "--recordings", str(recordings)])
    page = (tmp_path / "samples.html").read_text()
    assert "One &lt;and&gt; two." in page and "{" not in page.partition("</style>")[2]
    files = re.findall(r'src="([^"]+)"', page)
    assert files == [f"samples/ann/{name}{kind}.mp3" for name in ("a", "b") for kind in ("", ".speaker")]
    for file in files:
        assert soundfile.info(tmp_path / file).frames > 0
    assert {path.name for path in (tmp_path / "images").iterdir()} == {"attention.png", "spectrogram.jpg"}


def test_a_missing_recording_is_named(make_samples, tmp_path):
    (tmp_path / "samples" / "ann").mkdir(parents=True)
    (tmp_path / "samples" / "ann" / "texts.txt").write_text("a|One.\n")
    from wavetts.errors import UserError

    with pytest.raises(UserError, match=r"no a\.wav or a\.flac"):
        make_samples.main(["ann", "--output", str(tmp_path), "--recordings", str(tmp_path)])
