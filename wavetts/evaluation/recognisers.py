"""Speech recognisers, and the error rates of what they hear; both sides of a comparison are normalised alike."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wavetts.audio.waveform import resample
from wavetts.errors import UserError
from wavetts.extras import missing_extra
from wavetts.text.normalize import normalize

RECOGNISER_RATE = 16000
# The extra that brings each, and its module.
RECOGNISERS = {"pocketsphinx": ("evaluate", "pocketsphinx"), "faster-whisper": ("whisper", "faster_whisper")}

Recogniser = Callable[[np.ndarray, int], str]


def missing_recogniser(name: str, model: Path | None, language: str) -> str | None:
    """Why the recogniser cannot be used, or None if it can.

    Args:
        name: one of RECOGNISERS.
        model: the folder of a faster-whisper model.
        language: espeak code of the language of the texts.

    Raises:
        UserError: recogniser and model do not go together, or the folder holds no model.
    """
    if name == "faster-whisper":
        if model is None:
            raise UserError("the recogniser faster-whisper needs a whisper_model, a folder in CTranslate2's format")
        for file in ("model.bin", "tokenizer.json"):
            if not (model / file).is_file():
                raise UserError(f"whisper_model {model}: no {file} in it; give a folder in CTranslate2's format")
    elif model is not None:
        raise UserError("a whisper_model goes with the recogniser faster-whisper")
    extra, module = RECOGNISERS[name]
    if missing := missing_extra(extra, module, "jiwer"):
        return missing
    if name == "pocketsphinx" and not language.startswith("en"):
        return f"pocketsphinx hears English only, not {language}; use faster-whisper"
    return None


@functools.cache
def build_recogniser(name: str, model: Path | None, language: str) -> Recogniser:
    """Builds a recogniser: a function of samples (S,) and their rate in Hz that returns the words, as `plain_words`.

    Nothing is downloaded: pocketsphinx contains its model of US English, faster-whisper reads the folder `model`.
    The arguments are those of `missing_recogniser`, which must have returned None for them.
    """
    hear = _pocketsphinx() if name == "pocketsphinx" else _faster_whisper(model, language)

    def recognise(samples: np.ndarray, rate: int) -> str:
        return plain_words(hear(np.clip(resample(samples, rate, RECOGNISER_RATE), -1, 1)), language)

    return recognise


def _pocketsphinx() -> Callable[[np.ndarray], str]:
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=RECOGNISER_RATE, loglevel="FATAL", cmn="batch")

    def hear(audio: np.ndarray) -> str:
        # Forgets the channel that it adapted to in the clip before; otherwise results would depend on the order.
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw((audio * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    return hear


def _faster_whisper(folder: Path | None, language: str) -> Callable[[np.ndarray], str]:
    from faster_whisper import WhisperModel

    whisper = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    # English-only models accept no other code.
    code = language.partition("-")[0] if whisper.model.is_multilingual else "en"

    def hear(audio: np.ndarray) -> str:
        segments, _ = whisper.transcribe(audio, language=code, beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text for segment in segments)

    return hear


def error_rates(said: str, heard: str) -> dict[str, float]:
    """Character and word error rates: edits between two texts, divided by the length of the first.

    Args:
        said: the reference, as `plain_words` returns it.
        heard: what the recogniser heard, likewise.

    Returns:
        "chars" and "words": lengths of `said`; "cer" and "wer", which are above 1 if much more was heard than said;
        "deletions" (said and not heard) and "insertions" (heard and not said), words relative to "words". An empty
        dictionary if `said` is empty.
    """
    import jiwer

    if not said:
        return {}
    chars, words = jiwer.process_characters(said, heard), jiwer.process_words(said, heard)
    count = len(said.split())
    return {
        "chars": len(said),
        "words": count,
        "cer": chars.cer,
        "wer": words.wer,
        "deletions": words.deletions / count,
        "insertions": words.insertions / count,
    }


def plain_words(text: str, language: str) -> str:
    """A text as recognisers write it: spoken form, lower case, letters, digits and apostrophes only."""
    words = normalize(text, language).lower().replace("’", "'").replace("-", " ")
    kept = "".join(sign for sign in words if sign in "' " or unicodedata.category(sign)[0] in "LMN")
    return " ".join(kept.split())
