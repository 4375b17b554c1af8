"""A page of the demo, served with a toy voice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_voice import save_voice

from wavetts.demo.actions import Actions
from wavetts.synthesis import catalog


@contextlib.contextmanager
def serve(folder: Path, **limits: int) -> Iterator:
    """A `Page` that offers the voice `noise`, which never stops by itself, and `short`, which always does."""
    from wavetts.demo.launch import launch

    save_voice(folder / "bundled" / "noise", stop="never")
    save_voice(folder / "bundled" / "short", stop="at once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "BUNDLED", folder / "bundled")
        patch.setenv("WAVETTS_VOICES", str(folder / "mine"))
        patch.delenv("GRADIO_SERVER_PORT", raising=False)
        patch.setenv("GRADIO_TEMP_DIR", "set by launch")
        page = launch(Actions(None, "cpu", 1, **limits), block=False)
        yield page
        page.blocks.close()


def connect(address: str):
    """Gradio's client of a page; it waits longer than usual, as other tests may keep the machine busy."""
    from gradio_client import Client

    return Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})
