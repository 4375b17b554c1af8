"""Speech as bytes: WAV, raw PCM, FLAC, MP3 and Opus, whole or while it is being generated."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from wavetts.audio.waveform import stream_resampler, streaming_wav_header, to_pcm, write_audio
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
    if format == "wav":
        file = io.BytesIO()
        write_audio(file, samples, sample_rate)
        return file.getvalue()
    encoder = StreamEncoder(sample_rate, format)
    data = encoder.write(samples) + encoder.finish()
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
            self._resampler = stream_resampler(sample_rate, self.rate)
        self._header = streaming_wav_header(self.rate) if format == "wav" else b""
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
        pcm = to_pcm(samples)
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
