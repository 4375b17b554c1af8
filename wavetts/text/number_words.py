"""Numbers as words, from num2words."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

# num2words' names of languages, where they differ from the part of espeak's code before the hyphen.
_NUM2WORDS_NAMES = {"nb": "no", "en-029": "en", "fr-be": "fr_BE", "fr-ch": "fr_CH", "pt-br": "pt_BR"}


@lru_cache(maxsize=64)
def num2words_language(language: str) -> str | None:
    """num2words' name of an espeak language code; None if num2words does not support the language.

    Japanese counts as unsupported: num2words writes kanji, which espeak does not read.
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
        The words. American English has no "and" within a number; other varieties of English do.

    Raises:
        ValueError: the library cannot say this number in this language.
    """
    from num2words import num2words

    try:
        words = num2words(value, lang=num2words_language(language), to=to)
    except (
        Exception
    ) as error:  # converters raise various errors for numbers that they do not cover (KeyError, IndexError, ...)
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
    """An amount of money in words; `currency` is an ISO 4217 code such as `EUR`.

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
