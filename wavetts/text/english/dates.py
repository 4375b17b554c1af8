"""English dates, days, spans of years and decades."""

from __future__ import annotations

import re

from wavetts.text.english.number_words import NO_ROW, cardinal, ordinal, plural, short_year, year
from wavetts.text.tokens import rule, word_set

_MONTH_NAMES = "January|February|March|April|May|June|July|August|September|October|November|December"
MONTHS: tuple[str, ...] = tuple(_MONTH_NAMES.split("|"))
_SHORT_MONTHS = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
_NAME = rf"(?i:{_MONTH_NAMES}|{_SHORT_MONTHS})"
_MONTH = rf"({_NAME})\b\.?"
_D = "(?:0?[1-9]|[12][0-9]|3[01])"
_DAY = r"(0?[1-9]|[12][0-9]|3[01])(?:st|nd|rd|th|ST|ND|RD|TH)?"
_YEAR = r"([12][0-9]{3})(?![0-9A-Za-z])"
_NO_NUMBER_AFTER = r"(?![0-9]|[.,:/][0-9]|-[0-9])"
_MONTH_WORDS = [
    *(month.lower() for month in MONTHS),
    *word_set("jan feb mar apr jun jul aug sept sep oct nov dec"),
]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY_NAME = "(Mon|Tues?|Wed|Thurs?|Thu|Fri|Sat|Sun)"
_SHORT_DAYS = word_set("mon tue tues wed thu thur thurs fri sat sun")


def month_name(month: str) -> str:
    """The full name of a month of which the first three letters are given."""
    return next(name for name in MONTHS if name.startswith(month[:3].capitalize()))


def _day_name(day: str) -> str:
    return next(name for name in _DAYS if name.startswith(day.capitalize()))


def _say_date(in_year: str, month: int, day: int, language: str) -> str:
    said = ", " + (short_year(in_year, language) if len(in_year) == 2 else year(in_year, language)) if in_year else ""
    if language.startswith("en-us"):
        return f"{MONTHS[month - 1]} {ordinal(day, language)}{said}"
    return f"the {ordinal(day, language)} of {MONTHS[month - 1]}{said}"


def _year_first(match: re.Match[str], language: str) -> str | None:
    in_year, _, month, day = match.groups()
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    return _say_date(in_year, int(month), int(day), language)


def _timestamp(match: re.Match[str], language: str) -> str | None:
    from wavetts.text.english.times import say_clock

    in_year, month, day, hour, minute, second, zulu = match.groups()
    date = _say_date(in_year, int(month), int(day), language)
    clock = say_clock(hour, minute, second, "", language)
    return f"{date} {clock}" + (" UTC" if zulu else "")


def _numeric(match: re.Match[str], language: str) -> str | None:
    """`3/4/2015` is March 4 in American English and 3 April in the others; where only one order is possible, that."""
    first, sign, second, last = match.groups()
    if sign != "/" and len(last) == 2:
        return None
    month_first = language.startswith("en-us")
    if int(first if month_first else second) > 12:
        month_first = not month_first
    month, day = (int(first), int(second)) if month_first else (int(second), int(first))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if len(last) == 2:
        value = int(last)
        last = str(value + (2000 if value < 50 else 1900))
    return _say_date(last, month, day, language)


def _day_slash(match: re.Match[str], language: str) -> str:
    return f"{_day_name(match[1])}{',' if match[2] else ''} {MONTHS[int(match[3]) - 1]} {ordinal(match[4], language)}"


def _month_day(match: re.Match[str], language: str) -> str | None:
    month, day, last_day, comma, in_year = match.groups()
    if month in ("may", "mar", "march", "jun") and not in_year and month != "march":
        return None  # "it may 5", a name
    words = f"{month_name(month)} {ordinal(day, language)}"
    if last_day:
        words += f" to {ordinal(last_day, language)}"
    return words + ((comma or "") + " " + year(in_year, language) if in_year else "")


def _day_month(match: re.Match[str], language: str) -> str | None:
    text, start = match.string, match.start()
    if text[max(0, start - 1) : start] in tuple(".,:/$£€-") and start:
        return None
    day, last_day, month, comma, in_year = match.groups()
    article = "" if re.search(r"\bthe $", text[max(0, start - 4) : start], re.IGNORECASE) else "the "
    words = f"{article}{ordinal(day, language)}"
    if last_day:
        words += f" {'and' if ' and ' in match[0] else 'to'} {ordinal(last_day, language)}"
    return f"{words} of {month_name(month)}" + ((comma or "") + " " + year(in_year, language) if in_year else "")


def _dashed(match: re.Match[str], language: str) -> str:
    """`Jan-15-2020`, `15-Jan-2020`."""
    month, day, in_year = match["month"], match["day"], match["year"]
    if len(in_year or "") == 2:
        in_year = f"{'19' if int(in_year) >= 50 else '20'}{in_year}"
    return _say_date(in_year or "", MONTHS.index(month_name(month)) + 1, int(day), language).replace(",", "")


