"""Encoders of speech: WAV, raw PCM, FLAC, MP3, Opus and AAC, of whole utterances or while they are generated."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile

from wavetts.audio.waveform import stream_resampler, streaming_wav_header, to_pcm, write_audio
from wavetts.errors import UserError

# Raw samples have no header: this is the rate that clients of OpenAI's endpoint assume.
PCM_RATE = 24000
MEDIA_TYPES = {
    "wav": "audio/wav",
    "pcm": f"audio/pcm;rate={PCM_RATE}",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
}
# Sample rates that a codec supports; other voices are resampled to the next higher one.
CODEC_RATES = {
    "pcm": [PCM_RATE],
    "mp3": [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000],
    "opus": [8000, 12000, 16000, 24000, 48000],
    "aac": [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000],
}
_CODECS = {"flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}


def available_formats() -> list[str]:
    """The formats that can be written here; which codecs there are depends on the installed libsndfile."""
    return [
        name
        for name in MEDIA_TYPES
        if name not in _CODECS or _CODECS[name][1] in soundfile.available_subtypes(_CODECS[name][0])
    ]


class _AACWriter:
    """AAC frames with ADTS headers, by FFmpeg's encoder; the interface of `soundfile.SoundFile` that is used here."""

    def __init__(self, file: io.BytesIO, rate: int) -> None:
        import av

        self._container: Any = av.open(file, "w", format="adts")
        self._stream = self._container.add_stream("aac", rate=rate)
        self._stream.bit_rate, self._stream.layout = 64_000, "mono"
        self._rate, self._written = rate, 0

    def write(self, pcm: np.ndarray) -> None:
        """Encodes (S,) int16."""
        import av

        if len(pcm) == 0:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm, np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._written
        self._written += len(pcm)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Writes what the encoder holds back; a second call does nothing."""
        if self._container is not None:
            if self._written:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None


def encoded_rate(format: str, sample_rate: int) -> int:
    """The sample rate in Hz of encoded speech for a voice of `sample_rate` Hz."""
    rates = CODEC_RATES.get(format, [sample_rate])
    return next((rate for rate in rates if rate >= sample_rate), rates[-1])


def encode(samples: np.ndarray, sample_rate: int, format: str) -> bytes:
    """Encodes speech as a whole file.

    Args:
        samples: (S,) float32 in [-1, 1).
        sample_rate: in Hz.
        format: one of `available_formats`.
    """
    if format == "wav":
        file = io.BytesIO()
        write_audio(file, samples, sample_rate)
        return file.getvalue()
    encoder = StreamEncoder(sample_rate, format)
    data = encoder.write(samples) + encoder.finish()
    # A codec completes its header at the end, which a stream does not contain.
    return data if format in ("wav", "pcm") else encoder.file


class StreamEncoder:
    """Encodes speech chunk by chunk; the output does not depend on the sizes of the chunks.

    Args:
        sample_rate: of the speech, in Hz; that of the output is `encoded_rate`.
        format: one of `available_formats`.

    Raises:
        UserError: the format is unknown, or the installed libsndfile cannot write it.
    """

    def __init__(self, sample_rate: int, format: str) -> None:
        if format not in available_formats():
            raise UserError(f"{format}: not one of the formats here: {', '.join(available_formats())}")
        self.format, self.rate = format, encoded_rate(format, sample_rate)
        self._resampler = None
        if self.rate != sample_rate:
            self._resampler = stream_resampler(sample_rate, self.rate)
        self._header = streaming_wav_header(self.rate) if format == "wav" else b""
        self._file = io.BytesIO()
        self._sent = 0
        self._writer: Any = None
        if format == "aac":
            self._writer = _AACWriter(self._file, self.rate)
        elif format in _CODECS:
            container, subtype = _CODECS[format]
            self._writer = soundfile.SoundFile(self._file, "w", self.rate, 1, subtype, format=container)

    @property
    def file(self) -> bytes:
        """All that the codec has written; after `finish` the file with its final header."""
        return self._file.getvalue()

    def write(self, samples: np.ndarray) -> bytes:
        """Encodes samples (S,) float32; codec and resampler may return part of them with a later call."""
        return self._write(samples, last=False)

    def finish(self) -> bytes:
        """Returns the end of the stream and closes the codec."""
        data = self._write(np.zeros(0, dtype=np.float32), last=True)
        self.close()
        return data + self._take() if self._writer is not None else data

    def close(self) -> None:
        """Closes the codec, also before the end of the stream."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, samples: np.ndarray, last: bool) -> bytes:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(np.ascontiguousarray(samples, dtype=np.float32), last=last)
        pcm = to_pcm(samples)
        if self._writer is None:
            header, self._header = self._header, b""
            return header + pcm.tobytes()
        self._writer.write(pcm)
        return self._take()

    def _take(self) -> bytes:
        """What the codec has written since the last call."""
        place = self._file.tell()
        self._file.seek(self._sent)
        data = self._file.read()
        self._sent += len(data)
        self._file.seek(place)
        return data
