"""Phonemes from espeak-ng, through phonemizer and the espeak-ng library of the package espeakng-loader."""

from __future__ import annotations

import logging
import re
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from wavetts.errors import UserError
from wavetts.text.inline import split_inline

if TYPE_CHECKING:
    from phonemizer.backend import EspeakBackend

# Punctuation marks that are kept in the phonemes. The text is split at them before espeak reads it: phonemizer's own
# preserve_punctuation is misaligned on "19.99." and takes quadratic time. A comma or a point between digits belongs to
# the number.
_MARKS = re.compile(r"((?:\s*(?:[;:!?¡¿—…\"«»“”(){}\[\]]|(?<![0-9])[.,]|[.,](?![0-9])))+\s*)")
_SPACES = re.compile(r"\s+")
# After a hyphen espeak reads A as the article unless a hyphen and a space follow it: L-A-P-D, U-S-A law.
_SPELLED_A = re.compile(r"(?<=\w-)A(?:-(?=[A-Z])|(?= ))")
_lock = threading.Lock()  # espeak keeps its voice and its text in global variables


@lru_cache(maxsize=1)
def _espeak() -> type[EspeakBackend]:
    """phonemizer's espeak backend class, with the paths of the library and its data set."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend


@lru_cache(maxsize=1)
def espeak_version() -> str:
    """The version of the espeak-ng library, such as `1.52.0`: phonemes differ between versions."""
    return ".".join(map(str, _espeak().version()))


@lru_cache(maxsize=1)
def supported_languages() -> tuple[str, ...]:
    """The codes of espeak's languages, sorted."""
    return tuple(sorted(_espeak().supported_languages()))


@lru_cache(maxsize=16)
def _backend(language: str, tie: str | None) -> EspeakBackend:
    if language not in supported_languages():
        raise UserError(f"espeak has no language {language!r}; {_suggestion(language)}")
    logger = logging.getLogger("wavetts.espeak")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False  # phonemizer warns about each word that espeak reads in another language
    return _espeak()(
        language,
        with_stress=True,
        tie=tie or False,
        language_switch="remove-flags",
        words_mismatch="ignore",
        logger=logger,
    )


def _suggestion(language: str) -> str:
    import difflib

    known = supported_languages()
    wanted = language.lower().replace("_", "-")
    near = [code for code in known if code.split("-")[0] == wanted.split("-")[0]]
    near.sort(key=lambda code: (code != wanted, len(code)))
    near += [code for code in difflib.get_close_matches(wanted, known, n=3, cutoff=0.5) if code not in near]
    return f"did you mean {', '.join(near[:6])}?" if near else "en-us, en-gb, fr-fr, es, it, ru and de are some of them"


def phonemize(text: str, language: str = "en-us", tie: str | None = None) -> str:
    """Phonemes of one utterance, in IPA with stress marks, spaces between words, and the punctuation of the text.

    `[[ipa]]` segments are copied unchanged. Runs of white space become one space.

    Args:
        text: one utterance, already normalised (see `wavetts.text.normalize`).
        language: an espeak language code.
        tie: a character to put between the letters of one phoneme, such as "^" for a^ɪ and t^ʃ.

    Returns:
        The phonemes.

    Raises:
        UserError: espeak does not know the language, the text has nothing to speak, or it has a `[[` without `]]`.
    """
    parts = split_inline(text)
    pieces: list[str] = []  # speech and punctuation in alternation; each `[[ipa]]` segment is a piece
    spoken: list[int] = []  # the indices of the pieces that espeak reads
    for place, part in enumerate(parts):
        if place % 2:
            pieces.append(part[2:-2].strip())
            continue
        # espeak stops at a NUL character and fails on a lone surrogate: unprintable characters are removed
        if language.startswith("en"):
            part = _SPELLED_A.sub(lambda match: "A- " if match[0] == "A-" else "A-", part)
        part = "".join(char for char in _SPACES.sub(" ", part) if char.isprintable())
        for turn, piece in enumerate(_MARKS.split(part)):
            if turn % 2 == 0 and piece.strip():
                spoken.append(len(pieces))
            pieces.append(piece)

    with _lock:
        said = _backend(language, tie).phonemize([pieces[place].strip() for place in spoken], strip=True)
    assert len(said) == len(spoken), f"phonemizer gave {len(said)} outputs for {len(spoken)} inputs: {text!r}"
    for place, phonemes in zip(spoken, said, strict=True):
        piece = pieces[place]
        pieces[place] = piece[: len(piece) - len(piece.lstrip())] + phonemes + piece[len(piece.rstrip()) :]
    if not any(said) and len(parts) == 1:
        raise UserError(f"nothing to speak in {text!r:.60}: espeak has no phonemes for it in {language}")
    return _SPACES.sub(" ", "".join(pieces)).strip()
