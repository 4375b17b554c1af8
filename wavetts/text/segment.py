"""Splits texts into paragraphs, list items, sentences and pieces short enough for one utterance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from wavetts.errors import UserError
from wavetts.text.inline import INLINE
from wavetts.text.tokens import Token, join

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|[\u2029\f]\s*")
_CLOSERS = "\"'”’»)\\]}"
_SENTENCE_END = re.compile(
    rf"(?<![.!?…])(?P<latin>[.!?…]+)[{_CLOSERS}]*(?=\s)|[。！？｡।॥][{_CLOSERS}」』）]*",
)
_LOWER_NEXT = re.compile(r"\s+(?:[\"'“‘«(\[—–-]+\s*)?([^\W\d_])")
# Where a long sentence may be cut: the longest pauses first.
_BREAKS = (
    re.compile(r"(?<=[;:—–])[\"'”’»)]?\s+|\s(?=[—–(])|[，、；：]"),
    re.compile(r"(?<=[,)\"”’»])\s+"),
    re.compile(r"\s+"),
)
_LONG_PAUSE = ";:—–"
_LIST_NUMBER = re.compile(r"\s*(?:[0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,5})")
_SPEAKABLE = re.compile(r"[^\W_]|\ue000|[\u2190-\u2bff\U0001f000-\U0001faff]")
_MIN_SHARE = 0.2  # a cut at a pause leaves at least this share of the characters on either side


class Block(NamedTuple):
    """A paragraph or an item of a list.

    Attributes:
        text: its text, without the bullet of a list item.
        starts_paragraph: whether it is the first block of its paragraph.
    """

    text: str
    starts_paragraph: bool


_LIST_LINE = re.compile(
    r"^[^\S\n]*(?:[-*+•‣▪●◦–—■□☐☑✓✔➢➤►][^\S\n]+(?=\S)|(?:[0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)][^\S\n]+(?=\S)|\((?:[0-9]{1,3}|[A-Za-z]|[ivx]{1,5})\)[^\S\n]+(?=\S))",
    re.MULTILINE,
)
_BULLET = re.compile(r"\s*[-*+•‣▪●◦–—■□☐☑✓✔➢➤►]\s+(?:\[[ xX]?\]\s+)?")


def blocks(text: str) -> Iterator[Block]:
    """Splits a text into paragraphs (at blank lines) and their list items, one `Block` each.

    Lines that begin with a bullet or a number are list items if there are two or more in the paragraph, or if the
    paragraph begins with one.
    """
    for paragraph in _cut(text, [match.span() for match in _PARAGRAPH.finditer(text)]):
        first = True
        for part in _items(paragraph):
            yield Block(_item_text(part) if part is not paragraph or _BULLET.match(part) else part, first)
            first = False


_BRACKETED_NUMBER = re.compile(r"\s*\(?([0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,5})\)\s+")


def _item_text(item: str) -> str:
    """A list item without its bullet; brackets around its number become a full stop: `1) Mix` -> `1. Mix`."""
    item = _BULLET.sub("", item, count=1)
    return _BRACKETED_NUMBER.sub(r"\1. ", item, count=1) if _BRACKETED_NUMBER.match(item) else item


def _items(paragraph: str) -> list[str]:
    starts = [match.start() for match in _LIST_LINE.finditer(paragraph)]
    if not starts or (len(starts) == 1 and (starts[0] > 0 or paragraph.lstrip().startswith("("))):
        return [paragraph]
    edges = [0, *starts, len(paragraph)]
    return [part for part in (paragraph[start:end].strip() for start, end in pairwise(edges)) if part]


def split_text(text: str, max_chars: int = 300, language: str = "en-us") -> list[str]:
    """Splits a text into sentences, and sentences longer than `max_chars` into clauses or groups of words.

    Blank lines end a sentence, single line breaks do not, nor do the stops of abbreviations, decimals and initials. A
    long sentence is halved at the best pause near its middle until the pieces fit. `[[ipa]]` segments are never
    cut. A piece without a letter or digit ("...") joins its neighbour if the two fit.

    Args:
        text: any text, before or after normalisation.
        max_chars: the most characters in a piece; only an `[[ipa]]` segment may be longer.
        language: an espeak language code, which selects the abbreviations.

    Returns:
        The pieces in order, stripped. Together they hold every character of the text that is not white space.

    Raises:
        UserError: max_chars is below 1.
    """
    if max_chars < 1:
        raise UserError(f"max_chars is {max_chars}: the pieces of a text need at least 1 character")
    pieces: list[str] = []
    for paragraph in _cut(text, [match.span() for match in _outside_inline(_PARAGRAPH, text)]):
        for item in _items(paragraph):
            for start, end in sentence_spans(item, language):
                pieces += _fit(item[start:end], max_chars)
    return _join_marks(pieces, max_chars)


def _outside_inline(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The matches of a pattern that do not touch an `[[ipa]]` segment."""
    matches = list(pattern.finditer(text))
    if "[[" not in text:
        return matches
    spans = [match.span() for match in INLINE.finditer(text)]
    kept, place = [], 0
    for match in matches:
        while place < len(spans) and spans[place][1] <= match.start():
            place += 1
        if place == len(spans) or match.end() <= spans[place][0]:
            kept.append(match)
    return kept


