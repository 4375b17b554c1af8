from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from decoding import decode

from wavetts.audio import codecs as encoding
from wavetts.audio.codecs import MEDIA_TYPES, PCM_RATE, StreamEncoder, available_formats, encode, encoded_rate
from wavetts.errors import UserError

RATES = [8000, 16000, 22050, 24000]


def tone(rate: int, seconds: float = 1.3) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(time))
    return (0.3 * np.sin(2 * np.pi * 440 * time) + noise).astype(np.float32)


def stream(samples: np.ndarray, rate: int, format: str, parts: int) -> list[bytes]:
    encoder = StreamEncoder(rate, format)
    return [*(encoder.write(part) for part in np.array_split(samples, parts)), encoder.finish()]


def test_this_libsndfile_writes_every_format():
    assert available_formats() == list(MEDIA_TYPES)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_every_format_decodes(format, rate):
    samples = tone(rate)
    for data in (encode(samples, rate, format), b"".join(stream(samples, rate, format, 33))):
        decoded, decoded_rate = decode(data, format)
        # Opus always decodes to 48 kHz; MP3 and AAC pad to whole packets, which a stream's header does not tell.
        assert len(decoded) / decoded_rate == pytest.approx(1.3, abs=0.3 if format in ("mp3", "aac") else 1e-3)
        power = np.abs(np.fft.rfft(decoded))
        assert power.argmax() * decoded_rate / len(decoded) == pytest.approx(440, abs=2)
        assert np.std(decoded) == pytest.approx(np.std(samples), rel=0.15)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_lossless_formats_keep_16_bits(format):
    samples = np.array([0.0, 0.5, -1.0, 1.5, 1 / 32768, 2 - 2**-20, -3.0], dtype=np.float32)
    read, rate = soundfile.read(io.BytesIO(encode(samples, 16000, format)), dtype="int16")
    assert rate == 16000
    assert read.tolist() == [0, 16384, -32768, 32767, 1, 32767, -32768]


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_stream_does_not_depend_on_its_cuts(format):
    samples = tone(22050)
    few, many = (b"".join(stream(samples, 22050, format, parts)) for parts in (2, 57))
    # The serial number of an Ogg stream is random, and a checksum follows from it.
    if format == "opus":
        np.testing.assert_array_equal(decode(few, format)[0], decode(many, format)[0])
    else:
        assert few == many


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_sound_comes_before_the_end(format):
    """Opus has pages of a second, the others less."""
    parts = stream(tone(16000, 4.0), 16000, format, 100)
    early = sum(map(len, parts[:60]))
    assert early > 0.35 * sum(map(len, parts))


def test_wav_headers():
    samples = tone(8000, 0.1)
    whole, streamed = encode(samples, 8000, "wav"), b"".join(stream(samples, 8000, "wav", 3))
    assert whole[44:] == streamed[44:]
    assert int.from_bytes(whole[4:8], "little") == len(whole) - 8
    assert int.from_bytes(whole[40:44], "little") == 2 * len(samples)
    assert streamed[4:8] == streamed[40:44] == b"\xff\xff\xff\xff"
    assert soundfile.info(io.BytesIO(whole)).frames == len(samples)


def test_rate_is_the_next_that_the_codec_has():
    assert [encoded_rate("opus", rate) for rate in RATES] == [8000, 16000, 24000, 24000]
    assert [encoded_rate("mp3", rate) for rate in RATES] == RATES
    assert [encoded_rate("pcm", rate) for rate in RATES] == [PCM_RATE] * 4
    assert [encoded_rate("wav", rate) for rate in RATES] == RATES
    assert encoded_rate("opus", 96000) == 48000


def test_old_libsndfile_says_what_it_has(monkeypatch):
    monkeypatch.setattr(encoding.soundfile, "available_subtypes", lambda container: {"PCM_16": "", "VORBIS": ""})
    assert available_formats() == ["wav", "pcm", "flac", "aac"]
    with pytest.raises(UserError, match="mp3: not one of the formats here: wav, pcm, flac"):
        StreamEncoder(16000, "mp3")


def test_nothing_to_encode():
    assert encode(np.zeros(0, dtype=np.float32), 16000, "pcm") == b""
    assert soundfile.info(io.BytesIO(encode(np.zeros(0, dtype=np.float32), 16000, "wav"))).frames == 0
