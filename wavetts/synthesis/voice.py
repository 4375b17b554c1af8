"""Text to speech with a trained model: sentences in batches, tried again where they break off, and joined."""

from __future__ import annotations

import dataclasses
import math
import os
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from wavetts.audio.stretch import Stretcher
from wavetts.errors import UserError
from wavetts.model.alignment import alignment_scores
from wavetts.model.checkpoint import LoadedModel, load_model
from wavetts.model.device import choose_device
from wavetts.model.generate import RunningBatch, Utterance, generate
from wavetts.runtime.int8 import quantize_weights
from wavetts.seeds import mix_seed
from wavetts.synthesis.catalog import find_voice, voice_folders
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Result, Take, pause_before
from wavetts.text.normalize import explain, sentences

# A sentence may take this many seconds, and this many more for each token. Read speech has 10 to 20 tokens a second:
# the allowance is two to four times that, so that only attention that is lost runs into it.
BASE_SECONDS, TOKEN_SECONDS = 1.0, 0.2
# Longer sentences are split: that is 13 s at a usual pace, near the longest that corpora of read speech have.
MAX_CHARS = 200
# A sentence was read to its end if so much of its last frame's attention was at its last tokens (punctuation and end
# mark among them) or beyond: teacher forced, 98 of 100 recordings meet it.
END_TOKENS, END_WEIGHT = 5, 0.4


class Voice:
    """A loaded model that speaks."""

    def __init__(self, loaded: LoadedModel) -> None:
        """Takes a model that `checkpoint.load_model` gave."""
        self.model, self.tokenizer, self.info = loaded.model, loaded.tokenizer, loaded.info
        self.config = loaded.config
        self.sample_rate: int = loaded.config.audio.sample_rate

    def say(self, text: str, seed: int | None = None, settings: SynthesisSettings | None = None) -> np.ndarray:
        """Speaks one text.

        Args:
            text: what to say.
            seed: of the noise; None takes the settings' one.
            settings: how to speak; None takes the defaults.

        Returns:
            (S,) float32 in [-1, 1), at `sample_rate`.

        Raises:
            UserError: there is nothing to speak in the text, or memory is full.

        Example:
            >>> from wavetts import SynthesisSettings, load_voice
            >>> voice = load_voice()
            >>> audio = voice.say("Hello there.", seed=1, settings=SynthesisSettings(temperature=0.5))
            >>> audio.dtype, audio.shape == voice.say("Hello there.", 1, SynthesisSettings(temperature=0.5)).shape
            (dtype('float32'), True)
        """
        settings = settings or SynthesisSettings()
        (result,) = self.synthesize([(text, settings.seed if seed is None else seed)], settings)
        return result.audio

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

        Example:
            >>> from wavetts import load_voice
            >>> results = load_voice().synthesize([("One. Two.", 0), ("Three.", 0)])
            >>> [len(result.takes) for result in results]
            [2, 1]
            >>> frames, tokens = results[0].alignment.shape
        """
        return self.speak([self.prepare(text, seed) for text, seed in items], settings, progress)

    def prepare(self, text: str, seed: int) -> list[Piece]:
        """Splits a text into what is spoken in one go.

        Symbols that the model has not learnt are left out, with a warning.

        Raises:
            UserError: there is nothing to speak in it.
        """
        pieces: list[Piece] = []
        starts_paragraph = False
        for sentence in sentences(text, self.tokenizer.language, MAX_CHARS):
            part = sentence.spoken
            starts_paragraph = starts_paragraph or (sentence.starts_paragraph and bool(pieces))
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
            pieces.append(Piece(part, transcript, tokens, unknown, piece_seed, starts_paragraph, sentence.written))
            starts_paragraph = False
        if unknown := sorted({symbol for piece in pieces for symbol in piece.unknown}):
            warnings.warn(
                f"{_shorten(text)}: symbols left out, unknown to this voice: {' '.join(unknown)}", stacklevel=2
            )
        if not pieces:
            raise UserError(f"{_shorten(text)}: nothing to speak in it")
        return pieces

    def explain(self, text: str) -> list[tuple[str, str, str]]:
        """What the front end makes of each token of a text: as written, its class, what is said for it."""
        return explain(text, self.tokenizer.language)

    def speak(
        self,
        texts: Sequence[list[Piece]],
        settings: SynthesisSettings | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Result]:
        """Speaks what `prepare` gave; arguments as for `synthesize`."""
        settings = self.settled(settings)
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
            Result.join([takes[text, index] for index in range(len(pieces))], settings, self.sample_rate)
            for text, pieces in enumerate(texts)
        ]

    def stream(self, text: str, seed: int | None = None, settings: SynthesisSettings | None = None) -> Stream:
        """Speaks a text and gives the audio while it is made: one frame after the other, pauses between sentences.

        Together the chunks are what `synthesize` gives with `retries=0`: what was heard cannot be tried again, so a
        sentence that broke off stays as it is (`stream.result.complete` tells).

        Args:
            text: what to say.
            seed: of the noise; None takes the settings' one.
            settings: how to speak; None takes the defaults. Retries and batch size are not used.

        Returns:
            An iterator over (S,) float32 in [-1, 1). Nothing is computed before the first chunk is asked for, nor after
            the stream is closed.

        Raises:
            UserError: there is nothing to speak in the text.

        Example:
            >>> from wavetts import load_voice
            >>> stream = load_voice().stream("Hello there. Goodbye.")
            >>> for chunk in stream:
            ...     samples = chunk.tobytes()  # to a player, a socket ...
            >>> len(stream.result.takes)
            2
        """
        settings = settings or SynthesisSettings()
        return Stream(self, self.prepare(text, settings.seed if seed is None else seed), settings)

    def settled(self, settings: SynthesisSettings | None = None) -> SynthesisSettings:
        """The settings, or the defaults, with the model's own temperature and guidance where none are asked for."""
        settings, synthesis = settings or SynthesisSettings(), self.config.synthesis
        own = {"temperature": synthesis.temperature, "guidance": synthesis.guidance}
        missing = {name: value for name, value in own.items() if getattr(settings, name) is None}
        return dataclasses.replace(settings, **missing)

    def utterance(self, piece: Piece, settings: SynthesisSettings, attempt: int = 0) -> Utterance:
        """A piece for `RunningBatch`; every attempt has noise of its own."""
        settings = self.settled(settings)
        seconds = min(settings.max_seconds, BASE_SECONDS + TOKEN_SECONDS * len(piece.tokens))
        # 0.3 s of 0.1 s frames are three, whatever the floats say.
        max_frames = max(1, math.floor(seconds * self.sample_rate / self.model.frame_length + 1e-6))
        options = (settings.temperature, settings.guidance, settings.stop_threshold)
        return Utterance(piece.tokens, piece.seed + attempt, max_frames, *options)

    def take(self, piece: Piece, spoken: Utterance, attempt: int = 0) -> Take:
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

    def _speak_batch(self, pieces: list[Piece], attempt: int, settings: SynthesisSettings) -> list[Take]:
        utterances = [self.utterance(piece, settings, attempt) for piece in pieces]
        try:
            generate(self.model, utterances)
        except torch.OutOfMemoryError:
            raise UserError(
                f"the device's memory is full: use --batch-size {max(1, len(pieces) // 2)} or --device cpu"
            ) from None
        return [self.take(piece, spoken, attempt) for piece, spoken in zip(pieces, utterances, strict=True)]


