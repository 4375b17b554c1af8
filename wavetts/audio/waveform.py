"""Audio files, resampling, trimming, loudness and the log-mel spectrogram; samples are float32 in [-1, 1)."""

from __future__ import annotations

import functools
import io
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soundfile

from wavetts.errors import UserError
from wavetts.files import write_atomic

if TYPE_CHECKING:
    import soxr

NUM_MELS = 80
MEL_WINDOW_SECONDS = 0.05
MEL_HOP_SECONDS = 0.0125
# Tacotron's band; a lower rate than 15.2 kHz ends the band at half the rate.
MEL_BAND_HZ = (125.0, 7600.0)
MEL_FLOOR = 1e-5

# libsndfile reads a WAV that was cut off without an error; only its log tells that the header promised more.
# A WAV that was written to a pipe promises 2 or 4 GB (or 2e9 bytes, 9 hours), and is whole.
_WAV_DATA_SIZE = re.compile(r"^data : (\d+) \(should be \d+\)", re.MULTILINE)
_WAV_STREAM_SIZE = 1_900_000_000


def read_audio(path: Path | str) -> tuple[np.ndarray, int]:
    """Read a whole audio file as mono.

    Args:
        path: any format that libsndfile knows (WAV, FLAC, Ogg, MP3 ...).

    Returns:
        Samples `(S,)`, float32 in [-1, 1), channels averaged; and the sample rate in Hz. 16-bit samples are
        exactly `value / 32768`.

    Raises:
        UserError: the file is missing, is no audio, or ends before its header says.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        with soundfile.SoundFile(_with_data_size(Path(path))) as file:
            samples = file.read(dtype="float32", always_2d=True)
            expected, rate = file.frames, file.samplerate
            wav_data = _WAV_DATA_SIZE.search(file.extra_info)
    except (soundfile.SoundFileError, OSError) as error:
        raise UserError(f"{path}: not readable as audio ({' '.join(str(error).split())})") from error
    if len(samples) < expected or (wav_data and int(wav_data[1]) < _WAV_STREAM_SIZE):
        raise UserError(f"{path}: the file is cut off ({len(samples)} samples are left); fetch it again")
    return samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0], rate


def _with_data_size(path: Path) -> Path | io.BytesIO:
    """The path; or, of a WAV whose header was written before its length was known and says 0, a copy that says more."""
    with path.open("rb") as file:
        start = file.read(4096)
    place = start.find(b"data\0\0\0\0")
    size = path.stat().st_size
    # A recording that is really empty has the right length in its first field.
    if start[:4] != b"RIFF" or place < 0 or size <= place + 8 or int.from_bytes(start[4:8], "little") == size - 8:
        return path
    data = bytearray(path.read_bytes())
    data[place + 4 : place + 8] = b"\xff" * 4
    return io.BytesIO(data)


def write_audio(path_or_file: Path | str | BinaryIO, samples: np.ndarray, sample_rate: int) -> None:
    """Write mono 16-bit PCM: WAV or FLAC by the path's suffix, WAV into an open binary file.

    What `read_audio` gave for a 16-bit file is written back to the same 16-bit values. A path is written atomically.

    Args:
        path_or_file: where to write.
        samples: `(S,)`, clipped to [-1, 1).
        sample_rate: in Hz.

    Raises:
        UserError: the suffix is neither .wav nor .flac, or the file cannot be written.
    """
    pcm = to_pcm(samples)
    if not isinstance(path_or_file, (str, Path)):
        soundfile.write(path_or_file, pcm, sample_rate, format="WAV", subtype="PCM_16")
        return
    path = Path(path_or_file)
    if path.suffix.lower() not in (".wav", ".flac"):
        raise UserError(f"{path}: audio is written as .wav or .flac, not '{path.suffix}'")
    # Encoded in memory, so that a full disk is an OSError of ours and not a half-written file of libsndfile's.
    encoded = io.BytesIO()
    soundfile.write(encoded, pcm, sample_rate, format=path.suffix[1:].upper(), subtype="PCM_16")
    write_atomic(path, encoded.getvalue())


def to_pcm(samples: np.ndarray) -> np.ndarray:
    """Samples (S,), clipped to [-1, 1), as 16-bit integers."""
    return np.clip(np.rint(np.asarray(samples, dtype=np.float64) * 32768), -32768, 32767).astype("<i2")


def streaming_wav_header(sample_rate: int) -> bytes:
    """The header of a mono 16-bit WAV whose length is not known yet: `to_pcm(samples).tobytes()` follow.

    The sizes are the largest that fit, as ffmpeg writes them to a pipe: players then play to the end of the stream.

    Args:
        sample_rate: in Hz.
    """
    unknown = 0xFFFFFFFF
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", unknown, b"WAVE", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16, b"data", unknown),
    )


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate with soxr at its highest quality: linear phase, no delay, no gain.

    Args:
        samples: `(S,)`.
        from_rate: in Hz.
        to_rate: in Hz.

    Returns:
        `(S * to_rate / from_rate,)`, rounded to the nearest length, float32.
    """
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if from_rate == to_rate:
        return samples
    import soxr

    return soxr.resample(samples, from_rate, to_rate, quality="VHQ")


