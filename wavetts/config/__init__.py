"""Every option of a model and of its training (`schema`), and the YAML files that set them (`load`).

The sections of `schema` are imported when they are used: the help of the command line needs `opt` alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wavetts.config.section import Section, opt

if TYPE_CHECKING:
    from wavetts.config.schema import (
        AttentionConfig,
        AudioConfig,
        CBHGConfig,
        Config,
        ConvLSTMConfig,
        DecoderConfig,
        DensityConfig,
        DynamicAttentionConfig,
        EncoderConfig,
        ForwardAttentionConfig,
        GMMAttentionConfig,
        LocationAttentionConfig,
        SynthesisConfig,
        TextConfig,
        TrainConfig,
    )

__all__ = [
    "AttentionConfig",
    "AudioConfig",
    "CBHGConfig",
    "Config",
    "ConvLSTMConfig",
    "DecoderConfig",
    "DensityConfig",
    "DynamicAttentionConfig",
    "EncoderConfig",
    "ForwardAttentionConfig",
    "GMMAttentionConfig",
    "LocationAttentionConfig",
    "Section",
    "SynthesisConfig",
    "TextConfig",
    "TrainConfig",
    "opt",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("wavetts.config.schema"), name)
