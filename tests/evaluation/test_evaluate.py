from __future__ import annotations

import csv
import importlib.util
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import RATE, no_noise, toy_config, write_corpus
from toy_voice import save_voice

from wavetts import cli
from wavetts.audio import read_audio, write_audio
from wavetts.config.load import from_dict, to_dict
from wavetts.corpus.batches import Corpus
from wavetts.corpus.manifest import load_manifest
from wavetts.errors import UserError
from wavetts.evaluation.evaluate import Options, evaluate
from wavetts.evaluation.recognisers import error_rates
from wavetts.evaluation.tables import render
from wavetts.model.checkpoint import load_model, save_model
from wavetts.model.tacotron import QUANTISATION_STEP
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.training.distributed import Processes
from wavetts.training.heldout import _shuffled
from wavetts.training.heldout import evaluate as evaluate_teacher_forced

FAST = SynthesisSettings(max_seconds=0.2, retries=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> Path:
    return save_voice(tmp_path_factory.mktemp("voice"), stop="never")


@pytest.fixture
def ears(monkeypatch):
    """A recogniser that hears "abc" in all that is long enough, and a DNSMOS of 3 plus the peak; what they got."""
    heard = []

    def recognise(samples: np.ndarray, rate: int) -> str:
        heard.append((len(samples), rate))
        return "abc" if len(samples) > 0.5 * rate else ""

    monkeypatch.setattr("wavetts.evaluation.evaluate.missing_recogniser", lambda *_: None)
    monkeypatch.setattr("wavetts.evaluation.scores.build_recogniser", lambda *_: recognise)
    monkeypatch.setattr("wavetts.evaluation.evaluate.missing_quality", lambda: None)
    monkeypatch.setattr(
        "wavetts.evaluation.scores.dnsmos", lambda samples, rate: {"dnsmos": 3 + float(np.abs(samples).max())}
    )
    return heard


def measure(paths, source: Path, settings: SynthesisSettings = FAST, **options) -> dict:
    return evaluate(paths, source, Options(**options), settings, "cpu", 1).results


def system(results: dict, name: str) -> dict:
    (found,) = (one for one in results["systems"] if one["name"] == name)
    return found


def row(results: dict, name: str, identifier: str) -> dict:
    (found,) = (one for one in results["rows"] if (one["system"], one["id"]) == (name, identifier))
    return found


def test_figures_are_those_of_training(data, voice):
    results = measure([voice], data / "dev.jsonl")
    loaded = load_model(voice)
    corpus = Corpus(load_manifest(data / "dev.jsonl"), loaded.tokenizer, loaded.config)
    expected = evaluate_teacher_forced(loaded.model, corpus, toy_config(), Processes(0, 1, loaded.model.scale.device))
    (found,) = results["systems"]
    forced = found["teacher_forced"]
    assert {name: forced[name] for name in expected} == expected
    assert (forced["likelihood"], forced["dither"], forced["sample_rate"]) == ("exact", 0.0, RATE)
    assert (results["utterances"], results["spoken"], forced["left_out"]) == (4, 0, 0)
    # The utterances' figures add up to them.
    assert expected.pop("standard_error") == 0  # of an exact likelihood
    for name, value in expected.items():
        assert found["figures"][f"forced_{name}"]["mean"] == pytest.approx(value), name
    table = render(results)
    bits = found["figures"]["forced_bits_per_sample"]
    assert f"{expected['bits_per_sample']:.4f} [{bits['low']:.4f}, {bits['high']:.4f}]" in table
    assert "exact" in table and "CER" not in table


def test_text_gain_is_what_the_order_of_the_text_is_worth(data, voice):
    loaded = load_model(voice)
    model, processes = loaded.model, Processes(0, 1, torch.device("cpu"))
    corpus = Corpus(load_manifest(data / "dev.jsonl"), loaded.tokenizer, loaded.config)
    with torch.no_grad():
        for parameter in model.parameters():  # a fresh density does not listen to its condition
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    assert abs(evaluate_teacher_forced(model, corpus, toy_config(), processes)["text_gain"]) > 1e-3
    with torch.no_grad():
        model.encoder.embedding.weight.fill_(0.5)  # all letters look alike
    assert evaluate_teacher_forced(model, corpus, toy_config(), processes)["text_gain"] == 0


def test_shuffled_texts_keep_their_letters_and_their_end(small_batch):
    batch = small_batch(token_lengths=[9, 5, 1], frame_lengths=[6, 4, 2])
    tokens = _shuffled(batch).tokens
    assert not torch.equal(tokens, batch.tokens)
    for row, length in enumerate(batch.token_lengths.tolist()):
        assert sorted(tokens[row].tolist()) == sorted(batch.tokens[row].tolist())
        assert torch.equal(tokens[row, length - 1 :], batch.tokens[row, length - 1 :])
    one = replace(batch, ids=batch.ids[1:2], tokens=batch.tokens[1:2], token_lengths=batch.token_lengths[1:2])
    assert torch.equal(_shuffled(one).tokens, tokens[1:2])


def test_bits_of_a_gaussian_source_are_its_entropy(tmp_path):
    """White noise of a known spread under the Gaussian that made it: log2(sigma sqrt(2 pi e)) + 15 bits a sample."""
    sigma, samples = 0.1, 200 * 160
    source = {**to_dict(toy_config()), "density": {"kind": "gaussian"}}
    source["audio"] |= {"preemphasis": 0.0, "dither": 0.0}
    config = from_dict(source)
    from wavetts.model.tacotron import WaveTacotron

    tokenizer = load_model(save_voice(tmp_path / "letters")).tokenizer
    model = WaveTacotron(config, len(tokenizer.symbols))
    model.scale.fill_(1 / sigma)
    # Mean 0 and log-scale 0 whatever the condition: the density is the source's.
    for parameter in model.density.parameters():
        torch.nn.init.zeros_(parameter)
    save_model(tmp_path / "gaussian.safetensors", model.state_dict(), config, tokenizer, {})
    data = write_corpus(tmp_path / "data", dev=1)
    (line,) = (json.loads(line) for line in (data / "dev.jsonl").read_text().splitlines())
    noise = sigma * np.random.default_rng(0).standard_normal(samples)
    # Quantised downwards, as the dequantisation's uniform noise goes upwards.
    write_audio(tmp_path / "noise.wav", np.floor(noise / QUANTISATION_STEP) * QUANTISATION_STEP, RATE)
    line |= {"audio": "../noise.wav", "samples": samples}
    (data / "dev.jsonl").write_text(json.dumps(line) + "\n")
    results = measure([tmp_path / "gaussian.safetensors"], data / "dev.jsonl")
    entropy = math.log2(sigma * math.sqrt(2 * math.pi * math.e)) + 15
    assert system(results, "gaussian")["teacher_forced"]["bits_per_sample"] == pytest.approx(entropy, abs=0.02)
    with no_noise():
        # Without dequantisation as well: the step is a thousandth of the spread.
        again = measure([tmp_path / "gaussian.safetensors"], data / "dev.jsonl")
    assert system(again, "gaussian")["teacher_forced"]["bits_per_sample"] == pytest.approx(entropy, abs=0.02)


def test_synthesis_is_held_against_the_recordings(data, voice, ears):
    results = measure([voice], data / "dev.jsonl", synthesize=3)
    utterances = load_manifest(data / "dev.jsonl")[:3]
    assert [one["name"] for one in results["systems"]] == ["recordings", voice.name]
    # The recording first, then the speech; sentence by sentence.
    assert ears == [pair for u in utterances for pair in ((u.samples, RATE), (0.2 * RATE, RATE))]
    ours, theirs = system(results, voice.name)["figures"], system(results, "recordings")["figures"]
    assert (ours["failed"]["mean"], ours["missing_stop"]["mean"], ours["retried"]["mean"]) == (1, 1, 0)
    seconds = sum(u.samples for u in utterances) / RATE
    assert ours["duration_ratio"]["mean"] == pytest.approx(0.6 / seconds)
    assert ours["cer"]["mean"] == 1
    heard = ["abc" if u.samples > 0.5 * RATE else "" for u in utterances]
    rates = [error_rates(u.text.lower(), h) for u, h in zip(utterances, heard, strict=True)]
    edits, chars = sum(r["cer"] * r["chars"] for r in rates), sum(r["chars"] for r in rates)
    assert theirs["cer"]["mean"] == pytest.approx(edits / chars)
    for utterance, said in zip(utterances, heard, strict=True):
        assert row(results, "recordings", utterance.id)["heard"] == said
        spoken = row(results, voice.name, utterance.id)
        assert spoken["said"] == utterance.text.lower() and spoken["heard"] == ""
        assert spoken["mcd"] > 0 and len(spoken["seeds"]) == 1
    assert "mcd" not in theirs and ours["mcd"]["count"] == 3
    (pair,) = results["paired"]
    assert (pair["system"], pair["minus"]) == ("recordings", voice.name)
    assert pair["figures"]["cer"]["mean"] == pytest.approx(edits / chars - 1)


def test_recordings_as_a_system_are_no_distance_from_themselves(data, ears, tmp_path):
    for utterance in load_manifest(data / "dev.jsonl")[:2]:
        audio, rate = read_audio(utterance.audio)
        write_audio(tmp_path / "same" / f"{utterance.id}.wav", audio, rate)
        write_audio(tmp_path / "hoarse" / f"{utterance.id}.flac", audio + 0.1 * np.random.randn(len(audio)), rate)
    results = measure([tmp_path / "same", tmp_path / "hoarse"], data / "dev.jsonl")
    same, hoarse = (system(results, name)["figures"] for name in ("same", "hoarse"))
    assert results["spoken"] == 4
    assert same["mcd"] == {"mean": 0, "low": 0, "high": 0, "count": 2}
    assert hoarse["mcd"]["low"] > 1
    assert same["duration_ratio"]["mean"] == 1
    # On the two sentences that both have, a star for what is sure.
    differences = {pair["system"]: pair["figures"]["mcd"] for pair in results["paired"] if "mcd" in pair["figures"]}
    assert differences["hoarse"]["mean"] == pytest.approx(hoarse["mcd"]["mean"])
    (line,) = (line for line in render(results).split("### Differences")[1].splitlines() if line.startswith("| MCD"))
    assert f"+{hoarse['mcd']['mean']:.2f} [" in line and "] *" in line
    assert "teacher_forced" not in system(results, "same")


def test_two_models_on_the_same_utterances(data, voice, tmp_path, ears):
    other = save_voice(tmp_path / "other", stop="at once")
    results = measure([voice, other], data / "dev.jsonl", synthesize=0)
    (pair,) = results["paired"]
    figure = pair["figures"]["forced_stop_accuracy"]
    accuracies = [system(results, one.name)["teacher_forced"]["stop_accuracy"] for one in (other, voice)]
    assert figure["mean"] == pytest.approx(accuracies[0] - accuracies[1])
    assert ears == []


def test_texts_alone_and_corpora_of_others(voice, ears, tmp_path, data):
    (tmp_path / "texts.txt").write_text("abc abc.\nabc?\n%\n", encoding="utf-8")
    with pytest.warns(UserWarning):
        results = measure([voice], tmp_path / "texts.txt", synthesize=3)
    assert [one["name"] for one in results["systems"]] == [voice.name]
    figures = system(results, voice.name)["figures"]
    assert "mcd" not in figures and figures["cer"]["mean"] == 1
    # What the voice cannot read counts as failed, and has its reason.
    assert row(results, voice.name, "texts-0003")["failed"] == 1
    assert results["missing"]["recordings"] == "no recordings: the sentences are a list of texts"
    corpus = tmp_path / "corpus"
    for utterance in load_manifest(data / "dev.jsonl"):
        write_audio(corpus / "wavs" / f"{utterance.id}.wav", *read_audio(utterance.audio))
    lines = [f"{u.id}|{u.text}|{u.text}\n" for u in load_manifest(data / "dev.jsonl")]
    (corpus / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    results = measure([voice], corpus, synthesize=1)
    assert system(results, voice.name)["figures"]["mcd"]["count"] == 1
    assert "teacher_forced" not in system(results, voice.name)


def test_what_is_missing_is_said(data, voice, monkeypatch):
    found = importlib.util.find_spec
    missing = ("jiwer", "speechmos")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))
    results = measure([voice], data / "dev.jsonl", synthesize=1)
    assert results["missing"] == {
        "recogniser": "pip install 'wavetts[evaluate]'",
        "dnsmos": "pip install 'wavetts[evaluate]'",
    }
    table = render(results)
    assert "Not measured, recogniser: pip install 'wavetts[evaluate]'." in table
    assert "CER" not in table and "DNSMOS" not in table
    assert "MCD" in table


