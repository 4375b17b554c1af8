from __future__ import annotations

import math
import signal
from pathlib import Path

from toy import metrics

from wavetts.training.log import RunLog


def test_metrics_beyond_the_resumed_step_go(tmp_path: Path):
    log = RunLog(tmp_path, 0, 0.0)
    for step in (2, 4, 6):
        log.figures("train", step, 0.0, {"loss": 1.0})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')  # a killed process' last line
    RunLog(tmp_path, 4, 0.4).close()
    assert [line["step"] for line in metrics(tmp_path, "train")] == [2, 4]


def test_the_bar_counts_the_run(tmp_path: Path, monkeypatch):
    """Steps or minutes, whichever end it."""
    log = RunLog(tmp_path, 40, 0.25)
    assert (log.bar.n, log.bar.total) == (0.25, 1.0)
    log.advance(50, 0.5)
    log.show(loss="1.5")
    assert " 50%" in str(log.bar)
    assert "step=50, loss=1.5" in str(log.bar)
    log.close()


def test_what_is_said_in_the_end(tmp_path: Path, capsys):
    log = RunLog(tmp_path / "my run", 0, 0.0)
    log.tell_end(10, 0.5, 3.25, None, {"bits_per_sample": 3.25})
    log.tell_end(10, 0.5, math.inf, None, {})
    log.tell_end(10, 0.5, math.inf, signal.SIGTERM, {})
    log.close()
    wrote = f"wrote {tmp_path}/my run/model.safetensors\n"
    assert capsys.readouterr().err == (
        f"trained: 10 steps in 0.5 minutes, best held-out bits per sample 3.250 (best.safetensors)\n{wrote}"
        f"trained: 10 steps in 0.5 minutes\n{wrote}"
        "stopped by SIGTERM after step 10; it can be resumed\n"
    )
