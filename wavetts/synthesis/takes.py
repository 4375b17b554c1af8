"""What is spoken and what comes of it: a text's pieces, their takes, and the result that they are joined to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wavetts.audio.stretch import stretch
from wavetts.synthesis.settings import SynthesisSettings


@dataclass(frozen=True)
class Piece:
    """A part of a text that is spoken in one go: a sentence, or a part of a long one."""

    spoken: str  # normalised
    transcript: str
    tokens: list[int]  # what the model reads: the transcript without unknown symbols
    unknown: list[str]
    seed: int
    starts_paragraph: bool
    written: str = ""  # without markup


@dataclass(frozen=True)
class Take:
    """A piece as it was spoken, in the best of its tries."""

    piece: Piece
    audio: np.ndarray  # (S,) float32 in [-1, 1), at the model's own speed
    alignment: np.ndarray  # (T, I)
    stopped: bool  # by the stop token; False: it ran into its longest duration
    reached_end: bool  # attention came to the last tokens
    coverage: float  # share of the tokens that were attended to
    seed: int  # of this try
    tries: int  # how many there were

    @property
    def complete(self) -> bool:
        """It was read to its end and stopped there."""
        return self.stopped and self.reached_end

    @property
    def quality(self) -> tuple:
        """Orders the tries of a piece."""
        return self.complete, self.reached_end, self.coverage, self.stopped


@dataclass(frozen=True)
class Result:
    """A text as it was spoken.

    Attributes:
        audio: (S,) float32 in [-1, 1).
        sample_rate: in Hz.
        takes: its sentences, in order.
    """

    audio: np.ndarray
    sample_rate: int
    takes: list[Take]

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.audio) / self.sample_rate

    @property
    def stopped(self) -> bool:
        """All sentences ended with a stop token."""
        return all(take.stopped for take in self.takes)

    @property
    def complete(self) -> bool:
        """All sentences were read to their end and stopped there."""
        return all(take.complete for take in self.takes)

    @property
    def tries(self) -> int:
        """The most tries that a sentence took."""
        return max(take.tries for take in self.takes)

    @property
    def seeds(self) -> list[int]:
        """Noise seed of each sentence."""
        return [take.seed for take in self.takes]

    @property
    def spoken(self) -> str:
        """The normalised text."""
        return " ".join(take.piece.spoken for take in self.takes)

    @property
    def transcript(self) -> str:
        """Phonemes or characters, unknown ones among them."""
        return " ".join(take.piece.transcript for take in self.takes)

    @property
    def unknown(self) -> list[str]:
        """Symbols that the model does not know and that were left out."""
        return sorted({symbol for take in self.takes for symbol in take.piece.unknown})

    @property
    def alignment(self) -> np.ndarray:
        """(T, I), the sentences' alignments one after the other, pauses left out."""
        parts = [take.alignment for take in self.takes]
        joined = np.zeros(np.sum([part.shape for part in parts], axis=0), dtype=np.float32)
        frame = token = 0
        for part in parts:
            joined[frame : frame + part.shape[0], token : token + part.shape[1]] = part
            frame, token = frame + part.shape[0], token + part.shape[1]
        return joined

    def report(self) -> dict[str, Any]:
        """The figures of this result, as they are written to report.jsonl."""
        return {
            "seconds": round(self.seconds, 3),
            "spoken": self.spoken,
            "transcript": self.transcript,
            "unknown": self.unknown,
            "complete": self.complete,
            "stopped": self.stopped,
            "coverage": round(min(take.coverage for take in self.takes), 3),
            "tries": [take.tries for take in self.takes],
            "seeds": self.seeds,
        }

    @classmethod
    def join(cls, takes: Sequence[Take], settings: SynthesisSettings, sample_rate: int) -> Result:
        """The result of a text's takes, at the speed that was asked for, with pauses between them."""
        parts = []
        for take in takes:
            if parts:
                parts.append(pause_before(take.piece, settings, sample_rate))
            parts.append(stretch(take.audio, sample_rate, settings.speed))
        return cls(np.concatenate(parts), sample_rate, list(takes))


def pause_before(piece: Piece, settings: SynthesisSettings, sample_rate: int) -> np.ndarray:
    """(S,) of silence between a piece and the one before it; shorter in faster speech."""
    seconds = settings.paragraph_pause if piece.starts_paragraph else settings.sentence_pause
    return np.zeros(round(seconds / settings.speed * sample_rate), dtype=np.float32)