def _months(match: re.Match[str], language: str) -> str:
    words = f"{month_name(match[1])} to {month_name(match[2])}"
    return f"{words} {year(match[3], language)}" if match[3] else words


def _years(match: re.Match[str], language: str) -> str | None:
    first, sign, last = match.groups()
    last = last.lstrip("'")
    if len(last) == 2:
        if int(last) <= int(first) % 100:
            return None
        words = short_year(last, language)
    elif int(last) < int(first):
        return None
    else:
        words = year(last, language)
    return f"{year(first, language)} {'to ' if sign.strip() == '-' else ''}{words}"


def _decade(match: re.Match[str], language: str) -> str | None:
    mark = match.string[max(0, match.start() - 1) : match.start()]
    if mark in (".", ",", "$", "£"):
        return None
    if len(match[1]) == 2 and "'" not in match[0] and not _in_decade(match):
        return None
    words = _say_decade(match[1], language)
    if match[2]:
        return f"{words} to {_say_decade(match[2], language)}"
    return words


_DECADE_BEFORE = re.compile(
    r"\b(?:the|his|her|their|my|our|your|early|late|mid|low|high|upper|lower|of|since)[ -]$", re.I
)
_SECONDS_BEFORE = re.compile(
    r"(?:\b(?:for|rest|after|every|wait|within|about|than|least|another|in|only|just|by|to|of|took|take|takes|last|lasts|"
    r"around|up to|waited|slept|held|hold|run|plank|under|over|some|is|was|=|:)|[0-9]m) ?$",
    re.IGNORECASE,
)


_OF_A_DECADE = re.compile(
    r" (?:music|fashion|kids?|style|rock|pop|hits|hair|movies?|films?|nostalgia|era|shows?|cartoons?|bands?|songs?)\b"
)


def _in_decade(match: re.Match[str]) -> bool:
    """True if `30s` is a decade of years or of an age rather than seconds."""
    before = match.string[max(0, match.start() - 12) : match.start()]
    if _DECADE_BEFORE.search(before) or match[2]:
        return True
    if _OF_A_DECADE.match(match.string, match.end()):
        return True
    return match[1] not in ("10", "30", "60", "90") and not _SECONDS_BEFORE.search(before)


def _say_decade(written: str, language: str) -> str:
    if written == "00":
        return "two thousands"
    return plural(year(written, language) if len(written) == 4 else cardinal(written, language))


def _quarter(number: str, in_year: str | None, language: str) -> str:
    if not in_year:
        return f"{ordinal(number, language)} quarter"
    in_year = in_year.lstrip("'")
    return f"{ordinal(number, language)} quarter of {year('20' + in_year if len(in_year) == 2 else in_year, language)}"


def _era(match: re.Match[str], language: str) -> str:
    letters = "-".join(char for char in match[2].upper() if char.isalpha())
    number = match[1].replace(",", "")
    last = "." if match[0].endswith(".") and match.end() == match.endpos else ""
    if len(number) in (3, 4) and not number.endswith("00") and "," not in match[1]:
        number = f"{cardinal(number[:-2], language)} {short_year(number[-2:], language)}"
    else:
        number = cardinal(number, language)
    return f"{number} {letters}{last}"


_SPAN_END = r"(?![0-9A-Za-z/-]|[.,:][0-9]| ?[%°]| ?(?:km|kg|m|ft|lbs?|miles)\b)"

