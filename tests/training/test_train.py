from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import toy
from toy import metrics, toy_config, write_corpus

import wavetts.training.loop
import wavetts.training.objective
from wavetts.config.load import dump_config
from wavetts.corpus.batches import Corpus
from wavetts.corpus.manifest import load_manifest
from wavetts.errors import UserError
from wavetts.model import checkpoint
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.subframe import SubframeConfig
from wavetts.training import state as states
from wavetts.training.distributed import Processes
from wavetts.training.heldout import evaluate
from wavetts.training.loop import train
from wavetts.training.objective import loss_sums


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "data")


def run(data: Path, run_dir: Path, resume: bool = False, init_from: Path | None = None, **section: object) -> Path:
    train(toy_config(**section), data, run_dir, resume=resume, init_from=init_from, device="cpu", threads=1)
    return run_dir


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps that nothing disturbed; tests copy it before they write to it."""
    return run(data, tmp_path_factory.mktemp("runs") / "finished")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_model(path).model.state_dict()


def assert_same_run(one: Path, other: Path):
    for kind in ("train", "dev"):
        assert metrics(one, kind) == metrics(other, kind)
    for name in (checkpoint.MODEL_NAME, checkpoint.BEST_NAME):
        left, right = weights(one / name), weights(other / name)
        assert all(torch.equal(left[key], right[key]) for key in left)
    pair = [states.load_state(states.list_states(path)[-1]) for path in (one, other)]
    for key in ("model", "average"):
        assert all(torch.equal(pair[0][key][name], pair[1][key][name]) for name in pair[0][key])
    for index, moments in pair[0]["optimizer"].items():
        assert all(torch.equal(value, pair[1]["optimizer"][index][name]) for name, value in moments.items())


def test_a_run_leaves_its_files_and_figures(finished: Path):
    assert sorted(path.name for path in finished.iterdir()) == [
        "best.safetensors",
        "config.yaml",
        "metrics.jsonl",
        "model.safetensors",
        "state-00000015.pt",
        "state-00000020.pt",
        "tensorboard",
    ]
    lines = metrics(finished, "train")
    assert [line["step"] for line in lines] == list(range(2, 21, 2))
    assert {"loss", "nll", "bits_per_sample", "stop_loss", "learning_rate", "grad_norm"} <= set(lines[0])
    dev = metrics(finished, "dev")
    assert [line["step"] for line in dev] == [10, 20]
    assert {"bits_per_sample", "nll", "stop_accuracy", "stop_recall", "coverage", "diagonality", "text_gain"} <= set(
        dev[0]
    )
    best = checkpoint.load_model(finished / "best.safetensors")
    assert best.info["bits_per_sample"] == min(line["bits_per_sample"] for line in dev)
    assert best.info["likelihood"] == "exact"


def test_samples_and_figures_are_in_tensorboard(finished: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(finished / "tensorboard")).Reload()
    tags = board.Tags()
    assert {"train/loss", "dev/bits_per_sample", "train/learning_rate"} <= set(tags["scalars"])
    images = {"alignment_forced/0", "alignment_spoken/1", "spectrogram/0", "spectrogram_reference/1"}
    assert images <= set(tags["images"])
    assert {"audio/0", "audio/1", "audio_reference/0"} <= set(tags["audio"])


def test_loss_falls_on_a_tiny_corpus(data: Path, tmp_path: Path):
    run(data, tmp_path, max_steps=80, learning_rate=1e-2, log_every=10, save_every=80, eval_every=40, num_samples=0)
    bits = [line["bits_per_sample"] for line in metrics(tmp_path, "train")]
    assert bits[-1] < bits[0] - 0.5
    dev = [line["bits_per_sample"] for line in metrics(tmp_path, "dev")]
    assert dev[1] < dev[0]


def test_resuming_goes_on_bit_for_bit(data: Path, finished: Path, tmp_path: Path):
    # 13 is no multiple of log_every: the sums of the unfinished line are in the state.
    run_dir = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wavetts.training.loop.Trainer, "_train_step", stop_after(13, signal.SIGTERM))
        with pytest.raises(SystemExit) as stopped:
            run(data, run_dir)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert states.list_states(run_dir)[-1].name == "state-00000013.pt"
    run(data, run_dir, resume=True)
    assert_same_run(run_dir, finished)


def stop_after(steps: int, number: int):
    """A training step after whose `steps`-th the process gets a signal."""
    step = wavetts.training.loop.Trainer._train_step

    def stopping(self, item):
        if self.step == steps - 1:
            os.kill(os.getpid(), number)
        step(self, item)

    return stopping


def test_ctrl_c_finishes_the_step_and_says_how_to_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(wavetts.training.loop.Trainer, "_train_step", stop_after(3, signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path)
    assert stopped.value.code == 130
    assert "stopped by SIGINT after step 3; it can be resumed" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_a_killed_run_resumes_bit_for_bit(data: Path, tmp_path: Path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    section = {"max_steps": 60, "save_every": 7, "eval_every": 20, "num_samples": 0}
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(toy_config(**section)))
    words = ["train", config, "--data", data, "--run", killed, "--device", "cpu", "--threads", "1"]
    process = subprocess.Popen([sys.executable, "-m", "wavetts", *map(str, words)], stderr=subprocess.DEVNULL)
    for _ in range(6000):
        if states.state_path(killed, 21).is_file() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    run(data, killed, resume=True, **section)
    run(data, whole, **section)
    assert_same_run(killed, whole)


def test_a_truncated_state_falls_back_to_the_one_before(data: Path, finished: Path, tmp_path: Path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir)
    newest = states.list_states(run_dir)[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="trying the state before it"):
        run(data, run_dir, resume=True)
    assert_same_run(run_dir, finished)


def test_resuming_on_transcripts_of_another_front_end_is_warned_of(data: Path, finished: Path, tmp_path: Path):
    run_dir, other = tmp_path / "run", tmp_path / "data"
    shutil.copytree(finished, run_dir)
    shutil.copytree(data, other)
    info = json.loads((other / "info.json").read_text())
    (other / "info.json").write_text(json.dumps(info | {"front_end_version": "0"}))
    with pytest.warns(UserWarning, match="version 0 of the text front end made its transcripts"):
        run(other, run_dir, resume=True)


def test_resuming_with_more_steps_trains_on(data: Path, finished: Path, tmp_path: Path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir)
    run(data, run_dir, resume=True, max_steps=24, learning_rate=1e-4, betas=[0.5, 0.9], num_samples=0)
    lines = metrics(run_dir, "train")
    assert [line["step"] for line in lines] == list(range(2, 25, 2))
    assert lines[-1]["learning_rate"] <= 1e-4
    assert "max_steps: 24" in (run_dir / "config.yaml").read_text()


@pytest.mark.slow
def test_a_compiled_density_gives_the_same_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    section = {"max_steps": 4, "log_every": 1, "num_samples": 0}
    run(data, tmp_path / "plain", **section)
    compiled = []

    def compile_without_compiler(function, dynamic):
        compiled.append(function.__qualname__)
        return torch._dynamo.optimize("eager", dynamic=dynamic)(function)

    monkeypatch.setattr(torch, "compile", compile_without_compiler)
    run(data, tmp_path / "compiled", compile=True, **section)
    assert compiled == ["Density.loss"]
    losses = [[line["loss"] for line in metrics(tmp_path / name, "train")] for name in ("plain", "compiled")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    names = [set(weights(tmp_path / name)) for name in ("plain", "compiled")]
    assert names[0] == names[1]


def test_two_micro_batches_are_one_batch(data: Path, tmp_path: Path):
    section = {"max_steps": 8, "num_samples": 0, "weight_decay": 0.01, "log_every": 1}
    for accumulate in (1, 2, 5):
        toy.train_without_noise(toy_config(accumulate=accumulate, **section), data, tmp_path / str(accumulate))
    losses = [[line["loss"] for line in metrics(tmp_path / str(count), "train")] for count in (1, 2, 5)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4) and losses[2] == pytest.approx(losses[0], rel=1e-4)
    dev = [metrics(tmp_path / str(count), "dev")[-1]["bits_per_sample"] for count in (1, 2, 5)]
    assert dev[1:] == pytest.approx([dev[0], dev[0]], abs=1e-4)


@pytest.mark.parametrize("option", [{"history_noise": 0.2}, {"history_gain": 0.3}, {"prior_steps": 3}], ids=str)
def test_an_option_counts_and_resumes_bit_for_bit(data: Path, finished: Path, tmp_path: Path, option: dict):
    section = {"max_steps": 4, "num_samples": 0, "eval_every": 4, **option}
    run(data, tmp_path / "whole", **section)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wavetts.training.loop.Trainer, "_train_step", stop_after(2, signal.SIGTERM))
        with pytest.raises(SystemExit):
            run(data, tmp_path / "parts", **section)
    run(data, tmp_path / "parts", resume=True, **section)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    assert metrics(tmp_path / "whole", "train")[0]["nll"] != metrics(finished, "train")[0]["nll"]


def spoil(monkeypatch: pytest.MonkeyPatch, bad: range):
    """Makes the loss of some steps NaN."""

    def spoiled(model, batch, section, step):
        result = loss_sums(model, batch, section, step)
        return dataclasses.replace(result, frame_nll=result.frame_nll * float("nan")) if step in bad else result

    monkeypatch.setattr(wavetts.training.objective, "loss_sums", spoiled)


def test_steps_that_are_not_finite_are_skipped_and_logged(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spoil(monkeypatch, range(4, 6))
    run(data, tmp_path, max_steps=10, max_bad_steps=3, num_samples=0)
    bad = metrics(tmp_path, "bad_batch")
    assert [(line["step"], line["in_a_row"]) for line in bad] == [(5, 1), (6, 2)]
    assert bad[0]["ids"] and set(bad[0]["ids"]) <= {f"train-{number:03d}" for number in range(24)}
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path).values())
    assert [line["step"] for line in metrics(tmp_path, "train")] == [2, 4, 8, 10]
    assert int(states.newest_state(tmp_path)["average"]["n_averaged"]) == 8


def test_too_many_in_a_row_end_the_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spoil(monkeypatch, range(6, 100))
    with pytest.raises(UserError, match=r"step 9: not finite .*3 times in a row .*metrics\.jsonl"):
        run(data, tmp_path, max_bad_steps=3)
    assert states.newest_state(tmp_path)["step"] == 5


def test_init_from_starts_with_the_old_weights(data: Path, finished: Path, tmp_path: Path):
    run(data, tmp_path, init_from=finished, max_steps=2, eval_every=1, num_samples=0, warmup_steps=1000)
    old, new = metrics(finished, "dev")[-1], metrics(tmp_path, "dev")[0]
    assert new["bits_per_sample"] == pytest.approx(old["bits_per_sample"], abs=0.02)
    assert torch.equal(weights(tmp_path)["scale"], weights(finished)["scale"])


def test_init_from_another_density_keeps_what_reads(data: Path, finished: Path, tmp_path: Path):
    config = toy_config(max_steps=1, num_samples=0, learning_rate=1e-9)
    config.density = SubframeConfig(
        subframe_length=80, context_dim=8, inner=CompactFlowConfig(num_couplings=2, hidden_dim=8)
    )
    with pytest.warns(UserWarning, match="its density is compact; the subframe of compact of this run starts anew"):
        train(config, data, tmp_path, init_from=finished, device="cpu", threads=1)
    old, new = weights(finished), weights(tmp_path)
    assert all(torch.allclose(new[name], old[name]) for name in old if not name.startswith("density."))
    assert "density.past_linear.weight" in new


def test_held_out_figures_are_of_the_averaged_weights(data: Path, finished: Path):
    loaded = checkpoint.load_model(finished)
    corpus = Corpus(load_manifest(data / "dev.jsonl"), loaded.tokenizer, loaded.config)
    alone = Processes(0, 1, torch.device("cpu"))
    figures = evaluate(loaded.model, corpus, loaded.config, alone)
    logged = {key: value for key, value in metrics(finished, "dev")[-1].items() if key not in ("kind", "step")}
    assert figures == logged
    loaded.model.load_state_dict(states.newest_state(finished)["model"])
    assert evaluate(loaded.model, corpus, loaded.config, alone) != logged


def test_mistakes_are_told_before_anything_is_written(data: Path, finished: Path, tmp_path: Path):
    new = tmp_path / "new"
    with pytest.raises(UserError, match="holds a run already; resume it"):
        run(data, finished)
    with pytest.raises(UserError, match="no training state to resume from"):
        run(data, new, resume=True)
    with pytest.raises(UserError, match="leave out the model to start from"):
        run(data, new, resume=True, init_from=finished)
    with pytest.raises(UserError, match="wavetts preprocess"):
        run(tmp_path / "nowhere", new)
    config = toy_config()
    config.decoder.hidden_dim = 24
    with pytest.raises(
        UserError, match=r"only train\.\* of a resumed run may change, .* decoder.hidden_dim: 16 there, 24"
    ):
        train(config, data, finished, resume=True, device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="torch sees no GPU"):
            train(toy_config(), data, new, device="cuda")
    with pytest.raises(UserError, match="device 'tpu9000': unknown"):
        train(toy_config(), data, new, device="tpu9000")
    assert not new.exists()


def test_a_start_that_failed_leaves_the_folder_usable(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spoil(monkeypatch, range(2))
    with pytest.raises(UserError, match="not finite"):
        run(data, tmp_path, max_bad_steps=2)
    monkeypatch.undo()
    run(data, tmp_path, max_steps=4, num_samples=0)
    assert not metrics(tmp_path, "bad_batch") and len(metrics(tmp_path, "train")) == 2


def test_a_disk_that_is_full_for_tensorboard_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    from tensorboard.summary.writer.record_writer import RecordWriter

    def fail(self, record: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        # In TensorBoard's own thread, as on a disk that is full.
        patch.setattr(RecordWriter, "write", fail)
        with pytest.raises(UserError, match=r"cannot write to .*run: No space left on device; mend that and resume"):
            run(data, tmp_path / "run", max_steps=4, save_every=1)
    assert "Traceback" not in capfd.readouterr().err
    resume = bool(states.list_states(tmp_path / "run"))
    run(data, tmp_path / "run", resume=resume, max_steps=4, save_every=1)
    assert [line["step"] for line in metrics(tmp_path / "run", "train")] == [2, 4]


def test_no_held_out_data_is_a_warning(tmp_path: Path):
    folder = write_corpus(tmp_path / "data", dev=0)
    with pytest.warns(UserWarning, match="nothing is evaluated or sampled"):
        run(folder, tmp_path / "run", max_steps=2)
    assert (tmp_path / "run/model.safetensors").is_file() and not (tmp_path / "run/best.safetensors").exists()
