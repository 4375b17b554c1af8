"""What is spoken and what comes of it: a text's pieces, their takes, and the result that they are joined to."""

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

# A sentence may take this many seconds, and this many more for each token. Read speech has 10 to 20 tokens a second:
# the allowance is two to four times that, so that only attention that is lost runs into it.
BASE_SECONDS, TOKEN_SECONDS = 1.0, 0.2
# A sentence was read to its end if so much of its last frame's attention was at its last tokens (punctuation and end
# mark among them) or beyond: teacher forced, 98 of 100 recordings meet it.
END_TOKENS, END_WEIGHT = 5, 0.4


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

    def better(self, later: Take) -> Take:
        """The better of this and a later try, which counts the tries."""
        return dataclasses.replace(max(self, later, key=lambda take: take.quality), tries=later.tries)

    def without_sound(self) -> Take:
        """What is said of it, without audio and alignment, which take memory."""
        return dataclasses.replace(self, audio=np.zeros(0, np.float32), alignment=np.zeros((0, 0), np.float32))


def new_generation(piece: Piece, settings: SynthesisSettings, attempt: int, frame_rate: float) -> Generation:
    """A try of a piece, for `RunningBatch`; every attempt has noise of its own.

    Args:
        piece: what to say.
        settings: how, with temperature and guidance that are not None.
        attempt: from 0.
        frame_rate: frames per second.
    """
    seconds = min(settings.max_seconds, BASE_SECONDS + TOKEN_SECONDS * len(piece.tokens))
    # 0.3 s of 0.1 s frames are three, whatever the floats say.
    max_frames = max(1, math.floor(seconds * frame_rate + 1e-6))
    assert settings.temperature is not None and settings.guidance is not None
    options = (settings.temperature, settings.guidance, settings.stop_threshold)
    return Generation(piece.tokens, piece.seed + attempt, max_frames, *options)


def judge(piece: Piece, spoken: Generation, attempt: int = 0) -> Take:
    """A piece as it was spoken and how well it was read; `spoken` has a frame at least."""
    alignment = torch.from_numpy(spoken.alignment)
    scores = alignment_scores(alignment[None], torch.tensor([len(piece.tokens)]), torch.tensor([len(alignment)]))
    last = min(END_TOKENS, len(piece.tokens) - 1)
    # What is missing of a mixture's mass lies beyond the text.
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
    return silence(seconds / settings.speed, sample_rate)


def silence(seconds: float, sample_rate: int) -> np.ndarray:
    """(S,) zeros."""
    return np.zeros(round(seconds * sample_rate), dtype=np.float32)
