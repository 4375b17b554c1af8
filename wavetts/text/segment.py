"""Long texts to pieces that a model can speak in one go."""

from __future__ import annotations

import re
from itertools import pairwise

from wavetts.errors import UserError
from wavetts.text.abbreviations import stop_is_abbreviation
from wavetts.text.inline import INLINE

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|[\u2029\f]\s*")
_CLOSERS = "\"'”’»)\\]}"
_SENTENCE_END = re.compile(
    rf"(?<![.!?…])(?P<latin>[.!?…]+)[{_CLOSERS}]*(?=\s)|[。！？｡।॥][{_CLOSERS}」』）]*",
)
_LOWER_NEXT = re.compile(r"\s+(?:[\"'“‘«(\[—–-]+\s*)?([^\W\d_])")
# In the order of preference: where a speaker would pause longest.
_BREAKS = (
    re.compile(r"(?<=[;:—–])[\"'”’»)]?\s+|\s(?=[—–(])|[，、；：]"),
    re.compile(r"(?<=[,)\"”’»])\s+"),
    re.compile(r"\s+"),
)
_MIN_SHARE = 0.2  # a break that leaves less than this on one side is no good break


def split_text(text: str, max_chars: int = 300) -> list[str]:
    """Splits a text into sentences, and those that are too long into clauses, then words.

    Blank lines end a sentence, single line breaks do not. The stops of abbreviations, decimals and initials do not end
    one. A long sentence is halved at the best pause near its middle until the pieces fit. `[[ipa]]` segments are never
    cut. A piece without a letter or digit ("...") joins its neighbour if the two fit.

    Args:
        text: any text, before or after normalisation.
        max_chars: the most characters in a piece; only an `[[ipa]]` segment may be longer.

    Returns:
        The pieces, without outer white space. Together they hold all that is no white space, in order.

    Raises:
        UserError: max_chars is below 1.
    """
    if max_chars < 1:
        raise UserError(f"max_chars is {max_chars}: the pieces of a text need at least 1 character")
    pieces: list[str] = []
    for paragraph in _cut(text, [match.span() for match in _outside_inline(_PARAGRAPH, text)]):
        for sentence in _sentences(paragraph):
            pieces += _fit(sentence, max_chars)
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


def _sentences(paragraph: str) -> list[str]:
    spans = []
    for match in _outside_inline(_SENTENCE_END, paragraph):
        if match["latin"]:
            following = _LOWER_NEXT.match(paragraph, match.end())
            if following and following[1].islower():
                continue
            if match["latin"] == "." and stop_is_abbreviation(paragraph, match.start()):
                continue
        spans.append(match.span())
    return _cut(paragraph, spans)


def _fit(text: str, max_chars: int) -> list[str]:
    """Halves a text until no part is longer than max_chars."""
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
    """The best place near the middle for a cut; the text's length if it may not be cut (one `[[ipa]]` segment)."""
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
    """Joins pieces of marks alone, which cannot be spoken, to the piece before or after where they fit."""
    joined: list[str] = []
    for piece in pieces:
        silent = not any(char.isalnum() for char in piece)
        after_silent = joined and not any(char.isalnum() for char in joined[-1])
        if joined and (silent or after_silent) and len(joined[-1]) + 1 + len(piece) <= max_chars:
            joined[-1] += " " + piece
        else:
            joined.append(piece)
    return joined
