"""Waveforms: files, players, codecs and figures."""

from wavetts.audio.waveform import (
    log_mel,
    read_audio,
    resample,
    scale_loudness,
    streaming_wav_header,
    to_pcm,
    trim_silence,
    write_audio,
)

__all__ = [
    "log_mel",
    "read_audio",
    "resample",
    "scale_loudness",
    "streaming_wav_header",
    "to_pcm",
    "trim_silence",
    "write_audio",
]
