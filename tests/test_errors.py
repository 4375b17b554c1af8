from __future__ import annotations

import pytest

from wavetts.errors import UserError, dashed, run


def test_flags_may_be_spelled_with_underscores():
    argv = ["my_folder", "--top_db=4_5", "--stop_stage", "a_b", "-x_y", "--", "--left_alone"]
    assert dashed(argv) == ["my_folder", "--top-db=4_5", "--stop-stage", "a_b", "-x_y", "--", "--left_alone"]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserError("x: bad"), 2, "error: x: bad\n"),
        (PermissionError(13, "Permission denied", "corpus/x.wav"), 2, "error: corpus/x.wav: Permission denied\n"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_script_ends_with_a_line_and_a_code(monkeypatch, capsys, error, code, text):
    monkeypatch.setattr("sys.argv", ["script", "--a_b"])

    def main(argv):
        assert argv == ["--a-b"]
        raise error

    with pytest.raises(SystemExit) as end:
        run(main)
    captured = capsys.readouterr()
    assert end.value.code == code and captured.err.startswith(text) and captured.err.count("\n") == 1