def _cut(text: str, spans: list[tuple[int, int]]) -> list[str]:
    """Cuts after each span; the parts without outer white space, the empty ones left out."""
    edges = [0, *(end for _, end in spans), len(text)]
    parts = (text[start:end].strip() for start, end in pairwise(edges))
    return [part for part in parts if part]


def sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence of a written paragraph, outer white space excluded."""
    stop_is_abbreviation = _stops(language)
    places = [0]
    for match in _outside_inline(_SENTENCE_END, text):
        if match["latin"]:
            following = _LOWER_NEXT.match(text, match.end())
            if following and following[1].islower():
                continue
            if match["latin"] == "." and (
                _LIST_NUMBER.fullmatch(text, places[-1], match.start()) or stop_is_abbreviation(text, match.start())
            ):
                continue
        places.append(match.end())
    spans = []
    for start, end in pairwise([*places, len(text)]):
        part = text[start:end]
        stripped = part.strip()
        if stripped:
            start += len(part) - len(part.lstrip())
            spans.append((start, start + len(stripped)))
    return _with_silent(text, spans)


def _with_silent(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins a span without anything to speak ("...") to the sentence before it; the first one to the one after it."""
    if len(spans) < 2:
        return spans
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        alone = not _SPEAKABLE.search(text, start, end)
        if joined and (alone or not _SPEAKABLE.search(text, *joined[-1])):
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


@lru_cache(maxsize=64)
def _stops(language: str) -> Callable[[str, int], bool]:
    """The function (text, index of a full stop) -> whether the stop ends an abbreviation, for a language."""
    if language.split("-")[0] == "en":
        from wavetts.text.english.abbreviations import stop_is_abbreviation

        return stop_is_abbreviation
    from wavetts.text.locales import stops

    return stops(language)


def fit(text: str, tokens: list[Token], max_chars: int) -> Iterator[tuple[list[Token], str | None]]:
    """Cuts the tokens of a sentence into parts whose spoken forms have at most max_chars characters.

    Args:
        text: the folded paragraph that the tokens index.
        tokens: the tokens of one sentence.
        max_chars: the limit, at least 1.

    Yields:
        The tokens of a part, and None. If tokens without a space between them are too long together: these tokens, and
        one piece of their spoken form, for each piece.
    """
    waiting = [tokens]
    while waiting:
        part = waiting.pop()
        if not part:
            continue
        spoken = join(text, part)
        if len(spoken) <= max_chars:
            yield part, None
        elif place := _best_cut(part):
            waiting += [part[place:], part[:place]]
        else:
            for piece in _fit(spoken, max_chars):
                yield part, piece


def _best_cut(tokens: list[Token]) -> int:
    """The index of the token before which to cut a long sentence, at a pause near the middle of its spoken form.

    Returns 0 if no token follows a space.
    """
    ends = list(accumulate(len(token.spoken) + 1 for token in tokens))
    total = ends[-1]
    best: dict[int, tuple[float, int]] = {}
    for index in range(1, len(tokens)):
        before, token = tokens[index - 1], tokens[index]
        if token.start == before.end and token.spoken != "—":
            continue
        mark = before.spoken[-1:] if before.kind == "mark" else ""
        level = 0 if (mark in _LONG_PAUSE and mark) or token.spoken == "—" else 1 if mark else 2
        if level < 2 and not _MIN_SHARE * total <= ends[index - 1] <= (1 - _MIN_SHARE) * total:
            level = 2
        distance = abs(ends[index - 1] - total / 2)
        if level not in best or distance < best[level][0]:
            best[level] = (distance, index)
    return best[min(best)][1] if best else 0


def _fit(text: str, max_chars: int) -> list[str]:
    """Halves a text until every part has at most max_chars characters."""
    waiting, done = [text], []
    while waiting:
        part = waiting.pop()
        place = len(part) if len(part) <= max_chars else _middle(part)
        left, right = part[:place].strip(), part[place:].strip()
        if not left or not right:
            done.append(left or right)
        else:
            waiting += [right, left]
    return done


def _middle(text: str) -> int:
    """The index of the best cut near the middle; the length of the text if it is one `[[ipa]]` segment."""
    middle = len(text) / 2
    for level, pattern in enumerate(_BREAKS):
        places = [match.end() for match in _outside_inline(pattern, text)]
        best = min(places, key=lambda place: abs(place - middle), default=None)
        # between words any place will do, as long as there is one
        if best is not None and (level == 2 or _MIN_SHARE * len(text) <= best <= (1 - _MIN_SHARE) * len(text)):
            return best
    edges = [edge for match in INLINE.finditer(text) for edge in match.span() if 0 < edge < len(text)]
    if edges:
        return min(edges, key=lambda edge: abs(edge - middle))
    return len(text) if INLINE.fullmatch(text) else len(text) // 2


def _join_marks(pieces: list[str], max_chars: int) -> list[str]:
    """Joins pieces without a letter or digit to the piece before or after them, if both fit into max_chars."""
    joined: list[str] = []
    for piece in pieces:
        silent = not any(char.isalnum() for char in piece)
        after_silent = joined and not any(char.isalnum() for char in joined[-1])
        if joined and (silent or after_silent) and len(joined[-1]) + 1 + len(piece) <= max_chars:
            joined[-1] += " " + piece
        else:
            joined.append(piece)
    return joined
