"""What goes by wall time, and audio that is read once."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from toy import metrics, toy_config, write_corpus

from wavetts.corpus.batches import Corpus, training_steps
from wavetts.corpus.manifest import build_tokenizer, load_info, load_manifest
from wavetts.model import checkpoint
from wavetts.training import state as states
from wavetts.training.loop import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


def run(data: Path, run_dir: Path, resume: bool = False, **section: object) -> Path:
    config = toy_config(**{"max_steps": 100_000, "num_samples": 0, "save_every": 1000, "eval_every": 1000, **section})
    train(config, data, run_dir, resume=resume, device="cpu", threads=1)
    return run_dir


def test_wall_time_ends_a_run_and_is_kept_over_resumes(data: Path, tmp_path: Path):
    run(data, tmp_path, max_minutes=0.004)
    state = states.newest_state(tmp_path)
    assert 0.004 <= state["minutes"] < 0.1 and state["step"] < 1000
    run(data, tmp_path, resume=True, max_minutes=state["minutes"] + 0.004)
    assert states.newest_state(tmp_path)["minutes"] >= state["minutes"] + 0.004


def test_states_and_held_out_figures_by_minutes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved = []
    save = states.save_state
    monkeypatch.setattr(states, "save_state", lambda path, state: (saved.append(state["step"]), save(path, state)))
    # A minute a step by a clock of our own: neither the machine nor saving takes any.
    clock = iter(range(1000))
    monkeypatch.setattr("wavetts.training.log.Stopwatch.read", lambda watch: float(next(clock)) / 2)
    run(data, tmp_path, max_steps=12, save_minutes=2.0)
    assert saved[-1] == 12 and 3 <= len(saved) <= 6
    assert all(2 <= later - sooner <= 4 for sooner, later in pairwise(saved[:-1]))
    assert [line["step"] for line in metrics(tmp_path, "dev")] == saved


def test_kept_audio_changes_nothing_and_is_read_once(tmp_path: Path):
    data = write_corpus(tmp_path / "data")
    runs = [run(data, tmp_path / "read", max_steps=3)]
    config = toy_config(max_steps=3, num_samples=0, keep_audio=True)
    utterances = load_manifest(data / "train.jsonl")
    corpus = Corpus(utterances, build_tokenizer(utterances, load_info(data, config), config), config)
    steps = training_steps(corpus, config)
    first = [next(steps).epoch for _ in range(30)]
    assert max(first) >= 1
    shutil.rmtree(data / "audio")
    assert next(steps).num_frames > 0
    steps.close()

    data = write_corpus(tmp_path / "again")
    runs.append(run(data, tmp_path / "kept", max_steps=3, keep_audio=True))
    left, right = (checkpoint.load_model(path / "model.safetensors").model.state_dict() for path in runs)
    assert all(torch.equal(left[name], right[name]) for name in left)
