"""Phonemes from espeak-ng, through phonemizer and the library that espeakng-loader brings along."""

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

# The marks that stay in the phonemes. espeak must not see them, and phonemizer's own way to take them out and put them
# back (preserve_punctuation) comes out misaligned on "19.99." and takes quadratic time, so it is done here. A comma or
# a point between digits belongs to the number.
_MARKS = re.compile(r"((?:\s*(?:[;:!?¡¿—…\"«»“”(){}\[\]]|(?<![0-9])[.,]|[.,](?![0-9])))+\s*)")
_SPACES = re.compile(r"\s+")
# Amid or behind hyphens espeak takes an A for the article, unless a hyphen and a space follow: L-A-P-D, U-S-A law.
_SPELLED_A = re.compile(r"(?<=\w-)A(?:-(?=[A-Z])|(?= ))")
_lock = threading.Lock()  # espeak keeps its voice and its text in global variables


@lru_cache(maxsize=1)
def _espeak() -> type[EspeakBackend]:
    """phonemizer's class of espeak backends, told where the library and its data are."""
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
    logger.propagate = False  # phonemizer warns of each word that espeak says in another language
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

    `[[ipa]]` segments are put in as they stand. White space of all kinds becomes one space.

    Args:
        text: one utterance, already normalised (see `wavetts.text.normalize`).
        language: an espeak language code.
        tie: a sign put between the letters of one phoneme, such as "^" for a^ɪ and t^ʃ.

    Returns:
        The phonemes.

    Raises:
        UserError: espeak does not know the language, nothing in the text can be spoken, or a `[[` is not closed.
    """
    parts = split_inline(text)
    pieces: list[str] = []  # speech and marks by turns, `[[ipa]]` as pieces of their own
    spoken: list[int] = []  # the places of what espeak is to say
    for place, part in enumerate(parts):
        if place % 2:
            pieces.append(part[2:-2].strip())
            continue
        # espeak stops at a NUL, cannot take a lone surrogate, and has no use for other characters that do not print
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
