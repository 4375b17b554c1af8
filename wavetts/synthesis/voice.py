"""Text to speech with a trained model: sentences are generated in batches, retried if they break off, and joined."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import unicodedata
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from wavetts.errors import UserError
from wavetts.model.checkpoint import MODEL_NAME, LoadedModel, load_model
from wavetts.model.device import choose_device
from wavetts.model.generate import Engine
from wavetts.runtime.engine import build_engine
from wavetts.seeds import mix_seed
from wavetts.synthesis.catalog import find_voice, voice_folders
from wavetts.synthesis.scheduler import Event, Scheduler, Task
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Result, Take
from wavetts.text.normalize import explain, sentences

# Longer sentences are split. This is 13 s at an average rate, near the longest utterances of corpora of read speech.
MAX_CHARS = 200


class Voice:
    """A trained model and the engine that generates its speech."""

    def __init__(self, loaded: LoadedModel, engine: Engine, path: Path | None = None) -> None:
        """Takes what `checkpoint.load_model` gave, an engine of it (`runtime.engine.build_engine`), and its file."""
        self.path = path
        self.model, self.tokenizer, self.info, self.engine = loaded.model, loaded.tokenizer, loaded.info, engine
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
        """Speaks texts; a result depends on its text, its seed and the settings, not on the other texts.

        Args:
            items: pairs of a text and a seed.
            settings: how to speak; None takes the defaults. Its seed is not used.
            progress: called with each finished fraction of a text.

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
        """The list of `pieces`."""
        return list(self.pieces(text, seed))

    def pieces(self, text: str, seed: int) -> Iterator[Piece]:
        """Splits a text into sentences and converts each to tokens when it is requested.

        Symbols that the model does not have are left out, with a warning at the end.

        Raises:
            UserError: there is nothing to speak in the text.
        """
        count, starts_paragraph, unknown_ones = 0, False, set()
        for sentence in sentences(text, self.tokenizer.language, MAX_CHARS):
            part = sentence.spoken
            starts_paragraph = starts_paragraph or (sentence.starts_paragraph and count > 0)
            # A lone dash or bracket is silent.
            if not any(sign.isalnum() for sign in part):
                continue
            transcript = self.tokenizer.transcribe_spoken(part)
            unknown = self.tokenizer.unknown(transcript)
            if not _has_letter(symbol for symbol in transcript if symbol not in unknown):
                warnings.warn(f"{_shorten(part)}: left out, this voice knows none of its symbols", stacklevel=2)
                continue
            tokens = self.tokenizer.encode(transcript, skip_unknown=True)
            unknown_ones |= {*unknown}
            piece_seed = mix_seed(seed, count, part)
            yield Piece(part, transcript, tokens, unknown, piece_seed, starts_paragraph, sentence.written)
            count, starts_paragraph = count + 1, False
        if not count:
            raise UserError(f"{_shorten(text)}: nothing to speak in it")
        if unknown_ones:
            names = " ".join(sorted(unknown_ones))
            warnings.warn(f"{_shorten(text)}: symbols left out, unknown to this voice: {names}", stacklevel=2)

    def explain(self, text: str) -> list[tuple[str, str, str]]:
        """For each token of a text: as written, its class, and what is said for it."""
        return explain(text, self.tokenizer.language)

    def speak(
        self,
        texts: Sequence[list[Piece]],
        settings: SynthesisSettings | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Result]:
        """Speaks the results of `prepare`; other arguments as for `synthesize`."""
        settings = settings or SynthesisSettings()
        keys = [(text, index) for text, pieces in enumerate(texts) for index in range(len(pieces))]
        # The longest first, so that no long one is left alone in the end, and with like ones beside it: less padding.
        keys.sort(key=lambda key: -len(texts[key[0]][key[1]].tokens))
        takes: dict[tuple[int, int], Take] = {}
        for key, take in zip(keys, self.takes((texts[text][index] for text, index in keys), settings), strict=True):
            takes[key] = take
            if progress is not None:
                progress(1 / len(texts[key[0]]))
        return [
            Result.join([takes[text, index] for index in range(len(pieces))], settings, self.sample_rate)
            for text, pieces in enumerate(texts)
        ]

    def results(self, texts: Iterable[list[Piece]], settings: SynthesisSettings | None = None) -> Iterator[Result]:
        """Speaks texts that `prepare` gave, their sentences `settings.batch_size` at once over all texts.

        A text is asked for as places become free, so that there may be any number of them.

        Yields:
            The result of each text, in their order, when all of its sentences are spoken.

        Raises:
            UserError: memory is full, or what `texts` raises.
        """
        settings = settings or SynthesisSettings()
        sizes: deque[int] = deque()

        def all_pieces() -> Iterator[Piece]:
            for pieces in texts:
                sizes.append(len(pieces))
                yield from pieces

        takes: list[Take] = []
        for take in self.takes(all_pieces(), settings):
            takes.append(take)
            if len(takes) == sizes[0]:
                sizes.popleft()
                yield Result.join(takes, settings, self.sample_rate)
                takes = []

    def takes(self, pieces: Iterable[Piece], settings: SynthesisSettings | None = None) -> Iterator[Take]:
        """Speaks pieces, `settings.batch_size` at once; those that broke off are tried again.

        Pieces are asked for as places become free, so that there may be any number of them.

        Yields:
            The best take of each piece, in their order, when it is certain.

        Raises:
            UserError: memory is full, or what `pieces` raises.
        """
        settings = self.settled(settings)
        for events in self._run(Task(self.engine, self.sample_rate, iter(pieces), settings), settings.batch_size):
            yield from (event for event in events if isinstance(event, Take))

    def _run(self, task: Task, batch_size: int) -> Iterator[list[Event]]:
        """Runs a task in a scheduler of its own; yields the events of each step."""
        scheduler = Scheduler(batch_size)
        scheduler.add(task)
        while scheduler.tasks:
            events = [event for _, event in scheduler.step()]
            error = next((event for event in events if isinstance(event, Exception)), None)
            if isinstance(error, torch.OutOfMemoryError):
                raise UserError(
                    f"the device's memory is full: take a batch_size below {batch_size}, or the cpu as the device"
                ) from None
            if error is not None:
                raise error
            yield events

    def stream(
        self, text: str, seed: int | None = None, settings: SynthesisSettings | None = None, keep: bool = True
    ) -> Stream:
        """Speaks a text and gives the audio while it is made: one frame after the other, pauses between sentences.

        The chunks together are what `synthesize` returns with `retries=0`. A sentence that breaks off is not tried
        again; see `stream.result.complete`.

        Args:
            text: what to say.
            seed: of the noise; None takes the settings' one.
            settings: how to speak; None takes the defaults. Retries and batch size are not used.
            keep: what was spoken for `stream.result`; False takes no memory for it.

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
        return Stream(self, self.prepare(text, settings.seed if seed is None else seed), settings, keep)

    @functools.cached_property
    def fingerprint(self) -> str:
        """What decides how it sounds besides settings and text: a hash of the model's file and the kind of engine."""
        file = hashlib.sha256(self.path.read_bytes()).hexdigest()[:16] if self.path is not None else "no file"
        return f"{file} {self.engine.name}"

    def settled(self, settings: SynthesisSettings | None = None) -> SynthesisSettings:
        """Settings (None: the defaults) with the model's temperature and guidance where they are None."""
        settings, synthesis = settings or SynthesisSettings(), self.config.synthesis
        own = {"temperature": synthesis.temperature, "guidance": synthesis.guidance}
        missing = {name: value for name, value in own.items() if getattr(settings, name) is None}
        return dataclasses.replace(settings, **missing)


