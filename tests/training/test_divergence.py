"""A training that diverges costs no model that was good."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy import toy_config, write_corpus

from wavetts.audio.figures import curve_figure
from wavetts.errors import UserError
from wavetts.model import checkpoint
from wavetts.training import state as states
from wavetts.training import trainer
from wavetts.training.loop import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


def start(data: Path, run: Path, resume: bool = False, **section: object) -> None:
    train(toy_config(num_samples=0, **section), data, run, resume=resume, device="cpu", threads=1)


def test_weights_that_are_no_numbers_are_not_saved(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run, step = tmp_path / "run", trainer.Trainer._train_step

    def diverge(self: trainer.Trainer, item: object) -> None:
        step(self, item)
        if self.step == 3:
            with torch.no_grad():
                self.model.decoder.stop.bias.fill_(math.nan)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_train_step", diverge)
        with pytest.raises(UserError, match=r"step 4 is not saved: decoder\.stop\.bias is not finite, .*learning_rate"):
            start(data, run, max_steps=8, save_every=2, eval_every=100)
    assert [path.name for path in states.list_states(run)] == ["state-00000002.pt"]
    assert checkpoint.load_model(run).info["step"] == 2
    # The advice works.
    start(data, run, resume=True, max_steps=4, save_every=2, eval_every=100, learning_rate=1e-4)
    assert checkpoint.load_model(run).info["step"] == 4


def test_files_with_such_weights_are_refused_or_passed_over(data: Path, tmp_path: Path):
    run = tmp_path / "run"
    start(data, run, max_steps=4, save_every=2)
    path = states.list_states(run)[-1]
    state = states.load_state(path)
    state["model"]["decoder.stop.bias"].fill_(math.inf)
    states.save_state(path, state)
    with pytest.warns(UserWarning, match=r"state-00000004\.pt: .*bias is not finite.*trying the state before"):
        assert states.newest_state(run)["step"] == 2
    loaded = checkpoint.load_model(run)
    weights = {**loaded.model.state_dict(), "decoder.stop.bias": torch.tensor([math.nan])}
    checkpoint.save_model(run / "model.safetensors", weights, loaded.config, loaded.tokenizer, {})
    with pytest.raises(UserError, match=r"model\.safetensors: decoder.stop.bias is not finite, .*take the model of an"):
        checkpoint.load_model(run)


def test_curves_have_a_gap_where_it_diverged(tmp_path: Path):
    lines = [(step, math.nan if step > 4 else 5.0 / step) for step in range(1, 9)]
    metrics = "".join(
        f'{{"kind": "train", "step": {step}, "minutes": 0.1, "bits_per_sample": {"NaN" if math.isnan(y) else y}}}\n'
        for step, y in lines
    )
    (tmp_path / "metrics.jsonl").write_text(metrics)
    figure = curve_figure([tmp_path])
    assert len(figure.axes[0].lines[0].get_ydata()) == 4
    assert all(map(math.isfinite, figure.axes[0].get_ylim()))
    (tmp_path / "metrics.jsonl").write_text(metrics.splitlines()[-1] + "\n")
    with pytest.raises(UserError, match="no finite figure named 'bits_per_sample'"):
        curve_figure([tmp_path])


def test_two_trainings_in_one_folder(data: Path, tmp_path: Path):
    run = tmp_path / "run"
    code = f"""
import time
from pathlib import Path
from wavetts.files import locked
with locked(Path({str(run / ".lock")!r}), "x"):
    print(flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match=f"run: process {other.pid} is writing there; wait for its end, or choose"):
            start(data, run, max_steps=2)
        other.kill()
    start(data, run, max_steps=2)
    assert not (run / ".lock").exists()
    # A mistake leaves no folder behind.
    with pytest.raises(UserError):
        start(data, tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()
