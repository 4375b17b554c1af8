from __future__ import annotations

import json

import numpy as np
import pytest

from wavetts.audio import read_audio, write_audio
from wavetts.corpus.manifest import load_manifest
from wavetts.errors import UserError

RATE = 16000


@pytest.fixture(scope="module")
def recipe(load_recipe):
    return load_recipe("pack")


def speech_like(seed: int, seconds: float) -> np.ndarray:
    """A gliding harmonic tone with silence at both ends."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 10 * seed + 20 * np.sin(time)) / RATE
    tone = sum(np.sin(phase * harmonic) / harmonic for harmonic in range(1, 12)) / 8
    return (tone * np.clip(np.minimum(time - 0.1, time[-1] - 0.1 - time) * 50, 0, 1)).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    """A data folder of 12 clips of 1 to 2.1 s, as `wavetts preprocess` writes it."""
    folder = tmp_path / "data"
    splits = {"train": range(8), "dev": range(8, 10), "test": range(10, 12)}
    for split, numbers in splits.items():
        lines = []
        for number in numbers:
            samples = speech_like(number, 1 + number / 10)
            write_audio(folder / "audio" / f"clip{number}.flac", samples, RATE)
            entry = {"id": f"clip{number}", "audio": f"audio/clip{number}.flac", "samples": len(samples)}
            lines.append({**entry, "text": f"Clip {number}.", "spoken": "Clip.", "phonemes": "klˈɪp."})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "info.json").write_text(json.dumps({"sample_rate": RATE, "language": "en-us"}), encoding="utf-8")
    return folder


def test_there_and_back(recipe, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recipe, "SECONDS_PER_FILE", 4.0)
    recipe.main(["pack", str(data), str(tmp_path / "packed")])
    assert len(list((tmp_path / "packed").glob("*.opus"))) == 4
    assert "kbit/s" in capsys.readouterr().out
    recipe.main(["unpack", str(tmp_path / "packed"), str(tmp_path / "back")])
    for split in ("train", "dev", "test"):
        before, after = (load_manifest(folder / f"{split}.jsonl") for folder in (data, tmp_path / "back"))
        assert [(clip.id, clip.samples, clip.phonemes) for clip in before] == [
            (clip.id, clip.samples, clip.phonemes) for clip in after
        ]
        for old, new in zip(before, after, strict=True):
            (expected, _), (found, rate) = read_audio(old.audio), read_audio(new.audio)
            assert (rate, len(found)) == (RATE, len(expected))
            # In its place to the sample: the codec's delay is taken off.
            lags = range(-40, 41)
            likeness = [np.dot(expected[100:-100], found[100 + lag : len(found) - 100 + lag]) for lag in lags]
            assert lags[int(np.argmax(likeness))] == 0
            assert np.sum((found - expected) ** 2) < 0.05 * np.sum(expected**2)
    info = json.loads((tmp_path / "back" / "info.json").read_text(encoding="utf-8"))
    assert info == {"sample_rate": RATE, "language": "en-us"}


def size_of(folder) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_it_fits(recipe, data, tmp_path):
    sizes = {}
    # 18.6 s: 64, 32 and 16 kbit/s are 149, 74 and 37 kB.
    for limit in (0.3, 0.08, 0.045):
        recipe.main(["pack", str(data), str(tmp_path / str(limit)), "--mebibytes", str(limit)])
        sizes[limit] = size_of(tmp_path / str(limit))
        assert sizes[limit] <= limit * 2**20 + 1000
    assert sizes[0.3] > 1.4 * sizes[0.08] > 1.4 * 1.4 * sizes[0.045]
    with pytest.raises(UserError, match=r"0\.01 h in 0\.01 MiB are .* kbit/s.*lower --hours or raise --mebibytes"):
        recipe.main(["pack", str(data), str(tmp_path / "none"), "--mebibytes", "0.01"])


def test_hours_take_all_of_dev_and_test(recipe, data, tmp_path):
    recipe.main(["pack", str(data), str(tmp_path / "packed"), "--hours", str(10.5 / 3600), "--jobs", "1"])
    recipe.main(["unpack", str(tmp_path / "packed"), str(tmp_path / "back")])
    counts = {split: len(load_manifest(tmp_path / "back" / f"{split}.jsonl")) for split in ("train", "dev", "test")}
    # dev and test have 7.8 s; 2.7 s are one or two of train's 8 clips, or three.
    assert counts["dev"] == counts["test"] == 2 and counts["train"] in (2, 3)
    with pytest.raises(UserError, match="--hours leaves nothing to train on"):
        recipe.main(["pack", str(data), str(tmp_path / "other"), "--hours", str(5 / 3600)])


def test_mistakes(recipe, data, tmp_path):
    packed = tmp_path / "packed"
    recipe.main(["pack", str(data), str(packed)])
    with pytest.raises(UserError, match="packed: holds a corpus already"):
        recipe.main(["pack", str(data), str(packed)])
    with pytest.raises(UserError, match=r"info\.json: no such file"):
        recipe.main(["pack", str(tmp_path), str(tmp_path / "x")])
    with pytest.raises(UserError, match="a line has no file and start; give a folder that `pack` wrote"):
        recipe.main(["unpack", str(data), str(tmp_path / "x")])
    with pytest.raises(UserError, match="--jobs must be at least 1"):
        recipe.main(["unpack", str(packed), str(tmp_path / "x"), "--jobs", "0"])
    samples, _ = read_audio(packed / "000.opus")
    recipe.soundfile.write(packed / "000.opus", samples[:RATE], RATE, format="OGG", subtype="OPUS")
    with pytest.raises(UserError, match=r"000\.opus: 16000 samples at 16000 Hz where the manifest needs"):
        recipe.main(["unpack", str(packed), str(tmp_path / "x")])
    assert not (tmp_path / "x" / "info.json").exists()
    (data / "info.json").write_text('{"sample_rate": 22050}', encoding="utf-8")
    with pytest.raises(UserError, match="has 22050 Hz; Opus knows 8000"):
        recipe.main(["pack", str(data), str(tmp_path / "y")])
