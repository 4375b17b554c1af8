from __future__ import annotations

from pathlib import Path

from toy import metrics

from wavetts.training.log import RunLog


def test_metrics_beyond_the_resumed_step_go(tmp_path: Path):
    log = RunLog(tmp_path, 0, 10)
    for step in (2, 4, 6):
        log.figures("train", step, 0.0, {"loss": 1.0})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')  # a killed process' last line
    RunLog(tmp_path, 4, 10).close()
    assert [line["step"] for line in metrics(tmp_path, "train")] == [2, 4]
