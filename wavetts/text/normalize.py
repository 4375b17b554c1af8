"""Text as people write it to text as it is spoken: the way through the front end.

Markup goes first (`markup`), then blocks and sentences are found on the written text (`segment`), then each sentence is
folded and its tokens are classified and said once (`tokens`, with the rules of `english` or `locales`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wavetts.errors import UserError
from wavetts.text.fold import fold
from wavetts.text.inline import PHONEMES, split_inline
from wavetts.text.markup import plain_text
from wavetts.text.segment import Block, blocks, fit, sentence_spans
from wavetts.text.tokens import Scanner, Token, join

# Raised whenever the spoken form of some text changes: a voice should be spoken to in the way that it was taught.
FRONT_END_VERSION = "2"

_SPACE_BEFORE = re.compile(r" +(?=[,.;:!?)](?:[^\w.]|$))")
_SPACE_AFTER = re.compile(r"(?<=\() +")
_MISSING_SPACE = re.compile(r"(?<=[^\W\d_])([,;!?])(?=[^\W\d_])")
_SPACES = re.compile(" {2,}")
_ENDED = re.compile(r"[.!?…:;,—][\"'”’»)\]]*$|[。！？｡।॥؟]$|\]\]$")


@dataclass(frozen=True)
class Sentence:
    """One piece of a text that is spoken in one go.

    Attributes:
        written: as it was written, without markup, characters folded.
        spoken: as it is spoken.
        starts_paragraph: it is the first of its paragraph, and not of the text.
    """

    written: str
    spoken: str
    starts_paragraph: bool


def normalize(text: str, language: str = "en-us") -> str:
    """Writes a text out as it is spoken: `Dr. Smith paid $5.` -> `Doctor Smith paid five dollars.`

    HTML and Markdown go, Unicode is folded (see `wavetts.text.fold`), line breaks become spaces. English (`en*`):
    numbers, dates, times, money, units, codes, mathematics, abbreviations, Roman numerals, symbols and addresses become
    words. Other languages: numbers, dates, amounts and so on as far as CLDR or num2words know them. Case and accents
    stay, acronyms (`FBI`) are left to espeak. `[[ipa]]` segments stay as they are.

    Args:
        text: any text.
        language: an espeak language code, such as `en-us`, `en-gb` or `fr-fr`.

    Returns:
        The spoken form on one line; empty if there is nothing in the text. Paragraphs and list items without a mark at
        their end get a full stop, if something follows.

    Raises:
        UserError: the text is no string, or a `[[` is not closed.
    """
    parts: list[str] = []
    block = 0
    for sentence in _said(text, language):
        if parts and sentence.block != block and not _ENDED.search(parts[-1][-4:]):
            parts[-1] += "."
        block = sentence.block
        parts.append(sentence.spoken)
    return " ".join(parts)


def sentences(text: str, language: str = "en-us", max_chars: int = 300) -> list[Sentence]:
    """Splits a written text into what is spoken in one go, and says each piece.

    The ends of sentences, paragraphs and list items are found on the text as it is written; a sentence whose spoken
    form is too long is cut between tokens, at the best pause near its middle.

    Args:
        text: any text.
        language: an espeak language code.
        max_chars: the most characters in the spoken form of a piece; only an `[[ipa]]` segment may be longer.

    Returns:
        The pieces in order; what has nothing to say is left out.

    Raises:
        UserError: the text is no string, a `[[` is not closed, or max_chars is below 1.
    """
    if max_chars < 1:
        raise UserError(f"max_chars is {max_chars}: the pieces of a text need at least 1 character")
    return list(_said(text, language, max_chars))


def explain(text: str, language: str = "en-us") -> list[tuple[str, str, str]]:
    """What the front end makes of each token of a text.

    Args:
        text: any text.
        language: an espeak language code.

    Returns:
        For each token: as it was written (without markup, characters folded), its class (`word`, `number`, `date`,
        `mark`, ...), and what is said for it.

    Raises:
        UserError: as of `normalize`.

    Example:
        >>> from wavetts.text.normalize import explain
        >>> explain("Call 911.")
        [('Call', 'word', 'Call'), ('911', 'code', 'nine one one'), ('.', 'mark', '.')]
    """
    found = []
    protected, segments = _protect(text)
    waiting = iter(segments)
    for _, shown, _, tokens in _scanned(protected, language):
        for token in tokens:
            if token.kind == "phonemes":
                found.append((segment := next(waiting), "phonemes", segment))
            else:
                found.append((shown[token.start : token.end], token.kind, token.spoken))
    return found


def _protect(text: str) -> tuple[str, list[str]]:
    """Puts one sign in the place of each `[[ipa]]` segment, which nothing of the front end may touch."""
    if not isinstance(text, str):
        raise UserError(f"a text must be a string, not {type(text).__name__} ({text!r:.40})")
    parts = split_inline(text.replace(PHONEMES, ""))
    return PHONEMES.join(parts[::2]), parts[1::2]


def _scanner(language: str) -> Scanner:
    if language.split("-")[0] == "en":
        from wavetts.text.english import scanner
    else:
        from wavetts.text.locales import scanner
    return scanner(language)


def _scanned(text: str, language: str) -> Iterator[tuple[Block, str, str, list[Token]]]:
    """Block, folded text, text that was scanned (of the same length), and the tokens, for each sentence."""
    scanner = _scanner(language)
    for block in blocks(plain_text(text)):
        shown = fold(block.text).strip()
        folded = scanner.prepare(shown)
        for start, end in sentence_spans(folded, language):
            yield block, shown, folded, scanner.scan(folded, start, end)


@dataclass(frozen=True)
class _Said(Sentence):
    block: int


def _said(text: str, language: str, max_chars: int | None = None) -> Iterator[_Said]:
    protected, segments = _protect(text)
    waiting = iter(segments)
    first, block_before = True, None
    number, paragraph = 0, False
    for block, shown, folded, tokens in _scanned(protected, language):
        if block is not block_before:
            number += 1
            paragraph = paragraph or block.starts_paragraph
            block_before = block
        for part, cut in fit(folded, tokens, max_chars) if max_chars else [(tokens, None)]:
            spoken = _tidy(join(folded, part) if cut is None else cut)
            if PHONEMES in spoken:
                spoken = re.sub(PHONEMES, lambda _: next(waiting), spoken)
            if not spoken:
                continue
            written = shown[part[0].start : part[-1].end]
            yield _Said(written, spoken, paragraph and not first, number)
            first = paragraph = False


def _tidy(text: str) -> str:
    text = _MISSING_SPACE.sub(r"\1 ", _SPACES.sub(" ", text))
    return _SPACE_AFTER.sub("", _SPACE_BEFORE.sub("", text)).strip()
