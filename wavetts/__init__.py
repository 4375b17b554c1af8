"""Wave-Tacotron: text to waveform in one network, trained by maximum likelihood alone.

Importing the package is cheap: torch and everything heavy are imported by the modules that use them.

    >>> from wavetts import load_voice
    >>> voice = load_voice()
    >>> audio = voice.say("Hello there.")  # (S,) float32 in [-1, 1)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wavetts.version import __version__

if TYPE_CHECKING:
    from wavetts.errors import UserError
    from wavetts.synthesis.catalog import list_voices
    from wavetts.synthesis.settings import SynthesisSettings
    from wavetts.synthesis.voice import load_voice

__all__ = ["SynthesisSettings", "UserError", "__version__", "list_voices", "load_voice"]

_HOMES = {
    "SynthesisSettings": "wavetts.synthesis.settings",
    "UserError": "wavetts.errors",
    "list_voices": "wavetts.synthesis.catalog",
    "load_voice": "wavetts.synthesis.voice",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
