"""English: the rules of all modules of this package, in the order in which they are tried.

Narrower patterns come first: scripture citations before times, dates before fractions.
"""

from __future__ import annotations

from functools import lru_cache

from wavetts.text.english import (
    acronyms,
    addresses,
    codes,
    dates,
    electronic,
    measures,
    money,
    numbers,
    roman,
    symbols,
    times,
    verses,
    words,
)
from wavetts.text.english.capitals import truecase
from wavetts.text.tokens import Rule, Scanner

_WORDS = [
    *times.WORDS,
    *verses.WORDS,
    *dates.WORDS,
    *electronic.WORDS,
    *addresses.WORDS,
    *money.WORDS,
    *codes.WORDS,
    *measures.WORDS,
    *numbers.WORDS,
    *roman.WORDS,
    *words.WORDS,
    *symbols.WORDS,
    *acronyms.WORDS,
]
_CAPITALS = [*roman.CAPITALS, *acronyms.CAPITALS]
_DIGITS = [
    *verses.DIGITS,
    *electronic.DIGITS,
    *numbers.DIGITS_FIRST,
    *dates.DIGITS,
    *times.DIGITS,
    *addresses.DIGITS,
    *codes.DIGITS,
    *money.DIGITS,
    *measures.DIGITS,
    *symbols.DIGITS,
    *numbers.DIGITS,
    *acronyms.DIGITS,
    *numbers.DIGITS_LAST,
]


def _signs() -> dict[str, list[Rule]]:
    merged: dict[str, list[Rule]] = {}
    for module in (dates, money, codes, electronic, numbers, symbols):
        for sign, rules in module.SIGNS.items():
            merged.setdefault(sign, []).extend(rules)
    return merged


@lru_cache(maxsize=8)
def scanner(language: str) -> Scanner:
    """The scanner of a variety of English (`en-us`, `en-gb`, ...)."""
    signs = _signs()
    return Scanner(_WORDS, _CAPITALS, _DIGITS, signs, language, truecase)
