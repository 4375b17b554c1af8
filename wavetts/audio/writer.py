"""Audio files that are written while their audio is made."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile

from wavetts.audio.waveform import streaming_wav_header, to_pcm
from wavetts.errors import UserError
from wavetts.files import temporary_path

_HEADER_BYTES, _LARGEST = 44, 0xFFFFFFFF


class AudioWriter:
    """A mono 16-bit .wav or .flac that grows under a temporary name and gets its own when it is done.

    A context: at its end, and also when an interrupt (KeyboardInterrupt, SystemExit) ends it, the file is closed and
    renamed, and is valid; after any other exception nothing is left.

    Args:
        path: its folder is made if it is not there; a file of that name is replaced in the end.
        sample_rate: in Hz.

    Attributes:
        samples: how many were written.

    Raises:
        UserError: the suffix is neither .wav nor .flac, or the file cannot be written.
    """

    def __init__(self, path: Path | str, sample_rate: int) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in (".wav", ".flac"):
            raise UserError(f"{path}: audio is written as .wav or .flac, not '{self.path.suffix}'")
        self.samples = 0
        self._place = Path(os.path.realpath(self.path))
        self._temporary = temporary_path(self._place)
        self._wav: BinaryIO | None = None
        self._flac: soundfile.SoundFile | None = None
        with self._writing():
            self._place.parent.mkdir(parents=True, exist_ok=True)
            if self.path.suffix.lower() == ".wav":
                self._wav = self._temporary.open("wb")
                self._wav.write(streaming_wav_header(sample_rate))
            else:
                self._flac = soundfile.SoundFile(self._temporary, "w", sample_rate, 1, "PCM_16", format="FLAC")

    def write(self, samples: np.ndarray) -> None:
        """Appends samples (S,), clipped to [-1, 1); what is on the disk is valid afterwards, even if we are killed."""
        pcm = to_pcm(samples)
        self.samples += len(pcm)
        with self._writing():
            if self._flac is not None:
                self._flac.write(pcm)
                return
            assert self._wav is not None
            self._wav.write(pcm.tobytes())
            size = 2 * self.samples
            for place, value in ((4, size + _HEADER_BYTES - 8), (40, size)):
                self._wav.seek(place)
                self._wav.write(struct.pack("<I", min(value, _LARGEST)))
            self._wav.seek(0, os.SEEK_END)
            self._wav.flush()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        kept = error is None or isinstance(error, (KeyboardInterrupt, SystemExit))
        try:
            if kept:
                self._close()
        finally:
            with contextlib.suppress(OSError, soundfile.SoundFileError):
                if self._wav is not None:
                    self._wav.close()
                if self._flac is not None:
                    self._flac.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink()

    def _close(self) -> None:
        if not self.samples:
            # An empty file is no audio: nothing was spoken yet.
            return
        with self._writing():
            if self._flac is not None:
                self._flac.close()
            else:
                assert self._wav is not None
                os.fsync(self._wav.fileno())
                self._wav.close()
            os.replace(self._temporary, self._place)

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(error.strerror or str(error)) from error
        except (soundfile.SoundFileError, AssertionError) as error:
            # soundfile asserts that all was written, and libsndfile does not say why it was not.
            raise self._failure(os.strerror(errno.ENOSPC)) from error

    def _failure(self, reason: str) -> UserError:
        with contextlib.suppress(OSError):
            self._temporary.unlink()
        return UserError(f"cannot write {self.path}: {reason}; mend that and run the same command again")
