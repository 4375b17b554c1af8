"""Numbers as words, over num2words."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

# num2words names some languages in another way than espeak, and espeak's region is mostly of no matter to it.
_NUM2WORDS_NAMES = {"nb": "no", "en-029": "en", "fr-be": "fr_BE", "fr-ch": "fr_CH", "pt-br": "pt_BR"}
_MAX_DIGITS = 12  # a longer bare number is a code, not a quantity
_MAX_GROUPED_DIGITS = 36


@lru_cache(maxsize=64)
def num2words_language(language: str) -> str | None:
    """The num2words name of an espeak language code, None if num2words cannot be used for it.

    Japanese is left out on purpose: num2words writes kanji, which espeak does not read.
    """
    from num2words import CONVERTER_CLASSES

    name = _NUM2WORDS_NAMES.get(language, language.split("-")[0])
    return name if name in CONVERTER_CLASSES and name != "ja" else None


@lru_cache(maxsize=8192)
def number_words(value: int, language: str, to: str = "cardinal") -> str:
    """A number in words.

    Args:
        value: the number.
        language: an espeak language code that `num2words_language` knows.
        to: `cardinal`, `ordinal` or (English only) `year`.

    Returns:
        The words; American English has no "and" in them, the other Englishes do.

    Raises:
        ValueError: the library cannot say this number in this language.
    """
    from num2words import num2words

    try:
        words = num2words(value, lang=num2words_language(language), to=to)
    except Exception as error:  # the converters raise whatever their tables run into (KeyError, IndexError, ...)
        raise ValueError(f"{value} as {to} in {language}") from error
    if not words:
        raise ValueError(f"{value} as {to} in {language}")
    if language.startswith("en"):
        words = words.replace(",", "")
        if language.startswith("en-us"):
            words = words.replace(" and ", " ")
    return words


@lru_cache(maxsize=1024)
def amount_words(value: Decimal, currency: str, language: str) -> str:
    """An amount of money in words (the currency as its ISO code, such as `EUR`).

    Raises:
        ValueError: the library does not know this currency in this language.
    """
    from num2words import num2words

    try:
        words = num2words(Decimal(value), lang=num2words_language(language), to="currency", currency=currency)
    except Exception as error:  # as above
        raise ValueError(f"{value} {currency} in {language}") from error
    if value == int(value):  # "cinq euros et zéro centimes": the zero is not said
        words = re.sub(rf"(?:,| \w{{1,3}}) {re.escape(number_words(0, language))}(?: \S+)+$", "", words)
    return words


def cardinal(value: int | str, language: str) -> str:
    """English words of a whole number."""
    return number_words(int(value), language)


def ordinal(value: int | str, language: str) -> str:
    """English ordinal words of a whole number."""
    return number_words(int(value), language, "ordinal")


def year(value: int | str, language: str) -> str:
    """English words of a year: 1999 in pairs, 1905 with "oh", 2005 as a number, 2015 in pairs."""
    value = int(value)
    if value < 1010 or value >= 10000 or 2000 <= value < 2010:
        return cardinal(value, language)
    return number_words(value, language, "year").replace("oh-", "oh ")


def spell_digits(digits: str, language: str) -> str:
    """Each digit as a word of its own; other characters are skipped."""
    return " ".join(number_words(int(digit), language) for digit in digits if digit in "0123456789")


def say_number(written: str, language: str) -> str:
    """English words of a number as it is written: `12`, `1,234.50`, `.5`, `007`.

    Numbers of more than 12 digits (36 with commas) and numbers with a leading zero are read digit by digit.
    """
    whole, _, fraction = written.partition(".")
    limit = _MAX_GROUPED_DIGITS if "," in whole else _MAX_DIGITS
    whole = whole.replace(",", "")
    if len(whole) > limit or (len(whole) > 1 and whole[0] == "0"):
        words = spell_digits(whole, language)
    else:
        words = cardinal(whole, language) if whole else ""
    if fraction:
        words = f"{words} point {spell_digits(fraction, language)}".lstrip()
    return words


def plural(words: str) -> str:
    """English plural of number words: nineties, hundreds, sixths."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")
