"""Text to speech with a trained model: sentences in batches, tried again where they break off, and joined."""

from __future__ import annotations

import math
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wavetts.checkpoint import LoadedModel, load_model
from wavetts.data import mix_seed
from wavetts.distributed import choose_device
from wavetts.errors import UserError
from wavetts.generate import generate
from wavetts.inputs import SynthesisSettings
from wavetts.objective import alignment_scores
from wavetts.text.normalize import normalize
from wavetts.text.segment import split_text

VOICES = Path(__file__).parent / "voices"
# A sentence may take this many seconds, and this many more for each token. Read speech has 10 to 20 tokens a second:
# the allowance is two to four times that, so that only attention that is lost runs into it.
BASE_SECONDS, TOKEN_SECONDS = 1.0, 0.2
# Longer sentences are split: that is 13 s at a usual pace, near the longest that corpora of read speech have.
MAX_CHARS = 200
# A sentence was read to its end if its last tokens (punctuation and end mark among them) held half of the attention.
END_TOKENS, END_WEIGHT = 3, 0.5
LARGEST_SAMPLE = 1 - 2.0**-15


@dataclass(frozen=True)
class Piece:
    """A part of a text that is spoken in one go: a sentence, or a part of a long one."""

    spoken: str  # normalised
    transcript: str
    tokens: list[int]  # what the model reads: the transcript without unknown symbols
    unknown: list[str]
    seed: int
    starts_paragraph: bool


@dataclass(frozen=True)
class Take:
    """A piece as it was spoken, in the best of its tries."""

    piece: Piece
    audio: np.ndarray  # (S,) float32 in [-1, 1)
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


class Voice:
    """A loaded model that speaks."""

    def __init__(self, loaded: LoadedModel) -> None:
        """Takes a model that `checkpoint.load_model` gave."""
        self.model, self.tokenizer, self.info = loaded.model, loaded.tokenizer, loaded.info
        self.config = loaded.config
        self.sample_rate: int = loaded.config.audio.sample_rate

    def synthesize(
        self,
        items: Sequence[tuple[str, int]],
        settings: SynthesisSettings | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Result]:
        """Speaks texts; what comes of one depends on its text, its seed and the settings, not on the others.

        Args:
            items: texts and their seeds.
            settings: how to speak; None takes the defaults. Its own seed is not used.
            progress: called with the fraction of a text that was finished.

        Raises:
            UserError: there is nothing to speak in a text, or memory is full.
        """
        return self.speak([self.prepare(text, seed) for text, seed in items], settings, progress)

    def prepare(self, text: str, seed: int) -> list[Piece]:
        """Splits a text into what is spoken in one go.

        Symbols that the model has not learnt are left out, with a warning.

        Raises:
            UserError: there is nothing to speak in it.
        """
        pieces: list[Piece] = []
        for paragraph in re.split(r"\n\s*\n", text):
            starts_paragraph = bool(pieces)
            for part in split_text(normalize(paragraph, self.tokenizer.language), MAX_CHARS):
                # A lone dash or bracket is silent.
                if not any(sign.isalnum() for sign in part):
                    continue
                transcript = self.tokenizer.transcribe_spoken(part)
                unknown = self.tokenizer.unknown(transcript)
                if not _has_letter(symbol for symbol in transcript if symbol not in unknown):
                    warnings.warn(f"{_shorten(part)}: left out, this voice knows none of its symbols", stacklevel=2)
                    continue
                tokens = self.tokenizer.encode(transcript, skip_unknown=True)
                piece_seed = mix_seed(seed, len(pieces), part)
                pieces.append(Piece(part, transcript, tokens, unknown, piece_seed, starts_paragraph))
                starts_paragraph = False
        if unknown := sorted({symbol for piece in pieces for symbol in piece.unknown}):
            warnings.warn(
                f"{_shorten(text)}: symbols left out, unknown to this voice: {' '.join(unknown)}", stacklevel=2
            )
        if not pieces:
            raise UserError(f"{_shorten(text)}: nothing to speak in it")
        return pieces

    def speak(
        self,
        texts: Sequence[list[Piece]],
        settings: SynthesisSettings | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Result]:
        """Speaks what `prepare` gave; arguments as for `synthesize`."""
        settings = settings or SynthesisSettings()
        # Without noise every try is the same.
        retries = settings.retries if settings.temperature > 0 else 0
        takes: dict[tuple[int, int], Take] = {}
        pending = [(text, index) for text, pieces in enumerate(texts) for index in range(len(pieces))]
        for attempt in range(retries + 1):
            again = []
            # Sentences of like length share a batch, which lasts as long as its longest.
            pending.sort(key=lambda key: -len(texts[key[0]][key[1]].tokens))
            for batch in chunks(pending, settings.batch_size):
                new = self._speak_batch([texts[text][index] for text, index in batch], attempt, settings)
                for key, take in zip(batch, new, strict=True):
                    best = max(takes.get(key, take), take, key=lambda take: take.quality)
                    takes[key] = Take(**{**vars(best), "tries": attempt + 1})
                    if not take.complete and attempt < retries:
                        again.append(key)
                    elif progress is not None:
                        progress(1 / len(texts[key[0]]))
            pending = again
        return [
            self._join([takes[text, index] for index in range(len(pieces))], settings)
            for text, pieces in enumerate(texts)
        ]

    def _speak_batch(self, pieces: list[Piece], attempt: int, settings: SynthesisSettings) -> list[Take]:
        lengths = torch.tensor([len(piece.tokens) for piece in pieces])
        tokens = torch.zeros(len(pieces), int(lengths.max()), dtype=torch.int64)
        for row, piece in zip(tokens, pieces, strict=True):
            row[: len(piece.tokens)] = torch.tensor(piece.tokens)
        max_frames = [self._most_frames(piece, settings) for piece in pieces]
        seeds = [piece.seed + attempt for piece in pieces]
        try:
            spoken = generate(
                self.model, tokens, lengths, seeds, max_frames, settings.temperature, settings.stop_threshold
            )
        except torch.OutOfMemoryError:
            raise UserError(
                f"the device's memory is full: use --batch-size {max(1, len(pieces) // 2)} or --device cpu"
            ) from None
        takes = []
        rows = zip(pieces, spoken.waveforms, spoken.alignments, spoken.stopped, seeds, strict=True)
        for piece, waveform, alignment, stopped, seed in rows:
            scores = alignment_scores(
                alignment[None], torch.tensor([len(piece.tokens)]), torch.tensor([len(alignment)])
            )
            last = min(END_TOKENS, len(piece.tokens) - 1)
            # Relative to each frame's own sum: a mixture's mass may lie beyond the text's end.
            at_end = (alignment[:, -last:].sum(1) / alignment.sum(1).clamp_min(0.1)).max()
            takes.append(
                Take(
                    piece,
                    audio=waveform.nan_to_num(0.0, 0.0, 0.0).clamp(-1.0, LARGEST_SAMPLE).numpy(),
                    alignment=alignment.numpy(),
                    stopped=stopped,
                    # A model that diverged gave no numbers: try again.
                    reached_end=bool(waveform.isfinite().all() and at_end >= END_WEIGHT),
                    coverage=float(scores["coverage"]),
                    seed=seed,
                    tries=attempt + 1,
                )
            )
        return takes

    def _most_frames(self, piece: Piece, settings: SynthesisSettings) -> int:
        seconds = min(settings.max_seconds, BASE_SECONDS + TOKEN_SECONDS * len(piece.tokens))
        # 0.3 s of 0.1 s frames are three, whatever the floats say.
        return max(1, math.floor(seconds * self.sample_rate / self.model.frame_length + 1e-6))

    def _join(self, takes: list[Take], settings: SynthesisSettings) -> Result:
        parts = [takes[0].audio]
        for take in takes[1:]:
            pause = settings.paragraph_pause if take.piece.starts_paragraph else settings.sentence_pause
            parts += [np.zeros(round(pause * self.sample_rate), dtype=np.float32), take.audio]
        return Result(np.concatenate(parts), self.sample_rate, takes)


