"""English text to spoken form: the rules of the other `english_*` modules in the order that they need."""

from __future__ import annotations

import re

from wavetts.text.english_dates import expand_dates, expand_days, expand_times
from wavetts.text.english_numbers import (
    expand_digit_groups,
    expand_fractions,
    expand_measures,
    expand_money,
    expand_numbers,
    expand_signs,
)
from wavetts.text.english_roman import expand_roman
from wavetts.text.english_verses import expand_verses
from wavetts.text.english_words import expand_abbreviations, expand_addresses, expand_letter, expand_symbols

# What has the narrower pattern comes first: a date before a fraction, an amount before a bare number.
_NUMBER_RULES = (
    expand_verses,
    expand_signs,
    expand_times,
    expand_dates,
    expand_money,
    expand_digit_groups,
    expand_measures,
    expand_fractions,
)
_HAS_DIGIT = re.compile("[0-9]")


def expand_english(text: str, language: str) -> str:
    """Spoken form of a folded English text; no digit remains."""
    text = expand_days(expand_addresses(text, language))
    if _HAS_DIGIT.search(text):
        for rule in _NUMBER_RULES:
            text = rule(text, language)
    text = expand_roman(text, language)  # before the abbreviations, which take the stop from Henry V. Smith
    text = expand_abbreviations(text, language)
    text = expand_symbols(text, language)
    if _HAS_DIGIT.search(text):
        text = expand_numbers(text, language)
    return expand_letter(text, language)
