"""Every option of a model and of its training (`schema`), and the YAML files that set them (`load`)."""

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
from wavetts.config.section import Section, opt

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
