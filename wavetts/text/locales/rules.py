"""The rules of one language other than English: numbers, dates, times, money, ordinals, codes, abbreviations."""

from __future__ import annotations

import re

from wavetts.text.locales.abbreviations import expansions, looks_abbreviated
from wavetts.text.locales.cldr import language_data
from wavetts.text.locales.gaps import POINTS
from wavetts.text.tokens import Rule, Scanner, rule, word_set

# Ordinals that are marked by letters: el 1º, la 2ª, le 1er, la 1re, le 2e, 1-й.
_MARKED = {
    "ca": r"\.?[ºª]|r|n|t|è|a(?!\w)",
    "es": r"\.?[ºª]|\.?er(?!\w)",
    "fr": r"er|re|ère|nde|nd|ème|è|es|e",
    "it": r"\.?[ºª°](?! ?[CF])",
    "pt": r"\.?[ºª](?! ?[CF])",
    "ru": r"-?(?:й|го|му|м|я|е|ю|ой|ая|ое)",
    "uk": r"-?(?:й|го|му|ий|а|е)",
    "nl": r"e|de|ste",
    "sv": r":[ae]",
    "fi": r":s",
    "tr": r"'?(?:inci|nci|uncu|üncü|ncu|ncü)",
}
_FEMININE = ("ª", "re", "ère", "nde", "я", "ая", "а")
_GERMAN_ENDINGS = {
    **dict.fromkeys(
        word_set("am im vom zum zur beim dem den des einer einem einen eines jedem jeden jeder meinen seinen"), "n"
    ),
    **dict.fromkeys(word_set("ein mein sein kein"), "r"),
}
_DATE = r"([0-9]{1,4})(?P<sign>[./-]) ?([0-9]{1,2})(?P=sign) ?([0-9]{4}|[0-9]{2})(?![\w/-]|[.,][0-9])"


def _left(match: re.Match[str], count: int = 14) -> str:
    return match.string[max(0, match.start() - count) : match.start()]