@pytest.mark.slow
def test_scoring_in_several_processes_is_the_same(data, tmp_path, voice, monkeypatch):
    monkeypatch.setattr("wavetts.evaluation.evaluate.missing_recogniser", lambda *_: "not wanted")
    monkeypatch.setattr("wavetts.evaluation.evaluate.missing_quality", lambda: "not wanted")
    one, two = (measure([voice], data / "dev.jsonl", synthesize=2, jobs=jobs) for jobs in (1, 2))
    assert one["rows"] == two["rows"]


@pytest.mark.parametrize(
    ("paths", "source", "options", "reason"),
    [
        (["VOICE"], "missing.jsonl", {}, "no such manifest"),
        (["VOICE"], "dev.jsonl", {"synthesize": -1}, "synthesize -1: must not be negative"),
        (["VOICE"], "texts.txt", {}, r"no manifest of `wavetts preprocess`; say how many"),
        (["VOICE", "VOICE"], "dev.jsonl", {}, "named twice"),
        (["no-such-voice"], "dev.jsonl", {}, "no-such-voice"),
        (["VOICE", "no-such-voice"], "dev.jsonl", {}, "no-such-voice"),
        (["audio"], "texts.txt", {}, r"none of the 1 sentences is in it; name files by id, ID\.wav"),
        (["VOICE"], "dev.jsonl", {"whisper_model": Path("tiny")}, "goes with the recogniser faster-whisper"),
    ],
)
def test_mistakes(data, voice, monkeypatch, paths, source, options, reason):
    (data / "texts.txt").write_text("abc.\n", encoding="utf-8")
    monkeypatch.chdir(data)
    with pytest.raises(UserError, match=reason):
        measure([str(voice) if path == "VOICE" else path for path in paths], Path(source), **options)


