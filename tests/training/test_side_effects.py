"""Training as a part of somebody's program: the process is as it was before."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from toy import toy_config, write_corpus

from wavetts.corpus.batches import Corpus
from wavetts.corpus.manifest import load_manifest
from wavetts.model import checkpoint
from wavetts.training.distributed import Processes
from wavetts.training.heldout import evaluate
from wavetts.training.loop import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


def state() -> tuple:
    return torch.get_num_threads(), torch.get_rng_state().tolist(), threading.excepthook


def test_threads_generators_and_hooks_are_as_before(data: Path, tmp_path: Path, monkeypatch, request):
    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(threads + 2)
    torch.manual_seed(5)
    before, seen = state(), []
    manual_seed = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: seen.append(state()[:1] + state()[2:]) or manual_seed(seed))
    train(toy_config(max_steps=2, num_samples=1), data, tmp_path / "run", device="cpu", threads=1)
    assert state() == before
    # It computed with the threads that it was told to take, and touched no hook meanwhile.
    assert {(1, before[2])} == {found[:2] for found in seen}
    loaded = checkpoint.load_model(tmp_path / "run")
    corpus = Corpus(load_manifest(data / "dev.jsonl"), loaded.tokenizer, loaded.config)
    evaluate(loaded.model, corpus, loaded.config, Processes(0, 1, torch.device("cpu")))
    assert state() == before