def stream_resampler(from_rate: int, to_rate: int) -> soxr.ResampleStream:
    """A resampler that is given one channel of float32 samples chunk by chunk: `resample_chunk(samples, last)`.

    Args:
        from_rate: in Hz.
        to_rate: in Hz.
    """
    import soxr

    return soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")


def trim_silence(samples: np.ndarray, rate: int, top_db: float = 45.0, margin_seconds: float = 0.1) -> np.ndarray:
    """Cut what is silent at both ends, except for a margin.

    Args:
        samples: `(S,)`.
        rate: in Hz.
        top_db: a 50 ms frame is silent if it is this many dB below the loudest one; 0 trims nothing.
        margin_seconds: how much of the silence stays at either end.

    Returns:
        A view `(S',)` of the samples. Silence throughout gives 0 samples.
    """
    if top_db <= 0 or len(samples) == 0:
        return samples
    if not np.any(samples):
        return samples[:0]
    from librosa.effects import trim

    _, (start, end) = trim(samples, top_db=top_db, frame_length=round(0.05 * rate), hop_length=round(0.0125 * rate))
    margin = round(margin_seconds * rate)
    return samples[max(0, start - margin) : end + margin]


def scale_loudness(samples: np.ndarray, rms_dbfs: float, peak: float = 0.95) -> np.ndarray:
    """Scale to a root-mean-square level, or to the highest level that keeps every sample within the peak.

    Args:
        samples: `(S,)`, not silent.
        rms_dbfs: the level in dB relative to full scale (RMS 1.0).
        peak: the largest absolute sample that scaling up may give.

    Returns:
        `(S,)`.
    """
    rms, highest = np.sqrt(np.mean(np.square(samples, dtype=np.float64))), np.abs(samples).max()
    return samples * np.float32(min(10 ** (rms_dbfs / 20) / rms, peak / highest))


def log_mel(samples: np.ndarray, rate: int) -> np.ndarray:
    """Natural log of the mel magnitude spectrogram: 50 ms Hann window, 12.5 ms hop, 80 channels.

    Args:
        samples: `(S,)`.
        rate: in Hz.

    Returns:
        `(frames, 80)`, float32, frames = 1 + S // hop.
    """
    import torch

    mel = _mel_transform(rate)(torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)))
    return mel.clamp_min(MEL_FLOOR).log().T.numpy()


@functools.lru_cache(maxsize=4)
def _mel_transform(rate: int):
    """The module that `log_mel` applies, kept because its filter bank costs more than a clip."""
    import torchaudio

    window = round(MEL_WINDOW_SECONDS * rate)
    return torchaudio.transforms.MelSpectrogram(
        sample_rate=rate,
        n_fft=1 << (window - 1).bit_length(),
        win_length=window,
        hop_length=round(MEL_HOP_SECONDS * rate),
        f_min=MEL_BAND_HZ[0],
        f_max=min(MEL_BAND_HZ[1], rate / 2),
        n_mels=NUM_MELS,
        power=1.0,
        norm="slaney",
        mel_scale="slaney",
    )
