"""All measures of one utterance of one system; runs in any process."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wavetts.audio.waveform import read_audio
from wavetts.evaluation.metrics import Features, compare, features
from wavetts.evaluation.quality import dnsmos
from wavetts.evaluation.recognisers import build_recogniser, error_rates, plain_words
from wavetts.evaluation.robustness import boundary_decibels, clipped_samples, noise_seconds, token_health
from wavetts.evaluation.systems import Sentence, Speech

# DNSMOS and F0 are not defined for shorter speech.
SHORTEST_SECONDS = 0.05


@dataclass(frozen=True)
class Parts:
    """Which measures can be computed, and how.

    Attributes:
        recogniser: the arguments of `build_recogniser`; None: no error rates.
        language: espeak code of the language of the texts.
        quality: whether to compute DNSMOS.
        distances: whether to compute the distances from the recording.
        frame_seconds: length of a frame, at whose boundaries clicks are measured; None: not measured.
    """

    recogniser: tuple[str, Path | None, str] | None
    language: str
    quality: bool
    distances: bool
    frame_seconds: float | None


def score_speech(job: tuple[Sentence, Speech, bool, Parts]) -> dict[str, Any]:
    """Measures one utterance.

    Args:
        job: the sentence, its speech, whether to compare it with the recording, and what to measure.

    Returns:
        Figures by the keys of `measures.MEASURES` and of their weights, "said" and "heard"; what cannot be measured is
        left out.
    """
    sentence, speech, against_recording, parts = job
    audio, rate = speech.audio, speech.rate
    heard_anything = len(audio) >= SHORTEST_SECONDS * rate
    row: dict[str, Any] = {"seconds": len(audio) / rate}
    if speech.error is not None:
        row |= {"error": speech.error, "failed": 1.0}
    if heard_anything:
        row |= _soundness(audio, rate, None if speech.result else parts.frame_seconds)
        if parts.quality:
            row |= dnsmos(audio, rate)
        if parts.distances and against_recording and sentence.recording is not None:
            reference, seconds = _recording(sentence.recording)
            row |= compare(reference, features(audio, rate))
            row |= {"recording_seconds": seconds, "duration_ratio": row["seconds"] / seconds}
    if parts.recogniser is not None:
        said = plain_words(sentence.spoken, parts.language)
        heard = build_recogniser(*parts.recogniser)(audio, rate) if heard_anything else ""
        row |= {"said": said, "heard": heard, **error_rates(said, heard)}
    if speech.result is not None:
        row |= _reading(speech, parts)
    return row


@functools.lru_cache(maxsize=2)
def _recording(path: Path) -> tuple[Features, float]:
    """Features and seconds of a recording; cached, as all systems' readings of a sentence are measured in a row."""
    audio, rate = read_audio(path)
    return features(audio, rate), len(audio) / rate


def _soundness(audio: np.ndarray, rate: int, frame_seconds: float | None) -> dict[str, float]:
    clipped = clipped_samples(audio)
    row = {
        "samples": len(audio),
        "clipped": 1e6 * clipped / len(audio),
        "clipped_sentence": float(clipped > 0),
        "noise_seconds": noise_seconds(audio, rate),
    }
    row["noisy"] = float(row["noise_seconds"] > 0)
    return row | _clicks([audio], round(frame_seconds * rate)) if frame_seconds else row


def _clicks(pieces: list[np.ndarray], frame_length: int) -> dict[str, float]:
    levels = [level for piece in pieces if (level := boundary_decibels(piece, frame_length)) is not None]
    return {"boundary_db": sum(levels) / len(levels)} if levels else {}


def _reading(speech: Speech, parts: Parts) -> dict[str, Any]:
    """How completely a model read the sentence; see `robustness.token_health`."""
    result = speech.result
    assert result is not None
    healths = [token_health(take.alignment) for take in result.takes]
    tokens = sum(health["tokens"] for health in healths)
    row: dict[str, Any] = {
        "failed": float(not result.complete),
        "retried": float(result.tries > 1),
        "missing_stop": float(not result.stopped),
        "tokens": tokens,
        "skipped": sum(health["skipped"] for health in healths) / tokens,
        "longest_skip": max(health["longest_skip"] for health in healths),
        "repeated": sum(health["repeated"] for health in healths) / tokens,
        "tries": result.tries,
        "seeds": result.seeds,
    }
    row["skipping"] = float(row["longest_skip"] >= 3)
    if parts.frame_seconds:
        # Pauses between the sentences of a long text need not last whole frames.
        row |= _clicks([take.audio for take in result.takes], round(parts.frame_seconds * speech.rate))
    return row
