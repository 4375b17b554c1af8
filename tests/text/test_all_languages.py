"""Whatever the language, the front end makes nothing worse than espeak alone would say it."""

from __future__ import annotations

import re

import pytest

from wavetts.text.locales.abbreviations import before_names, expansions
from wavetts.text.locales.cldr import language_data
from wavetts.text.normalize import normalize, sentences
from wavetts.text.phonemes import phonemize, supported_languages

LANGUAGES = [language for language in supported_languages() if not language.startswith("en")]
WITH_ABBREVIATIONS = [language for language in LANGUAGES if before_names(language.split("-")[0])]


def decimal_word(language):
    try:
        return language_data(language).decimal_word
    except ValueError:
        return None


def test_these_are_the_languages_of_the_package():
    assert len(LANGUAGES) > 100
    assert sum(language_data(language).speaks_numbers for language in LANGUAGES) >= 70
    assert len(WITH_ABBREVIATIONS) >= 25


@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_are_whole(language):
    """Dates, versions, decimals, negative and grouped numbers: in the language's words, or left to espeak."""
    data, word = language_data(language), decimal_word(language)
    sign = data.decimal_sign

    def said(written):
        found = sentences(written, language)
        assert len(found) == 1
        spoken = found[0].spoken
        if not data.speaks_numbers:
            assert spoken == written
        # half in words and half in digits would be glued
        assert spoken == written or not re.search("[0-9]", spoken)
        return spoken

    date = said("24.12.2024")
    assert word is None or word not in date.split()
    assert word is None or word not in said("1.2.3").split() or "." in said("1.2.3")
    said("192.168.1.1")
    decimal = said(f"3{sign}5")
    assert decimal == f"3{sign}5" or decimal == data.number("3", "5")
    other = said(f"3{',' if sign == '.' else '.'}5")
    assert not re.search(r"[,;،] ", other)
    assert said("1 234") in ("1 234", data.cardinal(1234) if data.speaks_numbers else "")
    group = "." if sign == "," else ","
    if data.speaks_numbers:
        assert said(f"1{group}234{group}567") == data.cardinal(1234567)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language_data(language).speaks_numbers])
def test_a_minus_is_said(language):
    spoken = normalize("-5", language)
    try:
        minus = language_data(language).minus
    except ValueError:
        assert spoken == "-5"
        return
    assert spoken == f"{minus} {language_data(language).cardinal(5)}"


@pytest.mark.parametrize("language", [x for x in LANGUAGES if language_data(x).dotted_ordinals])
def test_an_ordinal_before_a_word_is_one_sentence_without_a_pause(language):
    found = sentences("abc 2. abc", language)
    assert len(found) == 1
    if language_data(language).speaks_numbers:
        assert "." not in found[0].spoken and "2" not in found[0].spoken


@pytest.mark.parametrize("language", WITH_ABBREVIATIONS)
def test_two_abbreviations_are_said_in_words_and_end_no_sentence(language):
    base = language.split("-")[0]
    first, second = sorted(before_names(base))[:2]
    found = sentences(f"aaa {first} Bbb aaa {second} Bbb", language)
    assert len(found) == 1
    words = expansions(base)
    assert found[0].spoken == f"aaa {words[first]} Bbb aaa {words[second]} Bbb"


@pytest.mark.parametrize("language", ["de", "fr-fr", "es", "it", "pt-br", "pl", "ru", "nl", "tr", "cs", "hu", "vi"])
def test_all_of_it_can_be_spoken(language):
    spoken = normalize("24.12.2024, 1.2.3, -5, 3,5 %, 12,50 €, 2. x, 15:30", language)
    assert phonemize(spoken, language)
