"""The functions behind the demo's buttons: loading voices, speaking, comparing, reading long texts."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wavetts.errors import UserError
from wavetts.model.checkpoint import MODEL_NAME
from wavetts.synthesis.catalog import VoiceEntry, list_voices, models_under
from wavetts.synthesis.settings import SynthesisSettings
from wavetts.synthesis.takes import Piece, Result, pause_before
from wavetts.synthesis.voice import Voice, load_voice

MAX_TEMPERATURE, MAX_GUIDANCE = 1.5, 1.0
# Narrower than what a program may ask for: beyond it speech is hard to follow.
MIN_SPEED, MAX_SPEED = 0.5, 2.0
MAX_SEED = 2**31 - 1
MAX_COMPARED = 4
# The first sound goes out at once; longer chunks later, as each costs the page a message.
_FIRST_SECONDS, _LATER_SECONDS = 0.2, 1.0
# A long text can be stopped so soon.
_PATIENCE_SECONDS = 0.2
_VOICES_KEPT = MAX_COMPARED


@dataclass
class Spoken:
    """Progress of a text that is being spoken.

    Attributes:
        voice: the voice.
        pieces: the sentences, each spoken as one utterance.
        seconds: seconds of speech so far.
        finished: number of finished pieces.
        working: seconds of computation so far.
        first: seconds until the first sound.
        result: the complete result; None until the text is finished.
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


@dataclass(frozen=True)
class Variant:
    """One variant of a comparison: its title, voice and settings."""

    label: str
    voice: str
    settings: SynthesisSettings


