"""What the demo's buttons do, without the page: voices by name, speech as it is made, comparisons, long texts."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wavetts.errors import UserError
from wavetts.model.checkpoint import MODEL_NAME
from wavetts.synthesis.catalog import list_voices, models_under
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Result
from wavetts.synthesis.voice import Voice, load_voice

MAX_TEMPERATURE = 1.5
MAX_SEED = 2**31 - 1
MAX_COMPARED = 6
# Long texts: as many sentences at once as keep the progress moving.
_SENTENCES_AT_ONCE = 8
# The first sound goes out at once; longer chunks later, as each costs the page a message.
_FIRST_SECONDS, _LATER_SECONDS = 0.2, 1.0
_VOICES_KEPT = 4


@dataclass
class Spoken:
    """How far a text has come: what is known grows until `result` is there.

    Attributes:
        voice: who speaks.
        pieces: what is spoken in one go each.
        seconds: of speech so far.
        finished: how many of the pieces are spoken.
        working: seconds of computation so far.
        first: seconds until the first sound.
        result: when all is spoken; None before.
    """

    voice: Voice
    pieces: Sequence[Piece]
    seconds: float = 0.0
    finished: int = 0
    working: float = 0.0
    first: float = 0.0
    result: Result | None = field(default=None, repr=False)

    @property
    def real_time_factor(self) -> float:
        """Seconds of computation for a second of speech."""
        return self.working / max(self.seconds, 1e-9)


class Actions:
    """The voices that a page offers, and what it does with them."""

    def __init__(
        self,
        models: Path | None = None,
        device: str = "auto",
        threads: int = 0,
        max_chars: int = 600,
        max_long_chars: int = 20_000,
    ) -> None:
        """Finds the voices.

        Args:
            models: a folder; the model files in and below it are offered beside the voices that have a name.
            device: as for `load_voice`.
            threads: as for `load_voice`.
            max_chars: the longest text.
            max_long_chars: the longest text of `read`.

        Raises:
            UserError: there is no voice, or no model in the folder.
        """
        self._paths = {entry.name: entry.path for entry in list_voices()}
        if models is not None:
            for path in models_under(models):
                self._paths[_name_under(models, path)] = path
        if not self._paths:
            raise UserError("no voice comes with this installation; name a folder of models")
        self._device, self._threads = device, threads
        self.max_chars, self.max_long_chars = max_chars, max_long_chars
        self._loaded: OrderedDict[str, Voice] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Of the voices, the default one first."""
        return list(self._paths)

    def temperature(self, name: str) -> float:
        """A voice's own temperature; errors as `voice`."""
        return self.voice(name).settled().temperature

    def voice(self, name: str) -> Voice:
        """Loads a voice; those that were used last are kept.

        Raises:
            UserError: it is not one of `names`, or its file is damaged.
        """
        if name not in self._paths:
            raise UserError(f"no voice {str(name)[:60]!r} here; choose one of {', '.join(self.names)}")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_voice(self._paths[name], self._device, self._threads)
            self._loaded.move_to_end(name)
            while len(self._loaded) > _VOICES_KEPT:
                self._loaded.popitem(last=False)
            return self._loaded[name]

    def speak(
        self, text: str, name: str, temperature: float, stop_threshold: float, seed: float
    ) -> Iterator[tuple[np.ndarray, Spoken]]:
        """Speaks a text while it is heard.

        Args:
            text: what to say.
            name: of the voice.
            temperature: std of the base noise.
            stop_threshold: stop-token probability at which a sentence ends.
            seed: of the noise.

        Yields:
            The next samples (S,), and how far it has come; last no samples and a `Spoken` with its result.

        Raises:
            UserError: something of that cannot be used.
        """
        self._check_text(text, self.max_chars)
        settings = self._settings(temperature, stop_threshold, seed)
        started = time.perf_counter()
        voice = self.voice(name)
        stream = voice.stream(text, settings=settings)
        spoken = Spoken(voice, stream.pieces)
        waiting: list[np.ndarray] = []
        try:
            while True:
                chunk = next(stream, None)
                now = time.perf_counter()
                spoken.working, started = spoken.working + now - started, now
                spoken.first = spoken.first or spoken.working
                if chunk is not None:
                    waiting.append(chunk)
                    spoken.seconds += len(chunk) / voice.sample_rate
                    least = _FIRST_SECONDS if spoken.seconds < _LATER_SECONDS else _LATER_SECONDS
                    if sum(map(len, waiting)) < least * voice.sample_rate:
                        continue
                if waiting:
                    yield np.concatenate(waiting), spoken
                    waiting = []
                    # What the page does meanwhile is no work of the voice's.
                    started = time.perf_counter()
                if chunk is None:
                    break
        finally:
            stream.close()
        spoken.finished, spoken.result = len(stream.takes), stream.result
        yield np.zeros(0, dtype=np.float32), spoken

    def compare(
        self, text: str, name: str, settings: Sequence[SynthesisSettings]
    ) -> Iterator[tuple[SynthesisSettings, Spoken]]:
        """Speaks a text with each of some settings, one after the other, each in one try: what is compared is the rule.

        Raises:
            UserError: something of that cannot be used.
        """
        self._check_text(text, self.max_chars)
        voice = self.voice(name)
        for one in settings:
            started = time.perf_counter()
            pieces = voice.prepare(text, one.seed)
            (result,) = voice.speak([pieces], dataclasses.replace(one, retries=0))
            working = time.perf_counter() - started
            yield one, Spoken(voice, pieces, result.seconds, len(pieces), working, result=result)

    def compared(self, what: str, values: str, temperature: float, seed: float) -> list[SynthesisSettings]:
        """The settings that a list of values asks for.

        Args:
            what: "temperatures" or "seeds".
            values: numbers with commas or spaces between.
            temperature: of all where the seeds are compared.
            seed: of all where the temperatures are compared.

        Raises:
            UserError: a value is no number or out of range, or there are too many.
        """
        words = values.replace(",", " ").replace(";", " ").split()
        if not 1 <= len(words) <= MAX_COMPARED:
            raise UserError(f"give 1 to {MAX_COMPARED} {what} with commas between; there are {len(words)}")
        numbers = []
        for word in words:
            try:
                numbers.append(float(word))
            except ValueError:
                raise UserError(f"{word[:20]!r} is not a number; give {what} such as 0.5, 0.7") from None
        if what == "seeds":
            return [self._settings(temperature, 0.5, number) for number in numbers]
        return [self._settings(number, 0.5, seed) for number in numbers]

    def read(self, text: str, name: str, temperature: float, seed: float) -> Iterator[Spoken]:
        """Reads a long text, some sentences at once; those that break off are tried again.

        Yields:
            How far it has come, first before anything is spoken; last a `Spoken` with its result.

        Raises:
            UserError: something of that cannot be used.
        """
        self._check_text(text, self.max_long_chars)
        settings, voice = self._settings(temperature, 0.5, seed), self.voice(name)
        pieces = voice.prepare(text, settings.seed)
        spoken, takes = Spoken(voice, pieces), []
        yield spoken
        started = time.perf_counter()
        for take in voice.takes(pieces, dataclasses.replace(settings, batch_size=_SENTENCES_AT_ONCE)):
            takes.append(take)
            spoken.working += time.perf_counter() - started
            spoken.finished = len(takes)
            spoken.seconds += len(take.audio) / voice.sample_rate
            if len(takes) == len(pieces):
                spoken.result = Result.join(takes, settings, voice.sample_rate)
            yield spoken
            # What the page does meanwhile is no work of the voice's.
            started = time.perf_counter()

    def _check_text(self, text: str, longest: int) -> None:
        if not (text or "").strip():
            raise UserError("no text: write something to say")
        if len(text) > longest:
            raise UserError(f"the text has {len(text)} characters, the most here are {longest}")

    def _settings(self, temperature: float, stop_threshold: float, seed: float) -> SynthesisSettings:
        # A field that was emptied is None.
        if temperature is None or not 0 <= temperature <= MAX_TEMPERATURE:
            raise UserError(f"temperature: {temperature} is not between 0 and {MAX_TEMPERATURE}")
        if seed is None or not 0 <= seed <= MAX_SEED or seed != int(seed):
            raise UserError(f"seed: {seed} is not a whole number between 0 and {MAX_SEED}")
        return SynthesisSettings(temperature=temperature, stop_threshold=stop_threshold, seed=int(seed))


def _name_under(folder: Path, path: Path) -> str:
    """A model's name in a folder of models: that of its own folder, or of the file if there are several."""
    if path.name != MODEL_NAME:
        return str(path.relative_to(folder))
    return folder.resolve().name if path.parent == folder else str(path.parent.relative_to(folder))
