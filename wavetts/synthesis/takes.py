"""The parts of a text (pieces), the audio of each (takes), and the result of the whole text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wavetts.audio.stretch import stretch
from wavetts.model.alignment import alignment_scores
from wavetts.model.generate import Generation
from wavetts.synthesis.settings import SynthesisSettings

# Limit of a sentence's duration in seconds: a constant, and seconds per token. Read speech has 10 to 20 tokens per
# second; the limit is two to four times that, so that only sentences whose attention is lost reach it.
BASE_SECONDS, TOKEN_SECONDS = 1.0, 0.2
# A sentence was read to its end if this share of its last frame's attention is at its last tokens (with punctuation and
# end mark) or beyond. Of 100 recordings, teacher forced, 98 meet it.
END_TOKENS, END_WEIGHT = 5, 0.4


@dataclass(frozen=True)
class Piece:
    """A part of a text that is generated at once: a sentence, or a part of a long one."""

    spoken: str  # normalised
    transcript: str
    tokens: list[int]  # what the model reads: the transcript without unknown symbols
    unknown: list[str]
    seed: int
    starts_paragraph: bool
    written: str = ""  # without markup


@dataclass(frozen=True)
class Take:
    """The audio of a piece, from the best of its tries."""

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
        """Whether it was read to its end and ended by the stop token."""
        return self.stopped and self.reached_end

    @property
    def quality(self) -> tuple:
        """A key that orders the tries of a piece; the largest is the best."""
        return self.complete, self.reached_end, self.coverage, self.stopped

    def better(self, later: Take) -> Take:
        """The better of this take and that of a later try, with the number of tries."""
        return dataclasses.replace(max(self, later, key=lambda take: take.quality), tries=later.tries)

    def without_sound(self) -> Take:
        """What is said of it, without audio and alignment, which take memory."""
        return dataclasses.replace(self, audio=np.zeros(0, np.float32), alignment=np.zeros((0, 0), np.float32))


def new_generation(piece: Piece, settings: SynthesisSettings, attempt: int, frame_rate: float) -> Generation:
    """Creates a try of a piece for `RunningBatch`; every attempt has a seed of its own.

    Args:
        piece: what to speak.
        settings: how to speak; temperature and guidance must not be None.
        attempt: number of the try, from 0.
        frame_rate: frames per second.
    """
    seconds = min(settings.max_seconds, BASE_SECONDS + TOKEN_SECONDS * len(piece.tokens))
    # Rounding must not make two frames of 0.3 s of 0.1 s frames.
    max_frames = max(1, math.floor(seconds * frame_rate + 1e-6))
    assert settings.temperature is not None and settings.guidance is not None
    options = (settings.temperature, settings.guidance, settings.stop_threshold)
    return Generation(piece.tokens, piece.seed + attempt, max_frames, *options)


def judge(piece: Piece, spoken: Generation, attempt: int = 0) -> Take:
    """Makes a take of a finished generation, with figures of how well it was read; it has at least one frame."""
    alignment = torch.from_numpy(spoken.alignment)
    scores = alignment_scores(alignment[None], torch.tensor([len(piece.tokens)]), torch.tensor([len(alignment)]))
    last = min(END_TOKENS, len(piece.tokens) - 1)
    # The weights of a mixture sum to less than 1 if part of its mass is beyond the text.
    at_end = 1 - float(alignment[-1, :-last].sum())
    return Take(
        piece,
        audio=spoken.waveform,
        alignment=spoken.alignment,
        stopped=spoken.stopped,
        reached_end=at_end >= END_WEIGHT and not spoken.diverged,
        coverage=float(scores["coverage"]),
        seed=spoken.seed,
        tries=attempt + 1,
    )


@dataclass(frozen=True)
class Result:
    """The speech of a text.

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
        """Duration in seconds."""
        return len(self.audio) / self.sample_rate

    @property
    def stopped(self) -> bool:
        """Whether all sentences were ended by the stop token."""
        return all(take.stopped for take in self.takes)

    @property
    def complete(self) -> bool:
        """Whether all sentences are complete, see `Take.complete`."""
        return all(take.complete for take in self.takes)

    @property
    def tries(self) -> int:
        """The largest number of tries of a sentence."""
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
        """Phonemes or characters, including unknown ones."""
        return " ".join(take.piece.transcript for take in self.takes)

    @property
    def unknown(self) -> list[str]:
        """Symbols that were left out because the model does not have them."""
        return sorted({symbol for take in self.takes for symbol in take.piece.unknown})

    @property
    def alignment(self) -> np.ndarray:
        """(T, I), block-diagonal: the alignments of the sentences, without pauses."""
        parts = [take.alignment for take in self.takes]
        joined = np.zeros(np.sum([part.shape for part in parts], axis=0), dtype=np.float32)
        frame = token = 0
        for part in parts:
            joined[frame : frame + part.shape[0], token : token + part.shape[1]] = part
            frame, token = frame + part.shape[0], token + part.shape[1]
        return joined

    def report(self) -> dict[str, Any]:
        """The figures that are written to report.jsonl."""
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
        """Joins the takes of a text with pauses, at the speed of the settings."""
        parts = []
        for take in takes:
            if parts:
                parts.append(pause_before(take.piece, settings, sample_rate))
            parts.append(stretch(take.audio, sample_rate, settings.speed))
        return cls(np.concatenate(parts), sample_rate, list(takes))


def pause_before(piece: Piece, settings: SynthesisSettings, sample_rate: int) -> np.ndarray:
    """Silence (S,) between a piece and the one before it; shorter in faster speech."""
    seconds = settings.paragraph_pause if piece.starts_paragraph else settings.sentence_pause
    return silence(seconds / settings.speed, sample_rate)


def silence(seconds: float, sample_rate: int) -> np.ndarray:
    """(S,) zeros."""
    return np.zeros(round(seconds * sample_rate), dtype=np.float32)