class Rules:
    """Makes the scanner of one language.

    Args:
        language: an espeak language code, not English.
    """

    def __init__(self, language: str):
        self.data = language_data(language)
        self.language = language
        self.base = language.split("-")[0]
        self.point = POINTS.get(self.base)

    def scanner(self) -> Scanner:
        """The scanner of the language; without number words, digits are left to espeak."""
        return Scanner(self._words(), [], self._digits(), self._signs(), self.language)

    # --- numbers ---------------------------------------------------------------------------------------------------

    def _number_pattern(self) -> str:
        decimal, group = map(re.escape, (self.data.decimal_sign, self.data.group_sign))
        groups = rf"(?:[ '\u2019]|{group})" if group.strip() and group != decimal else "[ '\u2019]"
        if self.data.decimal_sign == ",":
            groups = r"[ .'\u2019]"
        indian = r"|[0-9]{1,2}(?:,[0-9]{2}){1,6},[0-9]{3}(?![0-9])" if self.data.decimal_sign == "." else ""
        return rf"(?:[0-9]{{1,3}}(?:{groups}[0-9]{{3}})+(?![0-9]){indian}|[0-9]+)(?:{decimal}[0-9]+)?"

    def _parse(self, written: str) -> tuple[str, str]:
        whole, _, fraction = written.partition(self.data.decimal_sign)
        return re.sub("[^0-9]", "", whole), fraction

    def _guard(self, say):
        """A rule's function that leaves its token to espeak where the language has no words for it."""

        def guarded(match: re.Match[str], language: str) -> str | None:
            try:
                return say(match)
            except (ValueError, KeyError):
                return None

        return guarded

    def _digits(self) -> list[Rule]:
        number = self._number_pattern()
        signs = "|".join(re.escape(sign) for sign in sorted(self.data.currencies, key=len, reverse=True))
        marked = _MARKED.get(self.base)
        stay = rule("code", r"[0-9]+(?:[.:/-][0-9]+){2,}", lambda match, language: match[0])
        if not self.data.speaks_numbers:
            return [stay, rule("number", r"[0-9]+(?:[.,' ][0-9]+)*", lambda match, language: match[0])]
        rules = [
            rule("date", _DATE, self._guard(self._date), ". / -"),
            rule("time", r"([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:])", self._guard(self._time), ":"),
            rule("number", r"[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}(?![\w.-])", self._guard(self._grouped), "."),
            rule("code", r"[0-9]+(?:\.[0-9]+){2,}(?![\w-])", self._guard(self._version), "."),
            rule("code", r"[0-9]{2,5}(?:[-/][0-9]{2,8}){2,}(?![\w-])", self._guard(self._groups), "- /"),
            stay,
            rule(
                "money",
                rf"({number}) ?({signs})(?![\w$])",
                self._guard(lambda m: self.data.money(*self._parse(m[1]), m[2])),
            ),
            rule("measure", rf"({number}) ?%", self._guard(self._percent)),
        ]
        if marked:
            rules.append(rule("ordinal", rf"([0-9]{{1,9}})({marked})(?![\w°º]| ?[CF]\b)", self._guard(self._marked)))
        rules.append(rule("measure", rf"({number}) ?[°º] ?([CFСФ]\b)?", self._guard(self._degrees)))
        if self.base == "de":
            rules.append(rule("date", r"([0-9]{4}|[1-9]0)(er(?:n|s)?)\b", self._guard(self._decade), "a"))
        if self.data.dotted_ordinals:
            rules.append(rule("ordinal", r"([0-9]{1,3})\.(?= ?[^\W\d_])", self._guard(self._dotted), "."))
        rules += [
            rule("number", r"([0-9]+),([0-9]{1,2}|[0-9]{4,})(?![0-9]|,[0-9])", self._guard(self._comma), ","),
            rule("number", rf"{number}(?![0-9])", self._guard(self._number)),
            rule("number", r"([0-9]+)\.([0-9]+)", self._guard(self._foreign), "."),
            rule("number", r"[0-9]{13,}", self._guard(lambda m: self.data.digits(m[0]))),
            rule("number", r"[0-9]+(?:[.,:/' -][0-9]+)*", lambda match, language: match[0]),
        ]
        return rules

    def _number(self, match: re.Match[str]) -> str:
        written = match[0]
        after = match.string[match.end() : match.end() + 2]
        if self.data.decimal_sign == "," and re.match(r"\.[0-9]", after):
            raise ValueError("a point follows")
        whole, fraction = self._parse(written)
        if written == whole and len(whole) == 4 and 1100 <= int(whole) < 2000:
            return self.data.year(int(whole))
        if (
            not fraction
            and len(whole) <= 12
            and whole.endswith("1")
            and re.match(r" [^\W\d_]", after)
            and whole[0] != "0"
        ):
            return self.data.counted(int(whole))
        return self.data.number(whole, fraction)

    def _grouped(self, match: re.Match[str]) -> str:
        """`1.234.567` where the comma is the decimal sign; four parts of an address of a machine are none."""
        parts = match[0].split(".")
        if self.data.decimal_sign != "," or (len(parts) == 4 and all(int(part) < 256 for part in parts)):
            raise ValueError("parts")
        return self.data.number("".join(parts))

    def _comma(self, match: re.Match[str]) -> str:
        """`3,5` where the point is the decimal sign: a comma amid digits is no pause there either."""
        return self.data.number(match[1], match[2])

    def _foreign(self, match: re.Match[str]) -> str:
        """`3.14` where the comma is the decimal sign: the point is said, or else the decimal word."""
        whole, fraction = match.groups()
        if self.point:
            return f"{self.data.number(whole)} {self.point} {self.data.digits(fraction)}"
        return self.data.number(whole, fraction)

    def _time(self, match: re.Match[str]) -> str:
        parts = [self.data.cardinal(int(part)) for part in match.groups() if part and (part != "00" or match[3])]
        return " ".join(parts)

    def _version(self, match: re.Match[str]) -> str:
        if not self.point:
            raise ValueError("no word for the point")
        return f" {self.point} ".join(self.data.number(part) for part in match[0].split("."))

    def _groups(self, match: re.Match[str]) -> str:
        return ", ".join(self.data.digits(group) for group in re.split("[-/]", match[0]))

    def _degrees(self, match: re.Match[str]) -> str:
        whole, fraction = self._parse(match[1])
        unit = {"C": "temperature-celsius", "С": "temperature-celsius", "F": "temperature-fahrenheit"}
        return self.data.unit(self.data.number(whole, fraction), int(whole), unit.get(match[2], "angle-degree"))

    def _percent(self, match: re.Match[str]) -> str:
        whole, fraction = self._parse(match[1])
        words = self.data.unit(self.data.number(whole, fraction), int(whole), "concentr-percent")
        return words.replace("percento", "per cento")  # Italian has both; espeak knows the words apart

    # --- ordinals and dates ----------------------------------------------------------------------------------------

    def _marked(self, match: re.Match[str]) -> str:
        feminine = match[2].endswith(_FEMININE)
        words = self.data.ordinal(int(match[1]), feminine)
        if self.base in ("es",) and match[2].endswith("er"):
            words = re.sub("(prim|terc)ero$", r"\1er", words)
        return words

    def _ending(self, match: re.Match[str]) -> str:
        if self.base != "de":
            return ""
        words = _left(match).split()
        return _GERMAN_ENDINGS.get(words[-1].lower(), "") if words else ""

    def _dotted(self, match: re.Match[str]) -> str:
        if match.end() == match.endpos:
            raise ValueError("the end of the sentence")
        try:
            return self.data.ordinal(int(match[1]), ending=self._ending(match))
        except ValueError:
            return self.data.cardinal(int(match[1]))  # its stop would be a pause

    def _decade(self, match: re.Match[str]) -> str:
        value = int(match[1])
        return (self.data.year(value) if value > 1000 else self.data.cardinal(value)) + match[2]

    def _date(self, match: re.Match[str]) -> str:
        first, sign, second, last = match.groups()
        if len(first) == 4:
            year, month, day = int(first), int(second), int(last)
        elif len(first) > 2 or (len(last) == 2 and sign != "/"):
            raise ValueError("no date")
        else:
            day, month, year = int(first), int(second), int(last)
            if sign == "/" and ((self.data.month_first and day <= 12) or month > 12):
                day, month = month, day
            if len(last) == 2:
                year += 2000 if year < 50 else 1900
        words = _left(match).split()
        ending = self._ending(match)
        if self.base == "de" and not ending and (not words or words[-1].lower() not in ("der", "die", "das")):
            ending = "r"
        return self.data.date(day, month, year, ending)

    # --- signs and words -------------------------------------------------------------------------------------------

    def _signs(self) -> dict[str, list[Rule]]:
        if not self.data.speaks_numbers:
            return {}
        number = self._number_pattern()
        rules: dict[str, list[Rule]] = {
            "-": [rule("number", r"(?<![\w,.)])-(?=[$€£₽]? ?[0-9])", self._guard(lambda m: self.data.minus))],
        }
        for sign in self.data.currencies:
            if not sign.isalpha():
                rules.setdefault(sign[0], []).append(self._money_before(sign, number))
        return rules

    def _money_before(self, sign: str, number: str) -> Rule:
        return rule(
            "money",
            rf"(?<!\w){re.escape(sign)} ?({number})(?! ?%)",
            self._guard(lambda match: self.data.money(*self._parse(match[1]), sign)),
        )

    def _words(self) -> list[Rule]:
        rules = []
        if self.data.speaks_numbers and self.base == "pt":
            rules.append(
                rule(
                    "money",
                    rf"R\$ ?({self._number_pattern()})",
                    self._guard(lambda m: self.data.money(*self._parse(m[1]), "R$")),
                    "$",
                    ["r"],
                )
            )
        known = expansions(self.base)
        if known:
            names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
            first = {found[0].lower() for name in known if (found := re.match(r"[^\W\d_]+(?:'[^\W\d_]+)*", name))}
            rules.append(rule("abbreviation", rf"(?<![\w.])({names})(?!\w)", self._abbreviation, None, first))
        rules.append(rule("abbreviation", r"(?<![\w.'-])([^\W\d_]{1,4})\.(?= ?\w)", self._short, "."))
        return rules

    def _abbreviation(self, match: re.Match[str], language: str) -> str:
        words = expansions(self.base)[match[1]]
        return words + ("." if match[0].endswith(".") and match.end() >= match.endpos else "")

    def _short(self, match: re.Match[str], language: str) -> str | None:
        """An abbreviation that the table does not have: its stop is no pause."""
        return match[1] if looks_abbreviated(match[1]) else None