class Actions:
    """The voices that a page offers, and the functions that use them."""

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
            models: a folder whose model files (also in subfolders) are offered beside the installed voices.
            device: see `load_voice`.
            threads: see `load_voice`.
            max_chars: longest text of `speak` and `compare`, in characters.
            max_long_chars: longest text of `read`, in characters.

        Raises:
            UserError: there is no voice, or no model in the folder.
        """
        entries = list_voices()
        self._entries = {entry.name: entry for entry in entries}
        self._paths = {entry.name: entry.path for entry in entries}
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
        """Names of the voices, the default one first."""
        return list(self._paths)

    def entry(self, name: str) -> VoiceEntry | None:
        """The catalogue entry of a voice; None for a model file. Raises as `voice` does."""
        self._check_name(name)
        return self._entries.get(name)

    def voice(self, name: str) -> Voice:
        """Loads a voice; recently used ones stay in memory.

        Raises:
            UserError: it is not one of `names`, or its file is damaged.
        """
        self._check_name(name)
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_voice(self._paths[name], self._device, self._threads)
            self._loaded.move_to_end(name)
            while len(self._loaded) > _VOICES_KEPT:
                self._loaded.popitem(last=False)
            return self._loaded[name]

    def speak(self, text: str, name: str, settings: SynthesisSettings) -> Generator[tuple[np.ndarray, Spoken]]:
        """Speaks a text as a stream.

        Args:
            text: the text.
            name: name of the voice.
            settings: synthesis settings.

        Yields:
            The next samples (S,), and how far it has come; last no samples and a `Spoken` with its result.

        Raises:
            UserError: the text is empty or too long, or there is no such voice.
        """
        if len(text or "") > self.max_chars:
            raise UserError(
                f"the text has {len(text)} characters, the most here are {self.max_chars}; "
                "nothing was cut: shorten it, or take it to 'Read a long text'"
            )
        self._check_text(text)
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
                    # Time that the page spends between two chunks does not count.
                    started = time.perf_counter()
                if chunk is None:
                    break
        finally:
            stream.close()
        spoken.finished, spoken.result = len(stream.takes), stream.result
        yield np.zeros(0, dtype=np.float32), spoken

    def read(self, text: str, name: str, settings: SynthesisSettings) -> Generator[tuple[np.ndarray, Spoken]]:
        """Reads a long text, a sentence at a time; one that breaks off is tried again before it is heard.

        Arguments and errors as for `speak`.

        Yields:
            The next samples (S,), and how far it has come: each sentence with the pause before it, with the last one a
            `Spoken` with its result; and no samples before the first one and while a sentence takes its time.
        """
        if len(text or "") > self.max_long_chars:
            raise UserError(
                f"the text has {len(text)} characters, the most here are {self.max_long_chars}; "
                "nothing was cut: read it in parts, or with `wavetts synthesize`"
            )
        self._check_text(text)
        started, takes = time.perf_counter(), []
        voice = self.voice(name)
        spoken = Spoken(voice, voice.prepare(text, settings.seed))
        spoken.working = time.perf_counter() - started
        yield np.zeros(0, dtype=np.float32), spoken
        # In a thread, so that closing the generator does not wait for the current sentence.
        speaker = ThreadPoolExecutor(1, "wavetts-read")
        try:
            for piece in spoken.pieces:
                speaking = speaker.submit(_timed, voice.speak, [[piece]], settings)
                while not wait([speaking], _PATIENCE_SECONDS).done:
                    yield np.zeros(0, dtype=np.float32), spoken
                (result,), seconds = speaking.result()
                spoken.working += seconds
                spoken.first = spoken.first or spoken.working
                pause = [pause_before(piece, settings, voice.sample_rate)] if takes else []
                takes += result.takes
                samples = np.concatenate([*pause, result.audio])
                spoken.finished += 1
                spoken.seconds += len(samples) / voice.sample_rate
                if len(takes) == len(spoken.pieces):
                    spoken.result = Result.join(takes, settings, voice.sample_rate)
                yield samples, spoken
        finally:
            speaker.shutdown(wait=False, cancel_futures=True)

    def compare(self, text: str, variants: Sequence[Variant]) -> Iterator[tuple[Variant, Spoken]]:
        """Speaks a text once in each variant, one after the other, without new tries for sentences that break off.

        Raises:
            UserError: the text, a voice or a setting is invalid.
        """
        if len(text or "") > self.max_chars:
            raise UserError(f"the text has {len(text)} characters, the most here are {self.max_chars}; shorten it")
        self._check_text(text)
        for variant in variants:
            voice = self.voice(variant.voice)
            started = time.perf_counter()
            pieces = voice.prepare(text, variant.settings.seed)
            (result,) = voice.speak([pieces], dataclasses.replace(variant.settings, retries=0))
            working = time.perf_counter() - started
            yield variant, Spoken(voice, pieces, result.seconds, len(pieces), working, result=result)

    def variants(self, what: str, values: Sequence[str] | str, name: str, settings: SynthesisSettings) -> list[Variant]:
        """Makes the variants of a comparison.

        Args:
            what: "voices", "temperatures" or "seeds".
            values: names of voices, or numbers with commas or spaces between.
            name: name of the voice, unless voices are compared.
            settings: settings of all variants, except for the compared one. If voices are compared, each one has its
                own default temperature and guidance.

        Raises:
            UserError: a value is no number or out of range, there is no such voice, or there are too many.
        """
        words = values.replace(",", " ").replace(";", " ").split() if isinstance(values, str) else values or []
        if not 1 <= len(words) <= MAX_COMPARED:
            raise UserError(f"choose 1 to {MAX_COMPARED} {what} to compare; there are {len(words)}")
        if what == "voices":
            own = dataclasses.replace(settings, temperature=None, guidance=None)
            for word in words:
                self._check_name(word)
            return [Variant(word, word, own) for word in words]
        variants = []
        for word in words:
            try:
                number = float(word)
            except ValueError:
                raise UserError(f"{word[:20]!r} is not a number; give {what} such as 0, 1") from None
            if what == "seeds":
                changed = dataclasses.replace(settings, seed=_seed(number))
                variants.append(Variant(f"Seed {changed.seed}", name, changed))
            else:
                changed = dataclasses.replace(settings, temperature=_within("temperature", number, 0, MAX_TEMPERATURE))
                variants.append(Variant(f"Temperature {number:g}", name, changed))
        return variants

    def _check_name(self, name: str) -> None:
        if name not in self._paths:
            raise UserError(f"no voice {str(name)[:60]!r} here; choose one of {', '.join(self.names)}")

    @staticmethod
    def _check_text(text: str) -> None:
        if not (text or "").strip():
            raise UserError("no text: write something to say")


def page_settings(
    temperature: float, guidance: float, speed: float, stop_threshold: float, seed: float
) -> SynthesisSettings:
    """Synthesis settings from the fields of the page.

    Raises:
        UserError: a field is empty or out of range.
    """
    return SynthesisSettings(
        temperature=_within("temperature", temperature, 0, MAX_TEMPERATURE),
        guidance=_within("guidance", guidance, 0, MAX_GUIDANCE),
        speed=_within("speed", speed, MIN_SPEED, MAX_SPEED),
        stop_threshold=_within("stop threshold", stop_threshold, 0.01, 0.99),
        seed=_seed(seed),
    )


def _timed(function: Callable, *arguments: Any) -> tuple[Any, float]:
    """Calls a function; returns its result and the seconds that it took."""
    started = time.perf_counter()
    return function(*arguments), time.perf_counter() - started


def _within(name: str, value: float | None, low: float, high: float) -> float:
    # An emptied field is None.
    if value is None or not low <= value <= high:
        raise UserError(f"{name}: {value} is not between {low} and {high}")
    return value


def _seed(value: float | None) -> int:
    if value is None or not 0 <= value <= MAX_SEED or value != int(value):
        raise UserError(f"seed: {value} is not a whole number between 0 and {MAX_SEED}")
    return int(value)


def _name_under(folder: Path, path: Path) -> str:
    """A model's name in a folder of models: that of its own folder, or of the file if there are several."""
    if path.name != MODEL_NAME:
        return str(path.relative_to(folder))
    return folder.resolve().name if path.parent == folder else str(path.parent.relative_to(folder))