def load_voice(voice: str | Path | None = None, device: str = "auto", threads: int = 0) -> Voice:
    """Loads a voice.

    Args:
        voice: a model file, the folder of a training run, or the name of a bundled voice; None takes the first one.
        device: "cpu", "cuda", "cuda:1", "mps"; "auto" takes a GPU if there is one.
        threads: of the CPU; 0 leaves the choice to torch.

    Raises:
        UserError: there is no such voice or device, or the file is damaged.
    """
    path = find_voice(voice)
    if threads:
        torch.set_num_threads(threads)
    place = choose_device(device)
    if place.type == "cuda" and place.index is None:
        # `torchrun` starts a process for each GPU.
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return Voice(load_model(path, place))


def find_voice(voice: str | Path | None) -> Path:
    """The path of a voice; arguments and errors as for `load_voice`."""
    bundled = {path.parent.name: path.parent for path in sorted(VOICES.glob("*/model.safetensors"))}
    if voice is None:
        if not bundled:
            raise UserError(
                "no voice comes with this installation; give one with --voice PATH (a model file or run folder)"
            )
        return next(iter(bundled.values()))
    if Path(voice).exists():
        return Path(voice)
    if str(voice) in bundled:
        return bundled[str(voice)]
    raise UserError(
        f"{voice}: no such model file, run folder or bundled voice ({', '.join(bundled) or 'there are none'})"
    )


def chunks(items: list, size: int) -> Iterator[list]:
    """Cuts a list into lists of `size`, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _has_letter(symbols: Iterable[str]) -> bool:
    """Whether there is something to say; stress and length marks are modifiers."""
    return any(symbol.isalnum() and unicodedata.category(symbol) != "Lm" for symbol in symbols)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else line[:57] + "...")
