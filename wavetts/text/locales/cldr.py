"""Numbers, amounts and percentages in the languages other than English, as far as num2words knows them.

What it does not know stays in digits: espeak reads those in all its languages.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from wavetts.text.number_words import amount_words, num2words_language, number_words

_DIGIT = re.compile("[0-9]")

# Languages that write 3,14 and 1.234, with the word for the comma and for "percent".
_COMMA_AND_PERCENT = {
    "ca": ("coma", "per cent"),
    "cs": ("celá", "procent"),
    "da": ("komma", "procent"),
    "de": ("Komma", "Prozent"),
    "es": ("coma", "por ciento"),
    "fi": ("pilkku", "prosenttia"),
    "fr": ("virgule", "pour cent"),
    "id": ("koma", "persen"),
    "it": ("virgola", "per cento"),
    "nb": ("komma", "prosent"),
    "nl": ("komma", "procent"),
    "pl": ("przecinek", "procent"),
    "pt": ("vírgula", "por cento"),
    "ro": ("virgulă", "la sută"),
    "ru": ("запятая", "процентов"),
    "sv": ("komma", "procent"),
    "uk": ("кома", "відсотків"),
}
_CURRENCY_CODES = {"€": "EUR", "$": "USD", "£": "GBP", "₽": "RUB"}
_ORDINAL_SIGNS = {
    "ca": "ºª",
    "es": "ºª",
    "fr": "er|re|ère|e|è|ème|nd|nde",
    "it": "ºª°",
    "pt": "ºª",
    "ru": "-й",
}
_TIME = re.compile(r"(?<![0-9:.,])([01]?[0-9]|2[0-4]):(?=[0-5][0-9](?![0-9:]))")
_GERMAN_MONTHS = "Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
_GERMAN_DATE = re.compile(rf"(\b[Dd]er )?(?<![0-9.,])([0-9]{{1,2}})\. (?={_GERMAN_MONTHS})")
_MAX_DIGITS = 12  # a longer number is a code, not a quantity


@lru_cache(maxsize=8)
def _pattern(base: str) -> re.Pattern[str]:
    """Optional minus and currency sign, number, optional currency, percent or ordinal sign."""
    if base in _COMMA_AND_PERCENT:
        number = r"[0-9]{1,3}(?:[ .'][0-9]{3})+(?![0-9])(?:,[0-9]+)?|[0-9]+(?:[.,][0-9]+)?"
    else:
        number = r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?"
    signs = _ORDINAL_SIGNS.get(base, "")
    signs = f"(?:{signs})\\b" if "|" in signs or "-" in signs else f"\\.?[{signs}]" if signs else "(?!)"
    return re.compile(rf"((?<![\w,.)])-)?((?<!\w)[€$£₽] ?)?(?<![0-9])({number})( ?[€$£₽](?![0-9])| ?%|{signs})?")


def expand_other(text: str, language: str) -> str:
    """Spoken form of the numbers of a folded text: amounts, percentages, marked ordinals, plain numbers.

    Args:
        text: a folded text. The colon of a time of day goes, as the pause that it would be.
        language: an espeak language code, not English.

    Returns:
        The text; a number that num2words cannot say in this language keeps its digits.
    """
    if num2words_language(language) is None or not _DIGIT.search(text):
        return text
    base = language.split("-")[0]
    text = _TIME.sub(r"\1 ", text)
    if base == "de":
        # "der dritte Mai", "am dritten Mai"; the stop would end a sentence
        text = _GERMAN_DATE.sub(
            lambda m: f"{m[1] or ''}{number_words(int(m[2]), language, 'ordinal')}{'' if m[1] else 'n'} ", text
        )

    def say(match: re.Match[str]) -> str:
        try:
            words = _say(match, base, language)
        except ValueError:
            return match[0]
        # 5km, A4: the words must not grow together with the letters beside them
        before = " " if match.start() and text[match.start() - 1].isalpha() else ""
        after = " " if match.end() < len(text) and text[match.end()].isalpha() else ""
        return before + words + after

    return _pattern(base).sub(say, text)


def _say(match: re.Match[str], base: str, language: str) -> str:
    minus, before, number, after = match.groups()
    after = (after or "").strip()
    point, percent = _COMMA_AND_PERCENT.get(base, ("", "%"))
    whole, fraction = _parse(number, point)
    if len(whole) > _MAX_DIGITS or (len(whole) > 1 and whole[0] == "0" and not before):
        words = " ".join(number_words(int(digit), language) for digit in whole)
    else:
        words = number_words(int(whole), language)
    currency = _CURRENCY_CODES.get((before or "").strip() or after)
    if currency:
        if len(fraction) > 2 or len(whole) > _MAX_DIGITS:
            raise ValueError(f"{number} is no amount of money")
        words = amount_words(Decimal(f"{whole}.{fraction or 0}"), currency, language)
        return (f"{_minus(language)} " if minus else "") + words + (f" {after}" if before and after else "")
    if fraction:
        if not point:
            raise ValueError(f"no word for the decimal point in {language}")
        words += f" {point} " + " ".join(number_words(int(digit), language) for digit in fraction)
    if minus:
        words = f"{_minus(language)} {words}"
    if after == "%":
        words += f" {percent}"
    elif after:
        if fraction:
            raise ValueError(f"{number} has no ordinal")
        words = number_words(int(whole), language, "ordinal")
        if after.endswith(("ª", "re", "ère", "nde")):
            words = words[:-1] + "a" if words.endswith("o") else words.replace("premier", "première")
    return words


def _minus(language: str) -> str:
    return number_words(-1, language).replace(number_words(1, language), "").strip()


def _parse(number: str, point: str) -> tuple[str, str]:
    """Digits before and after the decimal sign; of `1.234` where the comma is that sign, the point groups."""
    groups, decimal = ("[ .']", ",") if point else (",", r"\.")
    if re.fullmatch(rf"[0-9]{{1,3}}(?:{groups}[0-9]{{3}})+(?:{decimal}[0-9]+)?", number):
        whole, _, fraction = number.partition(decimal[-1])
        return re.sub("[^0-9]", "", whole), fraction
    whole, _, fraction = number.replace(",", ".").partition(".")
    return whole, fraction
