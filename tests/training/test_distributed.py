from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import toy
from toy import metrics, no_noise, toy_config, write_corpus

from wavetts.config.load import dump_config
from wavetts.corpus.batches import Corpus
from wavetts.corpus.manifest import load_manifest
from wavetts.model import checkpoint
from wavetts.training import state as states
from wavetts.training.distributed import Processes
from wavetts.training.heldout import evaluate

pytestmark = pytest.mark.slow


def start(data: Path, run: Path, section: dict) -> list[subprocess.Popen]:
    """Two processes that train together, as torchrun would start them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "PYTHONPATH": str(Path(toy.__file__).parents[1]),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    command = [sys.executable, toy.__file__, str(data), str(run), json.dumps(section)]
    return [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def finish(processes: list[subprocess.Popen]) -> list[str]:
    try:
        return [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data", train=25)


# batch_seconds 0.3: most batches hold fewer utterances than there are shares.
@pytest.mark.parametrize("seconds", [4.0, 0.3])
def test_two_processes_are_one(data: Path, tmp_path: Path, seconds: float):
    section = {"max_steps": 10, "log_every": 1, "num_samples": 0, "batch_seconds": seconds, "weight_decay": 0.01}
    processes = start(data, tmp_path / "two", {**section, "accumulate": 2})
    toy.train_without_noise(toy_config(**section), data, tmp_path / "one")
    errors = finish(processes)
    assert [process.returncode for process in processes] == [0, 0], errors
    for key in ("loss", "grad_norm"):
        one, two = ([line[key] for line in metrics(tmp_path / name, "train")] for name in ("one", "two"))
        assert len(one) == 10
        assert two == pytest.approx(one, rel=1e-3, abs=1e-4)
    one, two = (metrics(tmp_path / name, "dev")[-1] for name in ("one", "two"))
    assert two["bits_per_sample"] == pytest.approx(one["bits_per_sample"], abs=1e-3)
    assert len(states.list_states(tmp_path / "two")) == 2


def test_held_out_figures_are_of_the_model_that_is_saved(data: Path, tmp_path: Path):
    """Batch normalisation's running statistics differ between processes; one process' are evaluated and saved."""
    encoder = {"kind": "cbhg", "embedding_dim": 8, "prenet_dims": [8], "bank_size": 2, "hidden_dim": 8}
    section = {"max_steps": 6, "num_samples": 0, "batch_seconds": 1.0, "encoder": encoder}
    errors = finish(processes := start(data, tmp_path, section))
    assert [process.returncode for process in processes] == [0, 0], errors
    loaded = checkpoint.load_model(tmp_path)
    corpus = Corpus(load_manifest(data / "dev.jsonl"), loaded.tokenizer, loaded.config)
    with no_noise():
        figures = evaluate(loaded.model, corpus, loaded.config, Processes(0, 1, torch.device("cpu")))
    assert metrics(tmp_path, "dev")[-1]["bits_per_sample"] == pytest.approx(figures["bits_per_sample"], abs=1e-5)


def test_a_signal_to_one_process_ends_both_after_the_same_step(data: Path, tmp_path: Path):
    processes = start(data, tmp_path, {"max_steps": 100_000, "save_every": 5, "num_samples": 0})
    for _ in range(6000):
        if states.list_states(tmp_path) or any(process.poll() is not None for process in processes):
            break
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    errors = finish(processes)
    assert [process.returncode for process in processes] == [143, 143], errors
    assert "stopped by SIGTERM after step" in errors[0]


def test_torchrun_starts_the_command_line(data: Path, tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(toy_config(max_steps=2, num_samples=0)))
    # Standalone: at a port of its own, where no other run on this machine meets it.
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    words = [*launcher, "wavetts", "train", config, "--data", data, "--run", tmp_path / "run"]
    environment = {**os.environ, "PYTHONPATH": str(Path(toy.__file__).parents[1])}
    command = [sys.executable, *map(str, words)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        # The processes that it started hold the pipe as well.
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, errors
    assert (tmp_path / "run" / "model.safetensors").is_file()
