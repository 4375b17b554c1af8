"""Words of numbers, dates, units and money in languages other than English, from CLDR.

babel has the signs, dates, units and currencies of a language, unicode-rbnf its number words. num2words is used where
CLDR has no number words, and for amounts of money with cents. Numbers that none of them can convert stay in digits,
which espeak reads in all its languages.
"""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from wavetts.text.locales.gaps import (
    CLDR_NAMES,
    DATE_WORDS,
    DECIMALS,
    DIGITS_ARE_BETTER,
    FIRST,
    IN_HUNDREDS,
    MINUS,
    RBNF_NAMES,
    SMALL,
)
from wavetts.text.number_words import amount_words, num2words_language, number_words

if TYPE_CHECKING:
    from babel import Locale
    from unicode_rbnf import RbnfEngine

_ORDINAL_RULES = (
    "spellout-ordinal-masculine",
    "spellout-ordinal",
    "spellout-ordinal-neuter",
    "spellout-ordinal-feminine",
)
_MAX_DIGITS = 12  # a longer number is a code, not a quantity


@lru_cache(maxsize=32)
def language_data(language: str) -> LanguageData:
    """The data of one espeak language."""
    return LanguageData(language)


class LanguageData:
    """The words and signs of a language, from CLDR and num2words.

    Every method raises ValueError if they are not available; the caller then leaves the digits to espeak.

    Args:
        language: an espeak language code, not English.
    """

    def __init__(self, language: str):
        self.language = language
        self.base = language.split("-")[0]

    @cached_property
    def locale(self) -> Locale | None:
        """babel's locale, None if CLDR has none."""
        from babel import Locale, UnknownLocaleError

        for name in (CLDR_NAMES.get(self.language), self.base):
            try:
                if name:
                    return Locale.parse(name)
            except (UnknownLocaleError, ValueError):
                continue
        return None

    @cached_property
    def _engine(self) -> RbnfEngine | None:
        from unicode_rbnf import RbnfEngine

        if self.language in DIGITS_ARE_BETTER:
            return None
        for name in (RBNF_NAMES.get(self.language), self.base):
            if name in RbnfEngine.get_supported_languages():
                return RbnfEngine.for_language(name)
        return None

    @cached_property
    def speaks_numbers(self) -> bool:
        """Whether number words are available."""
        try:
            return bool(self.cardinal(7))
        except ValueError:
            return False

    def _spell(self, value: int, rules: str) -> str:
        if self._engine is None:
            raise ValueError(f"{self.language}: no rules for number words")
        try:
            text = self._engine.format_number(value, ruleset_names=[rules]).text
        except Exception as error:  # rules that do not cover the number, or are broken
            raise ValueError(f"{value} by {rules} in {self.language}") from error
        return re.sub(" +", " ", text.replace("\u00ad", "").replace("\u200b", "")).strip()

    @cached_property
    def _cardinal_rules(self) -> str:
        names = list(self._engine.rulesets) if self._engine else []
        wanted = ("spellout-numbering", "spellout-cardinal", "spellout-cardinal-masculine")
        return next((name for name in wanted if name in names), "")

    def cardinal(self, value: int) -> str:
        """A whole number in words."""
        return _cardinal(self.language, value)

    def year(self, value: int) -> str:
        """A year in words; the Germanic languages count hundreds: `neunzehnhundertneunzig`."""
        if self.base in IN_HUNDREDS and self._engine and 1100 <= value < 2000:
            return self._spell(value, "spellout-numbering-year")
        return self.cardinal(value)

    def ordinal(self, value: int, feminine: bool = False, ending: str = "") -> str:
        """An ordinal in words.

        Args:
            value: the number.
            feminine: in the feminine, where the language has one.
            ending: the ending of the declined form, as CLDR names it (German `n`, `r`, `s`, `m`).
        """
        names = set(self._engine.rulesets) if self._engine else set()
        wanted = [*_ORDINAL_RULES]
        if feminine:
            wanted.insert(0, "spellout-ordinal-feminine")
        if ending:
            wanted.insert(0, f"spellout-ordinal-{ending}")
        found = next((name for name in wanted if name in names), None)
        if found:
            return self._spell(value, found)
        if num2words_language(self.language):
            words = number_words(value, self.language, "ordinal")
            if words and not any(char.isdigit() for char in words):
                return words
        raise ValueError(f"no ordinal of {value} in {self.language}")

    def counted(self, value: int) -> str:
        """A whole number before a noun: Spanish "treinta y un"."""
        if self.base in ("es", "gl") and self._engine:
            return self._spell(value, "spellout-cardinal-masculine")
        return self.cardinal(value)

    @cached_property
    def minus(self) -> str:
        """The word of a negative number."""
        if self.base in MINUS:
            return MINUS[self.base]
        words = self._spell(-7, self._cardinal_rules) if self._cardinal_rules else number_words(-7, self.language)
        word = words.replace(self.cardinal(7), "").strip()
        if not any(char.isalpha() for char in word) or re.search(r"[()0-9]", word):
            raise ValueError(f"no word for minus in {self.language}")
        return word

    @cached_property
    def _signs(self) -> tuple[str, str]:
        symbols = (self.locale.number_symbols if self.locale else None) or {}
        latin = symbols.get("latn") or symbols
        return latin.get("decimal", "."), latin.get("group", ",")

    @property
    def decimal_sign(self) -> str:
        """`,` or `.`."""
        return self._signs[0]

    @property
    def group_sign(self) -> str:
        """The character between groups of three digits."""
        return self._signs[1]

    @cached_property
    def decimal_word(self) -> str:
        """The word of the decimal sign: the middle of "three point five", whichever form CLDR gives in three words."""
        if self.base in DECIMALS:
            return DECIMALS[self.base]
        if self._engine:
            result = self._engine.format_number(Decimal("3.5"))
            for text in (result.text, *result.text_by_ruleset.values()):
                words = text.replace("\u00ad", "").split()
                if len(words) == 3 and words[0] == self.cardinal(3):
                    return words[1]
        if num2words_language(self.language):
            from num2words import num2words

            try:
                words = num2words(3.5, lang=num2words_language(self.language)).split()
            except Exception as error:  # the converters raise whatever their tables run into
                raise ValueError(f"no decimals in {self.language}") from error
            if len(words) == 3:
                return words[1]
        raise ValueError(f"no word for the decimal sign in {self.language}")

    def digits(self, written: str) -> str:
        """Digits one by one."""
        return " ".join(self.cardinal(int(digit)) for digit in written)

    def number(self, whole: str, fraction: str = "") -> str:
        """A decimal number, given as the digits before and after the decimal sign, in words."""
        if len(whole) > _MAX_DIGITS or (len(whole) > 1 and whole[0] == "0"):
            words = self.digits(whole)
        else:
            words = self.cardinal(int(whole))
        return f"{words} {self.decimal_word} {self.digits(fraction)}" if fraction else words

    def date(self, day: int, month: int, year: int, ending: str = "") -> str:
        """A date as the language writes it out: `24 de diciembre de 2024`, its numbers in words."""
        from babel.dates import format_date

        if self.locale is None:
            raise ValueError(f"no dates in {self.language}")
        try:
            written = format_date(datetime.date(year, month, day), "long", locale=self.locale)
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{day}.{month}.{year} is no date") from error
        if not re.search(rf"(?<![0-9]){day}(?![0-9])", written) or str(year) not in written:
            raise ValueError(f"{written} has other digits")
        in_words = (
            self._spell(year, "spellout-numbering-year") if self.base == "ru" and self._engine else self.year(year)
        )
        words = written.replace(str(year), f" {in_words} ", 1)
        return self._tidy_date(re.sub(r"(?<![0-9])([0-9]{1,2})(\.|º|er)?", lambda m: self._day(m, day, ending), words))

    def _day(self, match: re.Match[str], day: int, ending: str) -> str:
        """The number of the day, as an ordinal where it is one, or the number of the month."""
        if int(match[1]) == day and (match[2] or (day == 1 and self.base in FIRST) or self.base in ("ru", "uk", "be")):
            try:
                if self.base == "ru":
                    return self._spell(day, "spellout-ordinal-neuter")
                return self.ordinal(day, ending=ending)
            except ValueError:
                pass
        return self.cardinal(int(match[1]))

    def _tidy_date(self, words: str) -> str:
        """Writes out what stands for "year" and "day", whose stops would be pauses."""
        for short, full in DATE_WORDS.get(self.base, {}).items():
            words = re.sub(rf"(?<=[\s-]){re.escape(short)}(?=[\s,]|$)", full, words)
        words = re.sub(r"\.(?=\s|$)", "", words)
        return re.sub(r"\s+", " ", words.replace("\u200f", "").replace(" ,", ",").replace(" -", " ")).strip()

    @cached_property
    def month_first(self) -> bool:
        """True if a short date begins with the month."""
        pattern = self.locale.date_formats["short"].pattern if self.locale else "d/M/y"
        return pattern.find("M") < pattern.find("d") and not pattern.startswith("y")

    @cached_property
    def months(self) -> frozenset[str]:
        """The names of the months, in small letters."""
        if self.locale is None:
            return frozenset()
        names = self.locale.months
        return frozenset(
            name.lower() for form in names.values() for length in ("wide",) for name in form[length].values() if name
        )

    @cached_property
    def dotted_ordinals(self) -> bool:
        """True if `2.` before a word is "second"."""
        pattern = self.locale.date_formats["long"].pattern if self.locale else ""
        return "d." in pattern or self.base in ("pl", "tr", "eu")

    def unit(self, words: str, value: int, unit: str) -> str:
        """A measure with the name of its unit (`temperature-celsius`, `concentr-percent`)."""
        from babel.units import UnknownUnitError, format_unit

        try:
            written = format_unit(value, unit, "long", locale=self.locale)
        except (UnknownUnitError, AttributeError, KeyError) as error:
            raise ValueError(f"no {unit} in {self.language}") from error
        digits = re.search(r"[0-9][0-9.,\s\u00a0\u202f]*[0-9]|[0-9]", written)
        if digits is None or re.fullmatch(r"[0-9.,]+\s*[%٪°].*", written):
            raise ValueError(f"no {unit} in {self.language}")
        return re.sub(r"\s+", " ", written[: digits.start()] + words + written[digits.end() :]).strip()

    @cached_property
    def currencies(self) -> dict[str, str]:
        """Signs of money to codes: the usual ones, and those of the language's own countries."""
        signs = {
            "€": "EUR",
            "$": "USD",
            "£": "GBP",
            "₽": "RUB",
            "¥": "JPY",
            "₴": "UAH",
            "₺": "TRY",
            "₹": "INR",
            "₩": "KRW",
        }
        signs |= {"₫": "VND", "₪": "ILS", "zł": "PLN", "Kč": "CZK", "Ft": "HUF", "R$": "BRL", "lei": "RON", "₸": "KZT"}
        own = {"sv": ("kr", "SEK"), "nb": ("kr", "NOK"), "da": ("kr", "DKK"), "is": ("kr", "ISK")}
        if self.base in own:
            signs[own[self.base][0]] = own[self.base][1]
        return signs

    def money(self, whole: str, fraction: str, sign: str) -> str:
        """An amount: num2words knows the small change, else the whole with CLDR's name of the currency."""
        code = self.currencies[sign]
        if len(whole) > _MAX_DIGITS:
            raise ValueError(f"{whole},{fraction} is no amount of money")
        if len(fraction) <= 2 and num2words_language(self.language):
            try:
                return amount_words(Decimal(f"{whole}.{fraction or 0}"), code, self.language)
            except ValueError:
                pass
        from babel.numbers import get_currency_name

        if code in SMALL and self.base in SMALL[code] and len(fraction) in (0, 2):
            one, many, small_one, small_many = SMALL[code][self.base]
            parts = (
                [f"{self.number(whole)} {one if int(whole) == 1 else many}"]
                if int(whole) or not int(fraction or 0)
                else []
            )
            if int(fraction or 0):
                parts.append(f"{self.cardinal(int(fraction))} {small_one if int(fraction) == 1 else small_many}")
            return " e ".join(parts)
        count = Decimal(f"{whole}.{fraction or 0}")
        name = get_currency_name(code, count=count, locale=self.locale)
        if name == code:
            raise ValueError(f"no name for {code} in {self.language}")
        return f"{self.number(whole, '' if not fraction.strip('0') else fraction)} {name}"


@lru_cache(maxsize=8192)
def _cardinal(language: str, value: int) -> str:
    data = language_data(language)
    if data._engine is not None and data._cardinal_rules:
        return data._spell(value, data._cardinal_rules)
    if language in DIGITS_ARE_BETTER or num2words_language(language) is None:
        raise ValueError(f"no number words in {language}")
    return number_words(value, language)