def test_last_system_s_mistake_comes_before_the_first_one_s_speech(data, voice, monkeypatch):
    monkeypatch.setattr("wavetts.evaluation.evaluate.speak_sentences", lambda *_: pytest.fail("it spoke"))
    for other in ("no-such-voice", str(data / "nothing")):
        with pytest.raises(UserError, match=other):
            measure([voice, other], data / "dev.jsonl")


def test_data_that_does_not_go_with_the_model(data, voice, tmp_path, ears):
    shutil.copytree(data, tmp_path / "data")
    info = json.loads((data / "info.json").read_text())
    (tmp_path / "data" / "info.json").write_text(json.dumps({**info, "sample_rate": 16000}))
    with pytest.raises(UserError, match="the data has 16000 Hz"):
        measure([voice], tmp_path / "data" / "dev.jsonl")
    # Beside another system it still speaks, and its likelihood says why it is not there.
    results = measure([data / "audio", voice], tmp_path / "data" / "dev.jsonl", synthesize=1)
    assert "the data has 16000 Hz" in system(results, voice.name)["teacher_forced"]["missing"]
    assert "not measured: " in render(results)
    (tmp_path / "data" / "info.json").write_text(json.dumps(info))
    (tmp_path / "data" / "empty.jsonl").write_text("")
    with pytest.raises(UserError, match=r"empty\.jsonl: no utterance in it"):
        measure([voice], tmp_path / "data" / "empty.jsonl")


