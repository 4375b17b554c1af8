"""English numbers as words: below a thousand, ordinals and years by num2words, larger ones composed of those.

American English has no "and" within a number; other varieties of English do.
"""

from __future__ import annotations

import re
from functools import lru_cache

from wavetts.text.number_words import number_words

# A number with optional groups and decimals. No pattern may start inside a run of digits, and there are at most six
# groups of two, behind which the group of three may be missing: that keeps the search linear.
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[1-9][0-9]?(?:,[0-9]{2}){1,6},[0-9]{3}(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
# Two numbers with a hyphen behind each begin no range; looked at first, it saves the search for a unit or name behind.
NO_ROW = r"(?![0-9]+ ?- ?[0-9]+ ?-)"
_SCALES = (
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
)
MAX_DIGITS = 12  # a longer bare number is a code, not a quantity
_MAX_GROUPED_DIGITS = 36
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPELLED = {str(value): name for value, name in enumerate(_DIGITS)}


@lru_cache(maxsize=8192)
def cardinal(value: int | str, language: str) -> str:
    """Words of a whole number below 10^36; num2words for a larger one."""
    value = int(value)
    if value < 1000:
        return number_words(value, language)
    if value >= 10**36:
        return number_words(value, language)
    parts, groups, rest = [], [], value
    while rest:
        rest, group = divmod(rest, 1000)
        groups.append(group)
    for place in range(len(groups) - 1, -1, -1):
        if groups[place]:
            words = number_words(groups[place], language)
            if place == 0 and groups[0] < 100 and not language.startswith("en-us"):
                words = f"and {words}"
            parts.append(f"{words} {_SCALES[place]}" if place else words)
    return " ".join(parts)


@lru_cache(maxsize=2048)
def ordinal(value: int | str, language: str) -> str:
    """Ordinal words of a whole number: `21` -> `twenty-first`."""
    value = int(value)
    rest = value % 100
    if value < 1000 or not rest:
        return number_words(value, language, "ordinal")
    before = cardinal(value - rest, language)
    joint = " " if language.startswith("en-us") else " and "
    return before + joint + number_words(rest, language, "ordinal")


@lru_cache(maxsize=2048)
def year(value: int | str, language: str) -> str:
    """Words of a year: 1999 in pairs, 1905 with "oh", 2005 as a number, 2015 in pairs."""
    value = int(value)
    if value < 1010 or value >= 10000 or 2000 <= value < 2010:
        return cardinal(value, language)
    return number_words(value, language, "year").replace("oh-", "oh ")


def short_year(value: int | str, language: str) -> str:
    """The last two digits of a year: `85` -> `eighty-five`, `05` -> `oh five`."""
    value = int(value)
    return cardinal(value, language) if value >= 10 else f"oh {cardinal(value, language)}"


@lru_cache(maxsize=8192)
def spell_digits(digits: str) -> str:
    """Each digit as a word of its own; other characters are skipped."""
    return " ".join(_SPELLED[digit] for digit in digits if digit in _SPELLED)


@lru_cache(maxsize=8192)
def say_number(written: str, language: str) -> str:
    """Words of a number as it is written: `12`, `1,234.50`, `.5`, `007`.

    Numbers of more than 12 digits (36 with commas) and numbers with a leading zero are read digit by digit.
    """
    whole, _, fraction = written.partition(".")
    limit = _MAX_GROUPED_DIGITS if "," in whole else MAX_DIGITS
    whole = whole.replace(",", "")
    if len(whole) > limit or (len(whole) > 1 and whole[0] == "0"):
        words = spell_digits(whole)
    else:
        words = cardinal(whole, language) if whole else ""
    if fraction:
        words = f"{words} point {spell_digits(fraction)}".lstrip()
    return words


@lru_cache(maxsize=8192)
def say_plain(written: str, language: str) -> str:
    """A number as a year where it looks like one (1010-1999, 2010-2099, four bare digits), else as a quantity."""
    if len(written) == 4 and written.isdigit() and (1010 <= int(written) < 2000 or 2010 <= int(written) < 2100):
        return year(written, language)
    return say_number(written, language)


def pairs(digits: str, language: str) -> str:
    """Digits in pairs, as house and model numbers are read:

    `264` -> `two sixty-four`, `1211` -> `twelve eleven`, `401` -> `four oh one`.

    Digits of other lengths or with a leading zero are read one by one; round hundreds are read as numbers.
    """
    if digits[0] == "0":
        return spell_digits(digits)
    if len(digits) < 3 or (len(digits) in (3, 4) and digits.endswith("00")):
        hundreds = len(digits) == 4 and digits[1] != "0"
        return f"{cardinal(digits[:2], language)} hundred" if hundreds else cardinal(digits, language)
    if len(digits) == 3:
        return f"{cardinal(digits[0], language)} {short_year(digits[1:], language)}"
    if len(digits) == 4:
        return f"{cardinal(digits[:2], language)} {short_year(digits[2:], language)}"
    return spell_digits(digits)


def plural(words: str) -> str:
    """English plural of number words: nineties, hundreds, sixths."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


_LAST_WORDS = re.compile(r"[^\s]+$")


def word_before(match: re.Match[str], count: int = 24) -> str:
    """The word in front of a match and its space, as it is written; empty at the beginning or after a mark."""
    text = match.string
    place = match.start() - 1 if text[match.start() - 1 : match.start()] == " " else match.start()
    found = _LAST_WORDS.search(text, max(0, place - count), place)
    return found[0] if found else ""
