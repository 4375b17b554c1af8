"""Transcripts to token indices and back."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

from wavetts.errors import UserError
from wavetts.text.inline import INLINE
from wavetts.text.normalize import FRONT_END_VERSION, normalize
from wavetts.text.phonemes import espeak_version, phonemize

Input = Literal["phonemes", "characters"]
PADDING, BEGIN, END = range(3)  # their indices; longer than one character, so that no text can hold them
_SPECIAL = ("<padding>", "<begin>", "<end>")


@dataclass(frozen=True)
class Tokenizer:
    """The table of symbols of one voice: one symbol is one Unicode code point of a transcript.

    Phoneme transcripts are decomposed first (NFD): a nasal vowel is the vowel and then the tilde, whether espeak or an
    `[[ipa]]` segment wrote it, so that a combining mark learnt on one vowel serves on all. Character transcripts are
    composed (NFC): an accented letter is a symbol of its own.

    Attributes:
        symbols: the table; indices 0, 1, 2 are padding, begin and end.
        input: `phonemes`, or `characters` (lower-cased normalised text).
        language: espeak language code.
        espeak_version: version of espeak-ng that made the training transcripts; empty for characters.
        front_end_version: `FRONT_END_VERSION` at the time of preprocessing; empty for voices made before it existed.
    """

    symbols: tuple[str, ...]
    input: Input
    language: str
    espeak_version: str
    front_end_version: str = ""

    @classmethod
    def build(cls, transcripts: Iterable[str], input: Input, language: str) -> Tokenizer:
        """Makes the symbol table of a training set.

        Args:
            transcripts: results of `transcribe`.
            input: `phonemes` or `characters`.
            language: an espeak language code.

        Raises:
            UserError: no transcripts, or an unknown kind of input.
        """
        _check_input(input)
        found: set[str] = set()
        for transcript in transcripts:
            found.update(_split(transcript, input))
        if not found:
            raise UserError("no symbols: the training transcripts are empty; check the preprocessed data")
        version = espeak_version() if input == "phonemes" else ""
        return cls((*_SPECIAL, *sorted(found)), input, language, version, FRONT_END_VERSION)

    def transcribe(self, text: str) -> str:
        """The transcript of a text: the phonemes, or the lower-case characters, of its spoken form.

        Warns once if the version of the installed espeak-ng or of this front end differs from the voice's.

        Raises:
            UserError: the text has nothing to speak, espeak does not know the language, or the text has `[[ipa]]`
                although the input is characters.
        """
        return self.transcribe_spoken(normalize(text, self.language))

    def transcribe_spoken(self, spoken: str) -> str:
        """The transcript of a normalised text; warns and raises as `transcribe` does."""
        if self.front_end_version not in ("", FRONT_END_VERSION):
            _warn_of_front_end(self.front_end_version)
        if self.input == "phonemes":
            if self.espeak_version != espeak_version():
                _warn_of_version(self.espeak_version, espeak_version())
            return unicodedata.normalize("NFD", phonemize(spoken, self.language))
        inline = INLINE.search(spoken)
        if inline:
            raise UserError(f"{inline[0]!r}: this voice reads characters, [[phonemes]] need one that reads phonemes")
        if not any(char.isalnum() for char in spoken):
            raise UserError(f"nothing to speak in {spoken!r:.60}: there is no letter in it")
        return unicodedata.normalize("NFC", spoken.lower())

    def encode(self, transcript: str, skip_unknown: bool = False) -> list[int]:
        """Token indices of a transcript (the result of `transcribe`), begin and end included.

        Args:
            transcript: phonemes or characters.
            skip_unknown: leave out symbols that are not in the table instead of raising.

        Raises:
            UserError: a symbol is not in the table.
        """
        symbols = _split(transcript, self.input)
        indices = [self._index.get(symbol) for symbol in symbols]
        if None in indices and not skip_unknown:
            place = indices.index(None)
            around = "".join(symbols[max(0, place - 10) : place + 11])
            names = ", ".join(f"{symbol!r} (U+{ord(symbol):04X})" for symbol in self.unknown(transcript)[:5])
            raise UserError(
                f"this voice has no symbol for {names}: first at character {place + 1} of the transcript, near "
                f"{around!r}; write the text in another way"
            )
        return [BEGIN, *(index for index in indices if index is not None), END]

    def unknown(self, transcript: str) -> list[str]:
        """The symbols of a transcript that are not in the table, each once, in order."""
        return [symbol for symbol in dict.fromkeys(_split(transcript, self.input)) if symbol not in self._index]

    def decode(self, indices: Sequence[int]) -> str:
        """The transcript encoded by token indices; padding, begin and end are left out.

        Raises:
            UserError: an index is not in the table.
        """
        wrong = [index for index in indices if not 0 <= index < len(self.symbols)]
        if wrong:
            raise UserError(f"token index {wrong[0]} is outside of this voice's table of {len(self.symbols)} symbols")
        return "".join(self.symbols[index] for index in indices if index >= len(_SPECIAL))

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dictionary for JSON, with `symbols` as a list; `from_dict` reads it."""
        return {**asdict(self), "symbols": list(self.symbols)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Tokenizer:
        """Makes a tokenizer from the result of `to_dict`.

        Raises:
            UserError: a key is missing, or a value is invalid.
        """
        names = ("symbols", "input", "language", "espeak_version")
        missing = [name for name in names if not isinstance(data, dict) or name not in data]
        if missing:
            raise UserError(f"not a tokenizer: {', '.join(missing)} missing; is the file a voice of wavetts?")
        symbols = data["symbols"]
        if not isinstance(symbols, list | tuple) or not all(isinstance(symbol, str) for symbol in symbols):
            raise UserError(f"tokenizer: symbols must be a list of strings, not {symbols!r:.60}")
        if tuple(symbols[: len(_SPECIAL)]) != _SPECIAL:
            raise UserError(f"tokenizer: the first symbols must be {', '.join(_SPECIAL)}, not {symbols[:3]}")
        long = [symbol for symbol in symbols[len(_SPECIAL) :] if len(symbol) != 1]
        if long or len(set(symbols)) < len(symbols):
            raise UserError(f"tokenizer: symbols must be single characters, each once (wrong: {long[:5] or 'repeats'})")
        for name in names[2:]:
            if not isinstance(data[name], str):
                raise UserError(f"tokenizer: {name} must be a string, not {data[name]!r:.60}")
        _check_input(data["input"])
        front_end = data.get("front_end_version", "")
        if not isinstance(front_end, str):
            raise UserError(f"tokenizer: front_end_version must be a string, not {front_end!r:.60}")
        return cls(tuple(symbols), data["input"], data["language"], data["espeak_version"], front_end)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols) if index >= len(_SPECIAL)}


def _split(transcript: str, input: Input) -> list[str]:
    return list(unicodedata.normalize("NFD" if input == "phonemes" else "NFC", transcript))


def _check_input(input: str) -> None:
    if input not in get_args(Input):
        raise UserError(f"unknown input {input!r}: it must be one of {', '.join(get_args(Input))}")


@lru_cache(maxsize=8)
def _warn_of_front_end(trained: str) -> None:
    warnings.warn(
        f"this voice was trained with version {trained} of the text front end, this is version {FRONT_END_VERSION}: "
        "some texts are read in other words",
        stacklevel=3,
    )


@lru_cache(maxsize=8)  # the cache gives one warning for each pair of versions
def _warn_of_version(trained: str, installed: str) -> None:
    warnings.warn(
        f"this voice was trained with espeak-ng {trained}, installed is {installed}: some phonemes may differ",
        stacklevel=3,
    )
