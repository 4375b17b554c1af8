"""Speech as bytes: WAV, raw PCM, FLAC, MP3 and Opus, whole or while it is being generated."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

from wavetts.errors import UserError

# Raw samples carry no rate: clients of OpenAI's endpoint take them for this one.
PCM_RATE = 24000
MEDIA_TYPES = {
    "wav": "audio/wav",
    "pcm": f"audio/pcm;rate={PCM_RATE}",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
}
# What a codec takes; a voice of another rate is resampled to the next one above it.
CODEC_RATES = {
    "pcm": [PCM_RATE],
    "mp3": [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000],
    "opus": [8000, 12000, 16000, 24000, 48000],
}
_CODECS = {"flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}
# A header that is sent before its sound promises the most that it can, as ffmpeg's into a pipe does.
_UNKNOWN_SIZE = 0xFFFFFFFF


def available_formats() -> list[str]:
    """The formats that the installed libsndfile can write, and those that need none."""
    return [
        name
        for name in MEDIA_TYPES
        if name not in _CODECS or _CODECS[name][1] in soundfile.available_subtypes(_CODECS[name][0])
    ]


def encoded_rate(format: str, sample_rate: int) -> int:
    """The sample rate of a format's output for a voice of `sample_rate` Hz."""
    rates = CODEC_RATES.get(format, [sample_rate])
    return next((rate for rate in rates if rate >= sample_rate), rates[-1])


def encode(samples: np.ndarray, sample_rate: int, format: str) -> bytes:
    """A whole file.

    Args:
        samples: (S,) float32 in [-1, 1).
        sample_rate: in Hz.
        format: of `available_formats`.
    """
    encoder = StreamEncoder(sample_rate, format)
    data = encoder.write(samples) + encoder.finish()
    if format == "wav":
        return wav_header(sample_rate, len(data) - 44) + data[44:]
    # What a codec wrote into its header in the end is missing from a stream.
    return encoder.file if format in _CODECS else data


class StreamEncoder:
    """Encodes speech chunk by chunk; what comes of it does not depend on where it was cut.

    Args:
        sample_rate: of the speech, in Hz; `encoded_rate` is that of the output.
        format: of `available_formats`.

    Raises:
        UserError: the installed libsndfile does not write this format.
    """

    def __init__(self, sample_rate: int, format: str) -> None:
        if format not in available_formats():
            raise UserError(f"{format}: not one of the formats here: {', '.join(available_formats())}")
        self.format, self.rate = format, encoded_rate(format, sample_rate)
        self._resampler = None
        if self.rate != sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(sample_rate, self.rate, 1, dtype="float32")
        self._header = wav_header(self.rate, None) if format == "wav" else b""
        self._file = io.BytesIO()
        self._sent = 0
        self._writer = None
        if format in _CODECS:
            container, subtype = _CODECS[format]
            self._writer = soundfile.SoundFile(self._file, "w", self.rate, 1, subtype, format=container)

    @property
    def file(self) -> bytes:
        """All that a codec wrote; of a finished encoder the file with its final header."""
        return self._file.getvalue()

    def write(self, samples: np.ndarray) -> bytes:
        """Encodes samples (S,) float32; what a codec or the resampler holds back comes later."""
        return self._write(samples, last=False)

    def finish(self) -> bytes:
        """The end of the stream."""
        data = self._write(np.zeros(0, dtype=np.float32), last=True)
        self.close()
        return data + self._take() if self._writer is not None else data

    def close(self) -> None:
        """Gives up the codec, whether the stream has come to its end or not."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, samples: np.ndarray, last: bool) -> bytes:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(np.ascontiguousarray(samples, dtype=np.float32), last=last)
        pcm = np.clip(np.rint(samples.astype(np.float64) * 32768), -32768, 32767).astype("<i2")
        if self._writer is None:
            header, self._header = self._header, b""
            return header + pcm.tobytes()
        self._writer.write(pcm)
        return self._take()

    def _take(self) -> bytes:
        """What the codec wrote since the last time."""
        place = self._file.tell()
        self._file.seek(self._sent)
        data = self._file.read()
        self._sent += len(data)
        self._file.seek(place)
        return data


def wav_header(sample_rate: int, size: int | None) -> bytes:
    """The 44 bytes before mono 16-bit samples.

    Args:
        sample_rate: in Hz.
        size: of the samples in bytes; None if it is not known yet.
    """
    riff, data = (_UNKNOWN_SIZE, _UNKNOWN_SIZE) if size is None else (size + 36, size)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + form + struct.pack("<4sI", b"data", data)