DIGITS = [
    rule(
        "date",
        r"([12][0-9]{3})-(0[1-9]|1[0-2])-([0-3][0-9])[T ]([0-2][0-9]):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]+)?)?"
        r"(Z\b)?(?![0-9:])",
        _timestamp,
        "-0",
    ),
    rule(
        "date",
        r"([12][0-9]{3})(?P<sign>[-/.])(0?[1-9]|1[0-2])(?P=sign)([0-3]?[0-9])(?![0-9/-]|\.[0-9])",
        _year_first,
        "-0 /0 .0",
    ),
    rule(
        "date",
        r"(?<![0-9][/.,-])([0-9]{1,2})(?P<sign>[/.-])([0-9]{1,2})(?P=sign)([12][0-9]{3}|[0-9]{2})(?![0-9/-]|\.[0-9])",
        _numeric,
        "/0 .0 -0",
    ),
    rule("date", rf"(?P<day>{_D})-(?P<month>{_NAME})(?:-(?P<year>[12][0-9]{{3}}|[0-9]{{2}}))?(?![\w-])", _dashed, "-a"),
    rule(
        "date",
        rf"{NO_ROW}{_DAY}(?:(?: ?- ?| and | to ){_DAY})?(?: of)? {_MONTH}(?:(,?) ?(?<=[, ]){_YEAR})?{_NO_NUMBER_AFTER}",
        _day_month,
        "_:jfmasondt a -0 -_ _-",
    ),
    rule("date", rf"([12][0-9]{{3}})( ?- ?)([12][0-9]{{3}}|'?[0-9]{{2}}){_SPAN_END}", _years, "-0 -' -_ _-"),
    rule("date", r"([12][0-9]{3})(/)([0-9]{2})(?![\w/-]|[.,:][0-9])", _years, "/"),
    rule("date", r"([12][0-9]{2}0|[1-9]0)(?: s|'?s)\b(?:-'?([12][0-9]{2}0|[0-9]0)'?s\b)?", _decade, "a '"),
    rule("date", r"([12][0-9]{2}0) s(?![\w'.])", lambda m, language: _say_decade(m[1], language), "_a"),
    rule(
        "date", r"([1-4])Q ?('?[0-9]{2}|[12][0-9]{3})?(?!\w)", lambda m, language: _quarter(m[1], m[2], language), "a"
    ),
    rule(
        "date",
        r"([0-9]{1,4}|[0-9]{1,2},[0-9]{3}) ?((?:AD|BC|BCE|CE)\b|A\. ?D\b\.?|B\. ?C\b\.?(?:E\b\.?)?|C\.E\b\.?)",
        _era,
        "_:abc a ,00",
    ),
]
SIGNS = {
    "'": [
        rule("date", r"(?<![\w'])'([0-9]0)'?s\b(?:-'?([0-9]0)'?s\b)?", _decade),
        rule(
            "date",
            r"(?<![\w'])'([0-9]{2})(?![0-9A-Za-z':%]|[.,][0-9])",
            lambda match, language: short_year(match[1], language),
        ),
    ],
}


_FULL_DAYS = "|".join(_DAYS)
WORDS = [
    rule(
        "date",
        rf"((?i:{_FULL_DAYS}|{_DAY_NAME[1:-1]}))\b\.?(,?) (0?[1-9]|1[0-2])/([12][0-9]|3[01]|0?[1-9])(?![0-9/])",
        _day_slash,
        None,
        [*_SHORT_DAYS, *(day.lower() for day in _DAYS)],
    ),
    rule(
        "date",
        rf"(?P<month>{_NAME})-(?P<day>{_D})(?:-(?P<year>[12][0-9]{{3}}))?(?![\w-])",
        _dashed,
        "-",
        _MONTH_WORDS,
    ),
    rule(
        "date",
        rf"({_NAME})-({_YEAR[1:]}",
        lambda match, language: f"{month_name(match[1])} {year(match[2], language)}",
        "-",
        _MONTH_WORDS,
    ),
    rule("date", rf"{_MONTH} ?- ?{_MONTH}(?: {_YEAR})?(?!\w)", _months, "- . _-", _MONTH_WORDS),
    rule(
        "date",
        rf"{_MONTH} {_DAY}(?![0-9A-Za-z])(?: ?- ?{_DAY}(?![0-9A-Za-z]))?(?:(,?) ?(?<=[, ]){_YEAR})?{_NO_NUMBER_AFTER}",
        _month_day,
        "_0 .",
        _MONTH_WORDS,
    ),
    rule(
        "date",
        rf"{_MONTH}(?=,? (?:[12][0-9]{{3}}|'[0-9]{{2}})(?![0-9]))",
        lambda match, language: month_name(match[1]),
        "_0 . _' ,",
        _MONTH_WORDS,
    ),
    rule(
        "date",
        r"[Qq]([1-4])(?: (?:of )?|/|-)?('?[0-9]{2}\b|[12][0-9]{3}\b)?(?![\w-]|[.,][0-9])",
        lambda m, language: _quarter(m[1], m[2], language),
        "0",
        ["q"],
    ),
    rule(
        "date",
        rf"{_DAY_NAME}\.? ?- ?{_DAY_NAME}\b\.?",
        lambda match, language: f"{_day_name(match[1])} to {_day_name(match[2])}",
        "- . _-",
        _SHORT_DAYS,
    ),
    rule(
        "date",
        rf"{_DAY_NAME}(?=,? {_NAME}\b\.? [0-9])",
        lambda match, language: _day_name(match[1]),
        ", _a",
        _SHORT_DAYS,
    ),
    # Sun. and Sat. may end a sentence: only before what goes with a day.
    rule(
        "date",
        rf"{_DAY_NAME}\.(?=,| [0-9]| (?:&|and|to|at|morning|afternoon|evening|night|{_MONTH_NAMES}|{_SHORT_MONTHS})\b)",
        lambda match, language: _day_name(match[1]),
        ".",
        _SHORT_DAYS,
    ),
]
