"""Audio that goes to its file while it is made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from wavetts.audio.waveform import read_audio, write_audio
from wavetts.audio.writer import AudioWriter
from wavetts.errors import UserError

RATE = 8000
SAMPLES = (0.5 * np.sin(np.arange(3 * RATE) / 7)).astype(np.float32)
PARTS = np.split(SAMPLES, [1, 5000, 5001])


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_parts_are_the_whole(tmp_path: Path, suffix: str):
    path = tmp_path / "new" / f"a{suffix}"
    with AudioWriter(path, RATE) as writer:
        for part in PARTS:
            writer.write(part)
        assert not path.exists()
    assert writer.samples == len(SAMPLES)
    write_audio(tmp_path / f"b{suffix}", SAMPLES, RATE)
    np.testing.assert_array_equal(read_audio(path)[0], read_audio(tmp_path / f"b{suffix}")[0])
    assert read_audio(path)[1] == RATE
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    if suffix == ".wav":
        assert path.read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_keeps_what_was_spoken(tmp_path: Path, suffix: str, interrupt: type):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(interrupt), AudioWriter(path, RATE) as writer:
        writer.write(SAMPLES[:100])
        writer.write(SAMPLES[100:700])
        raise interrupt
    assert len(read_audio(path)[0]) == 700
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [UserError("x"), KeyboardInterrupt()])
def test_a_mistake_or_nothing_leaves_nothing_and_an_earlier_file(tmp_path: Path, error: BaseException):
    path = tmp_path / "a.wav"
    path.write_bytes(b"earlier")
    with pytest.raises(type(error)), AudioWriter(path, RATE) as writer:
        if isinstance(error, UserError):
            writer.write(SAMPLES)
        raise error
    assert path.read_bytes() == b"earlier"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_temporary_file_is_valid_after_every_write(tmp_path: Path):
    """Whenever we are killed."""
    with AudioWriter(tmp_path / "a.wav", RATE) as writer:
        for part in PARTS:
            writer.write(part)
            (temporary,) = tmp_path.iterdir()
            copy = tmp_path / "copy.wav"
            copy.write_bytes(temporary.read_bytes())
            assert len(read_audio(copy)[0]) == writer.samples
            copy.unlink()


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "real" / "b.wav")
    with AudioWriter(tmp_path / "link.wav", RATE) as writer:
        writer.write(SAMPLES)
    assert (tmp_path / "link.wav").is_symlink()
    assert len(read_audio(tmp_path / "real" / "b.wav")[0]) == len(SAMPLES)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_full_disk_is_told_in_a_line(small_disk: Path, suffix: str):
    noise = np.random.default_rng(0).uniform(-1, 1, 50_000).astype(np.float32)
    with (
        pytest.raises(UserError, match=rf"cannot write .*a\{suffix}: No space left on device"),
        AudioWriter(small_disk / f"a{suffix}", RATE) as writer,
    ):
        for _ in range(10):
            writer.write(noise)
    assert list(small_disk.iterdir()) == []
    subprocess.run(["sync"], check=True)


def test_other_formats_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"audio is written as \.wav or \.flac, not '\.mp3'"):
        AudioWriter(tmp_path / "a.mp3", RATE)
