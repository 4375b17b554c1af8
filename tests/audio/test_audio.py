from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from paths import DATA

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
from wavetts.errors import UserError

CLIP = DATA / "ljspeech/wavs/LJ001-0008.wav"


def sine(frequency: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_a_16_bit_file_is_read_and_written_exactly(tmp_path, suffix):
    samples, rate = read_audio(CLIP)
    assert rate == 22050 and samples.dtype == np.float32 and samples.shape == (39325,)
    write_audio(tmp_path / f"copy{suffix}", samples, rate)
    original, _ = soundfile.read(CLIP, dtype="int16")
    copy, copy_rate = soundfile.read(tmp_path / f"copy{suffix}", dtype="int16")
    assert copy_rate == rate
    np.testing.assert_array_equal(copy, original)
    assert [path.name for path in tmp_path.iterdir()] == [f"copy{suffix}"]


def test_every_16_bit_value_survives_and_louder_ones_are_clipped():
    values = np.arange(-32768, 32768)
    file = io.BytesIO()
    write_audio(file, np.concatenate([values / 32768, [1.0, 1.5, -1.5]]).astype(np.float32), 8000)
    file.seek(0)
    written, rate = soundfile.read(file, dtype="int16")
    assert rate == 8000
    np.testing.assert_array_equal(written[:-3], values)
    assert written[-3:].tolist() == [32767, 32767, -32768]


def test_channels_are_averaged(tmp_path):
    left, right = sine(440, 16000), sine(660, 16000, level=0.25)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    samples, _ = read_audio(tmp_path / "stereo.wav")
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-7)


def test_audio_that_is_missing_or_no_audio(tmp_path):
    with pytest.raises(UserError, match=r"none\.wav: no such file"):
        read_audio(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not audio at all")
    with pytest.raises(UserError, match=r"text\.wav: not readable as audio"):
        read_audio(tmp_path / "text.wav")
    (tmp_path / "empty.flac").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.flac: not readable"):
        read_audio(tmp_path / "empty.flac")


def test_a_file_that_is_cut_off(tmp_path):
    whole = CLIP.read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.wav: the file is cut off \(196\d\d samples are left\)"):
        read_audio(tmp_path / "cut.wav")
    write_audio(tmp_path / "whole.flac", *read_audio(CLIP))
    whole = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.flac"):
        read_audio(tmp_path / "cut.flac")


@pytest.mark.parametrize("riff_size", [0, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("data_size", [0, 2_000_000_000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_that_came_out_of_a_pipe_is_whole(tmp_path, data_size, riff_size):
    """Servers write the header before they know its sizes, each in its own way."""
    data = bytearray(CLIP.read_bytes())
    position = data.index(b"data") + 4
    data[4:8], data[position : position + 4] = riff_size.to_bytes(4, "little"), data_size.to_bytes(4, "little")
    (tmp_path / "piped.wav").write_bytes(data)
    np.testing.assert_array_equal(read_audio(tmp_path / "piped.wav")[0], read_audio(CLIP)[0])


def test_an_empty_wav_stays_empty(tmp_path):
    write_audio(tmp_path / "empty.wav", np.zeros(0), 8000)
    data = bytearray((tmp_path / "empty.wav").read_bytes()) + b"LIST\x04\0\0\0INFO"
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    (tmp_path / "empty.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "empty.wav")[0]) == 0


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_compressed_audio_is_read(tmp_path, suffix):
    samples = sine(440, 16000)
    soundfile.write(tmp_path / f"a{suffix}", samples, 16000)
    read, rate = read_audio(tmp_path / f"a{suffix}")
    assert rate == 16000
    assert len(read) == pytest.approx(len(samples), abs=3000)
    assert np.sqrt(np.mean(read**2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=0.1)


def test_a_wav_that_is_written_piece_by_piece(tmp_path):
    samples = sine(440, 16000)
    data = streaming_wav_header(16000) + b"".join(to_pcm(part).tobytes() for part in np.split(samples, 10))
    (tmp_path / "stream.wav").write_bytes(data)
    read, rate = read_audio(tmp_path / "stream.wav")
    assert rate == 16000
    write_audio(tmp_path / "whole.wav", samples, 16000)
    np.testing.assert_array_equal(read, read_audio(tmp_path / "whole.wav")[0])


def test_writing_where_it_cannot_be(tmp_path):
    with pytest.raises(UserError, match=r"written as \.wav or \.flac, not '\.mp3'"):
        write_audio(tmp_path / "x.mp3", np.zeros(10), 8000)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_audio(tmp_path / "file" / "x.wav", np.zeros(10), 8000)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(22050, 24000), (22050, 16000), (16000, 48000), (48000, 22050)])
def test_resampling_keeps_frequency_level_and_time(from_rate, to_rate):
    out = resample(sine(1000, from_rate), from_rate, to_rate)
    assert out.dtype == np.float32 and len(out) == to_rate
    middle = slice(to_rate // 10, -to_rate // 10)
    np.testing.assert_allclose(out[middle], sine(1000, to_rate)[middle], atol=1e-6)


def test_resampling_down_takes_out_what_would_alias():
    out = resample(sine(10000, 24000), 24000, 16000)
    assert np.abs(out[2000:-2000]).max() < 1e-6


def test_resampling_to_the_same_rate_changes_nothing():
    samples, rate = read_audio(CLIP)
    np.testing.assert_array_equal(resample(samples, rate, rate), samples)


def test_trimming_keeps_the_speech_and_the_margin():
    rate, silence = 16000, np.zeros(16000, np.float32)
    samples = np.concatenate([silence, sine(300, rate, 0.5), silence])
    trimmed = trim_silence(samples, rate, 45, 0.1)
    # 0.5 s of sound, 0.1 s on either side, to within the 50 ms frame.
    assert 0.7 <= len(trimmed) / rate <= 0.8
    start = np.flatnonzero(trimmed)[0] / rate
    assert 0.09 <= start <= 0.15
    np.testing.assert_array_equal(trimmed[trimmed != 0], samples[samples != 0])


def test_trimming_nothing_and_everything():
    samples, rate = read_audio(CLIP)
    assert len(trim_silence(samples, rate, 0)) == len(samples)
    assert len(trim_silence(np.zeros(8000, np.float32), rate)) == 0
    assert len(trim_silence(samples[:0], rate)) == 0


def test_loudness_reaches_the_level_unless_the_peak_forbids_it():
    quiet = sine(300, 16000, level=0.01)
    assert 20 * np.log10(np.sqrt(np.mean(scale_loudness(quiet, -23.0) ** 2))) == pytest.approx(-23, abs=0.01)
    assert np.abs(scale_loudness(quiet, -1.0)).max() == pytest.approx(0.95, abs=1e-4)


def test_log_mel_has_its_shape_and_a_tone_where_it_belongs():
    from librosa import mel_frequencies

    mel = log_mel(sine(1000, 24000), 24000)
    assert mel.shape == (1 + 24000 // 300, 80) and mel.dtype == np.float32
    centres = mel_frequencies(82, fmin=125, fmax=7600)[1:-1]
    assert centres[mel[40].argmax()] == pytest.approx(1000, rel=0.04)
    # Twice the amplitude is log(2) more.
    louder = log_mel(sine(1000, 24000, level=1.0), 24000)
    assert louder[40].max() - mel[40].max() == pytest.approx(np.log(2), abs=1e-3)
    assert log_mel(np.zeros(16000, np.float32), 16000).max() == pytest.approx(np.log(1e-5))