class Stream(Iterator[np.ndarray]):
    """A text that is being spoken, as an iterator over its chunks (S,) float32 in [-1, 1); see `Voice.stream`."""

    def __init__(self, voice: Voice, pieces: list[Piece], settings: SynthesisSettings) -> None:
        """Takes what `Voice.prepare` gave."""
        self.sample_rate = voice.sample_rate
        self.pieces = pieces
        self.takes: list[Take] = []  # of the sentences that are finished
        self._settings = settings
        self._chunks = self._speak(voice)

    def __next__(self) -> np.ndarray:
        return next(self._chunks)

    def close(self) -> None:
        """Stops the work; there are no further chunks."""
        self._chunks.close()

    @property
    def result(self) -> Result | None:
        """The sentences that are finished, joined; None before the first one is."""
        return Result.join(self.takes, self._settings, self.sample_rate) if self.takes else None

    def _speak(self, voice: Voice) -> Iterator[np.ndarray]:
        batch = RunningBatch(voice.model)
        for number, piece in enumerate(self.pieces):
            if number:
                yield pause_before(piece, self._settings, self.sample_rate)
            utterance = voice.utterance(piece, self._settings)
            stretcher = Stretcher(self.sample_rate, self._settings.speed)
            batch.add([utterance])
            while spoken := batch.step():
                chunk = stretcher.write(spoken[0][1])
                # Before the last chunk is given away, so that who has it finds the result complete.
                if utterance.ended:
                    self.takes.append(voice.take(piece, utterance))
                    if len(rest := stretcher.finish()):
                        chunk = np.concatenate([chunk, rest])
                if len(chunk):
                    yield chunk


def load_voice(
    voice: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "float32", "int8"] = "auto",
) -> Voice:
    """Loads a voice.

    Args:
        voice: the name of a voice (`list_voices`), a model file, or the folder of a training run; None takes the
            default voice.
        device: "cpu", "cuda" or "cuda:1"; "auto" takes a GPU if there is one.
        threads: of the CPU; 0 leaves the choice to torch.
        precision: of the large matrices: "int8" (`quantize.quantize_weights`) speaks at several times the speed on
            CPUs and cannot be trained or scored; "auto" takes it there.

    Raises:
        UserError: there is no such voice or device, the file is damaged, or the device has no such precision.
    """
    path = find_voice(voice)
    if threads:
        torch.set_num_threads(threads)
    place = choose_device(device)
    if place.type == "cuda" and place.index is None:
        # `torchrun` starts a process for each GPU.
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if precision == "int8" and place.type != "cpu":
        raise UserError(f"--precision int8 is for CPUs, not for {place}; leave it out")
    loaded = load_model(path, place, voice_folders())
    if precision == "int8" or (precision == "auto" and place.type == "cpu"):
        quantize_weights(loaded.model)
    return Voice(loaded)


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
