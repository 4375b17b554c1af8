"""Text normalisation: the entry points of the front end, which turns written text into spoken text.

Markup is removed (`markup`), the text is split into paragraphs, list items and sentences (`segment`), characters are
folded (`fold`), and each token of a sentence is classified once and replaced by words (`tokens`, with the rules of
`english` or `locales`).
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

# Raise it whenever the spoken form of any text changes: a voice should read the spoken forms it was trained on.
FRONT_END_VERSION = "2"

_SPACE_BEFORE = re.compile(r" +(?=[,.;:!?)](?:[^\w.]|$))")
_SPACE_AFTER = re.compile(r"(?<=\() +")
_MISSING_SPACE = re.compile(r"(?<=[^\W\d_])([,;!?])(?=[^\W\d_])")
_SPACES = re.compile(" {2,}")
_ENDED = re.compile(r"[.!?…:;,—][\"'”’»)\]]*$|[。！？｡।॥؟]$|\]\]$")


@dataclass(frozen=True)
class Sentence:
    """One piece of a text: a sentence, or a part of a long one. A voice synthesizes it as one utterance.

    Attributes:
        written: the written form, without markup and with folded characters.
        spoken: the spoken form.
        starts_paragraph: whether a new paragraph begins here; False for the first piece of the text.
    """

    written: str
    spoken: str
    starts_paragraph: bool


def normalize(text: str, language: str = "en-us") -> str:
    """Converts a text to its spoken form: `Dr. Smith paid $5.` -> `Doctor Smith paid five dollars.`

    HTML and Markdown are removed, Unicode is folded (see `wavetts.text.fold`), line breaks become spaces. In English
    (`en*`) numbers, dates, times, money, units, codes, mathematics, abbreviations, Roman numerals, symbols and
    addresses become words; in other languages numbers, dates, times, money, ordinals and abbreviations do, where CLDR
    or num2words have the words. Case and accents are kept, most acronyms (`FBI`) are left to espeak, and `[[ipa]]`
    segments are not changed.

    Args:
        text: any text.
        language: an espeak language code, such as `en-us`, `en-gb` or `fr-fr`.

    Returns:
        The spoken form on one line; empty if the text is. A paragraph or list item that does not end with a
        punctuation mark gets a full stop if another one follows.

    Raises:
        UserError: the text is not a string, or it has a `[[` without `]]`.
    """
    parts: list[str] = []
    block = 0
    for _, spoken, _, number in _said(text, language):
        if parts and number != block and not _ENDED.search(parts[-1][-4:]):
            parts[-1] += "."
        block = number
        parts.append(spoken)
    return " ".join(parts)


def sentences(text: str, language: str = "en-us", max_chars: int = 300) -> list[Sentence]:
    """Splits a text into sentences and converts each to its spoken form.

    The ends of sentences, paragraphs and list items are found on the written text; a sentence whose spoken form is
    longer than `max_chars` is cut between tokens, at the best pause near its middle.

    Args:
        text: any text.
        language: an espeak language code.
        max_chars: the most characters in the spoken form of a piece; only an `[[ipa]]` segment may be longer.

    Returns:
        The pieces in order; a piece with an empty spoken form is left out.

    Raises:
        UserError: the text is not a string, it has a `[[` without `]]`, or max_chars is below 1.
    """
    if max_chars < 1:
        raise UserError(f"max_chars is {max_chars}: the pieces of a text need at least 1 character")
    return [Sentence(*said[:3]) for said in _said(text, language, max_chars)]


def explain(text: str, language: str = "en-us") -> list[tuple[str, str, str]]:
    """Shows how the front end reads a text, token by token.

    Args:
        text: any text.
        language: an espeak language code.

    Returns:
        For each token its written form (without markup, with folded characters), its class (`word`, `number`, `date`,
        `mark`, ...; docs/text.md lists them) and its spoken form.

    Raises:
        UserError: as for `normalize`.

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
    """Replaces each `[[ipa]]` segment by the character `PHONEMES`; returns that text and the segments."""
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
    """For each sentence: its block, the folded block, the string that was scanned (same length), and the tokens."""
    scanner = _scanner(language)
    for block in blocks(plain_text(text)):
        shown = fold(block.text).strip()
        folded = scanner.prepare(shown)
        for start, end in sentence_spans(folded, language):
            yield block, shown, folded, scanner.scan(folded, start, end)


def _said(text: str, language: str, max_chars: int | None = None) -> Iterator[tuple[str, str, bool, int]]:
    """For each piece: its written form, its spoken form, whether a paragraph begins, and the number of its block."""
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
            yield written, spoken, paragraph and not first, number
            first = paragraph = False


def _tidy(text: str) -> str:
    text = _MISSING_SPACE.sub(r"\1 ", text)
    if " " in text:
        text = _SPACE_AFTER.sub("", _SPACE_BEFORE.sub("", _SPACES.sub(" ", text)))
    return text.strip()
