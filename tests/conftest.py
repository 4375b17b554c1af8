"""The command line, a small disk, and small models of every kind.

Imports of torch stay inside, as not every test needs it.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import ATTENTIONS, DENSITIES, ENCODERS

from wavetts.config import Config
from wavetts.config.load import from_dict


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """`run(*arguments, stdin=None)`: the command line in an empty folder -> exit code, output, standard error."""
    from wavetts import cli

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            cli.main([*arguments])
            code = 0
        except SystemExit as end:
            code = end.code
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_config():
    """`small_config(encoder=kind, attention=kind, density=kind, audio={}, **decoder)` -> Config; K = 16, no dropout."""

    def make(encoder="conv_lstm", attention="location", density="gaussian", audio=None, **decoder) -> Config:
        sizes = {"prenet_dims": [6, 5], "attention_dim": 7, "hidden_dim": 9, "num_layers": 2}
        return from_dict(
            {
                "audio": {"sample_rate": 8000, "frame_length": 16, "preemphasis": 0.9, **(audio or {})},
                "encoder": {"kind": encoder, "dropout": 0.0, **ENCODERS[encoder]},
                "attention": {"kind": attention, **ATTENTIONS[attention]},
                "density": {"kind": density, **DENSITIES[density]},
                "decoder": {**sizes, **decoder},
            }
        )

    return make


@pytest.fixture
def small_model(small_config):
    """`small_model(..., as small_config)` -> float64 model of 12 symbols in eval mode, every parameter random."""
    import torch

    from wavetts.model.tacotron import WaveTacotron

    def make(*args, **kwargs) -> WaveTacotron:
        torch.manual_seed(0)
        model = WaveTacotron(small_config(*args, **kwargs), num_symbols=12).double().eval()
        with torch.no_grad():
            # Layers that start at zero would hide half of the network from a test.
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
            model.encoder.embedding.weight[0] = 0.0
            model.scale.fill_(3.0)
        return model

    return make


@pytest.fixture
def small_batch():
    """`small_batch(token_lengths, frame_lengths)` -> float64 Batch for `small_model`."""
    import torch

    from wavetts.corpus.batches import Batch

    def make(token_lengths=(5, 8, 3), frame_lengths=(4, 3, 6), frame_length=16) -> Batch:
        torch.manual_seed(1)
        tokens = torch.zeros(len(token_lengths), max(token_lengths), dtype=torch.long)
        waveform = torch.zeros(len(frame_lengths), max(frame_lengths) * frame_length, dtype=torch.float64)
        for row, length in enumerate(token_lengths):
            tokens[row, :length] = torch.randint(1, 12, (length,))
        for row, length in enumerate(frame_lengths):
            size = length * frame_length
            waveform[row, :size] = (0.2 * torch.randn(size, dtype=torch.float64)).clamp(-0.99, 0.99)
        ids = [f"utterance{row}" for row in range(len(tokens))]
        return Batch(ids, tokens, torch.tensor(token_lengths), waveform, torch.tensor(frame_lengths))

    return make


@pytest.fixture
def float64():
    """All that is made without naming a type has 64 bits."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def write_config(tmp_path):
    """`write_config(text)` -> path of a YAML file."""

    def write(text: str) -> Path:
        path = tmp_path / "x.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