class Stream(Iterator[np.ndarray]):
    """An iterator over chunks (S,) float32 in [-1, 1) of a text that is being spoken; see `Voice.stream`."""

    def __init__(self, voice: Voice, pieces: list[Piece], settings: SynthesisSettings, keep: bool = True) -> None:
        """Takes what `Voice.prepare` gave, and whether audio and alignments are kept for `result`."""
        self._keep = keep
        self.sample_rate = voice.sample_rate
        self.pieces = pieces
        self.takes: list[Take] = []  # of the sentences that are finished
        self._settings = settings
        self._chunks = self._speak(voice)

    def __next__(self) -> np.ndarray:
        return next(self._chunks)

    def close(self) -> None:
        """Ends the generation; there are no further chunks."""
        self._chunks.close()

    @property
    def result(self) -> Result | None:
        """The finished sentences, joined; None before the first one is finished."""
        return Result.join(self.takes, self._settings, self.sample_rate) if self.takes else None

    def _speak(self, voice: Voice) -> Generator[np.ndarray]:
        settings = voice.settled(self._settings)
        task = Task(voice.engine, voice.sample_rate, iter(self.pieces), settings, stream=True)
        # One sentence at a time: the sooner its sound is there.
        for events in voice._run(task, 1):
            # Before the last chunk is given away, so that who has it finds the result complete.
            takes = [event for event in events if isinstance(event, Take)]
            self.takes += takes if self._keep else [take.without_sound() for take in takes]
            yield from (event for event in events if isinstance(event, np.ndarray))


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
        threads: of torch on the CPU while the voice speaks; 0: one where the C kernel does the work, else torch's
            choice.
        precision: of the large matrices: "int8" speaks at several times the speed on CPUs; "auto" takes it there. The
            model itself stays as it is.

    Raises:
        UserError: there is no such voice or device, the file is damaged, or the device has no such precision.
    """
    path = find_voice(voice)
    place = choose_device(device)
    if place.type == "cuda" and place.index is None:
        # `torchrun` starts a process for each GPU.
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if precision == "int8" and place.type != "cpu":
        raise UserError(f"precision int8 is for CPUs, not for {place}; use float32")
    loaded = load_model(path, place, voice_folders())
    file = path / MODEL_NAME if path.is_dir() else path
    return Voice(loaded, build_engine(loaded.model, precision, threads), file)


def _has_letter(symbols: Iterable[str]) -> bool:
    """Whether there is a letter among the symbols; stress and length marks are modifiers."""
    return any(symbol.isalnum() and unicodedata.category(symbol) != "Lm" for symbol in symbols)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else line[:57] + "...")
