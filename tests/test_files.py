from __future__ import annotations

import os
import threading

import pytest

from wavetts.errors import UserError
from wavetts.files import write_atomic


def test_what_a_link_points_to_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "target").write_text("old")
    (tmp_path / "link").symlink_to("folder/target")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "target").read_text() == "new"
    (tmp_path / "dangling").symlink_to("folder/other")
    write_atomic(tmp_path / "dangling", b"new")
    assert (tmp_path / "folder" / "other").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["other", "target"]


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    heard = []
    reader = threading.Thread(target=lambda: heard.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write_atomic(tmp_path / "pipe", "through")
    reader.join(10)
    assert heard == [b"through"]
    assert (tmp_path / "pipe").is_fifo()


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UserError, match="cannot write"):
        write_atomic(tmp_path / "a", "x")