def test_command_prints_tables_and_writes_files(data, voice, tmp_path, capsys, ears):
    files = {name: tmp_path / "new" / name for name in ("results.json", "rows.csv", "table.md", "page")}
    options = ["--output", "results.json", "--csv", "rows.csv", "--markdown", "table.md", "--html", "page"]
    words = [str(files.get(word, word)) for word in options]
    limits = ["--max-seconds", "0.2", "--retries", "0", "--threads", "1", "--device", "cpu"]
    cli.main(["evaluate", str(voice), str(data / "test.jsonl"), "--compare", str(data / "audio"), *limits, *words])
    results = json.loads(files["results.json"].read_text())
    assert results["source"] == str(data / "test.jsonl")
    assert capsys.readouterr().out == render(results) == files["table.md"].read_text()
    with files["rows.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(one["system"], one["id"]) for one in rows] == [(one["system"], one["id"]) for one in results["rows"]]
    assert float(rows[-1]["mcd"]) == 0
    assert (files["page"] / "index.html").is_file()


def test_page_needs_speech(data, voice, tmp_path):
    with pytest.raises(SystemExit) as exit:
        cli.main(
            ["evaluate", str(voice), str(data / "test.jsonl"), "--synthesize", "0", "--html", str(tmp_path / "page")]
        )
    assert exit.value.code == 2
    assert not (tmp_path / "page").exists()


@pytest.mark.slow
def test_speed_of_a_voice(data, voice):
    results = measure([voice], data / "dev.jsonl", speed=(1,))
    one, many = system(results, voice.name)["speed"]
    assert (one["threads"], one["batch"], many["batch"]) == (1, 1, 4)
    assert one["seconds"] == pytest.approx(4 * 0.2) and one["real_time_factor"] > 0
    assert 0 < one["first_audio"] < one["real_time_factor"] * 0.2 * 3 and many["first_audio"] is None
    assert one["memory"] > 50e6
    assert "### Speed" in render(results)
