"""English fractions, ordinals, ratios, ranges and plain numbers."""

from __future__ import annotations

import re

from wavetts.text.english.number_words import (
    NUMBER,
    cardinal,
    ordinal,
    plural,
    say_number,
    say_plain,
    spell_digits,
    year,
)
from wavetts.text.tokens import rule

_SPECIAL_FRACTION = {("9", "11"): "nine eleven", ("24", "7"): "twenty-four seven", ("50", "50"): "fifty-fifty"}


def say_fraction(whole: str | None, above: str, below: str, language: str) -> str:
    """`3/4` -> `three quarters`, with a whole `2 3/4` -> `two and three quarters`."""
    words = _say_fraction(int(above), int(below), language)
    if not whole:
        return words
    if len(whole) == 4:  # a year or another number, not the whole of a mixed one
        return f"{year(whole, language)} {words}"
    words = words.replace("one half", "a half").replace("one quarter", "a quarter")
    return f"{say_number(whole, language)} and {words}"


def _say_fraction(above: int, below: int, language: str) -> str:
    over = cardinal(above, language)
    if above == below or below < 2:
        return f"{over} {cardinal(below, language)}" if above == below else f"{over} over {cardinal(below, language)}"
    if below == 2:
        return f"{over} half" if above == 1 else f"{over} halves"
    if below > 100 and below not in (1000, 10000, 1000000) and above > 12:
        return f"{over} over {cardinal(below, language)}"
    part = "quarter" if below == 4 else ordinal(below, language)
    return f"{over} {part if above == 1 else plural(part)}"


def _fraction(match: re.Match[str], language: str) -> str | None:
    whole, above, below, ending = match.groups()
    if not whole and (above, below) in _SPECIAL_FRACTION and not ending:
        return _SPECIAL_FRACTION[above, below]
    if (len(above) > 1 and above[0] == "0") or (len(below) > 1 and below[0] == "0"):
        return None
    return say_fraction(whole, above, below, language)


def _ordinal(match: re.Match[str], language: str) -> str:
    return ordinal(match[1].replace(",", ""), language) + match[2]


def _ratio(match: re.Match[str], language: str) -> str:
    return f"{cardinal(match[1], language)} to {cardinal(match[2], language)}"


def _range(match: re.Match[str], language: str) -> str | None:
    if " - " in match[0] and float(match[1].replace(",", "")) > float(match[2].replace(",", "")):
        return f"{say_number(match[1], language)} minus {say_number(match[2], language)}"
    return f"{say_plain(match[1], language)} to {say_plain(match[2], language)}"


def _plural(match: re.Match[str], language: str) -> str:
    return plural(say_plain(match[1], language))


def _long(match: re.Match[str], language: str) -> str:
    return spell_digits(match[0])


def _plain(match: re.Match[str], language: str) -> str:
    written = match[0]
    if len(written) == 4 and (_QUANTITY.match(match.string, match.end(), match.endpos)):
        return say_number(written, language)
    return say_plain(written, language)


# "1500 people" may well be "fifteen hundred", as a year is read; a unit shows a quantity that is not.
_QUANTITY = re.compile(r" (?:percent|degrees|points|dollars|euros|pounds)\b")


def _lot(match: re.Match[str], language: str) -> str:
    """`4-door`, `100-car`: the number and the word stay together."""
    return f"{say_number(match[1], language)}-"


def _indian(match: re.Match[str], language: str) -> str:
    return cardinal(match[0].replace(",", ""), language)


def _spaced(match: re.Match[str], language: str) -> str:
    return cardinal(match[0].replace(" ", ""), language)


def _dimension(match: re.Match[str], language: str) -> str | None:
    """`2x4`: "two by", and the rest is a token of its own; `0x1F` is no dimension."""
    return None if match[1] == "0" else f"{say_number(match[1], language)} by "


_ENDING = "(?:st|nd|rd|th|ST|ND|RD|TH)"
DIGITS_FIRST = [
    rule("number", r"[0-9]{37,}", _long),
    rule("number", r"(?<![.,])[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?!\w|,[0-9])", _indian, ",00"),
    rule("number", r"(?<![.,])[0-9]{1,3}(?: 000)+(?![0-9])", _spaced, "_0"),
    rule("measure", r"([0-9]+(?:\.[0-9]+)?)x(?=[0-9]+(?:\.[0-9]+)?(?:x[0-9]|[^\w]|$))", _dimension, "a .0"),
]
DIGITS = [
    rule(
        "fraction",
        rf"(?<![/.,])(?:([0-9]{{1,4}})[ -])?(?<![/.,])([0-9]{{1,5}})/([0-9]{{1,5}})(?:({_ENDING})"
        rf"s?\b)?(?![0-9/]|[.,][0-9])(?!\w)",
        _fraction,
        "/0 _0 -0",
    ),
    rule("ordinal", rf"([0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]{{1,15}}){_ENDING}(s?)\b", _ordinal, "a ,00"),
    rule("ratio", r"(?<!:)([0-9]{1,4}):([0-9]{1,4})(?![0-9:])", _ratio, ":"),
    rule(
        "number",
        r"(?<![.,/-])(20-20|50-50)(?![\w/-]|[.,:][0-9])",
        lambda m, language: " ".join(cardinal(p, language) for p in m[1].split("-")),
        "-0",
    ),
    rule("range", rf"(?<![/-])({NUMBER}) ?- ?({NUMBER})(?![0-9A-Za-z/-]|[.,:][0-9])", _range, "-0 -_ _- ,00 .0"),
    rule("number", rf"({NUMBER})'?s(?![\w'])", _plural, "a ' .0 ,00"),
]
DIGITS_LAST = [
    rule("number", r"([0-9]+)-(?=[a-z]{2,})", _lot, "-a"),
    rule("number", NUMBER, _plain),
]
SIGNS = {".": [rule("number", r"(?<![\w.])(\.[0-9]+)", lambda m, language: say_number(m[1], language))]}
WORDS = [
    rule("maths", r"x(?=[0-9])(?<=[0-9]x)|(?<=[\w.] )x(?= [0-9])", "by", "0 _0", ["x"]),
]
