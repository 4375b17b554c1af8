from __future__ import annotations

import ast
import re

import pytest
from paths import ROOT

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


# What a style sheet's variables and other programs' options look like.
NO_FLAGS = {"audio/player.py", "demo/views.py", "evaluation/listening.py", "errors.py"}


def test_only_the_command_line_speaks_of_flags():
    package, found = ROOT / "wavetts", []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name in NO_FLAGS or name.startswith("cli/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.search(r"(?<![\w-])--[a-z]", text):
                found.append(f"{name}:{node.lineno}: {text[:80]}")
    assert not found
