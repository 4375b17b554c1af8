from __future__ import annotations

import sys

import pytest

from wavetts import progress


class Terminal:
    """Standard error that is, or is not, one."""

    def __init__(self, is_terminal: bool):
        self.is_terminal, self.text = is_terminal, ""

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


@pytest.fixture
def standard_error(monkeypatch):
    def use(is_terminal: bool) -> Terminal:
        monkeypatch.setattr(sys, "stderr", terminal := Terminal(is_terminal))
        return terminal

    return use


def test_short_work_leaves_no_trace_in_a_log(standard_error):
    log = standard_error(False)
    assert list(progress.progress_bar(range(1000), desc="work")) == list(range(1000))
    with progress.progress_bar(total=2, bar_format="{percentage:3.0f}%|{bar}|") as bar:
        bar.update(1)
        bar.write("a line", file=sys.stderr)
    assert log.text == "a line\n"


def test_long_work_writes_whole_lines_now_and_then(standard_error, monkeypatch):
    log = standard_error(False)
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    for number in progress.progress_bar(range(100), desc="work", mininterval=0):
        clock[0] = 2.0 * number
    lines = log.text.splitlines()
    assert 5 <= len(lines) <= 7
    assert all(line.startswith("work: ") for line in lines)
    assert "\r" not in log.text


def test_a_terminal_has_a_bar(standard_error):
    terminal = standard_error(True)
    list(progress.progress_bar(range(10), desc="work"))
    assert "\rwork:" in terminal.text
    assert "10/10" in terminal.text
