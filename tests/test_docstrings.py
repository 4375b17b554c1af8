"""The examples in docstrings run and give what they show."""

from __future__ import annotations

import doctest
import importlib

import pytest
from toy_voice import save_voice


@pytest.mark.parametrize("name", ["wavetts", "wavetts.synthesis.catalog", "wavetts.synthesis.voice"])
def test_examples(name, monkeypatch, tmp_path):
    from wavetts.synthesis import catalog

    # Whatever voice is bundled: one that speaks quickly.
    save_voice(tmp_path / "voices" / "noise", stop="at once")
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "voices")
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0
