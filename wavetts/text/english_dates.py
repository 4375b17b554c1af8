"""English rules about dates, years and times of day."""

from __future__ import annotations

import re

from wavetts.text.abbreviations import ends_sentence
from wavetts.text.number_words import cardinal, ordinal, plural, year

_MONTH_NAMES = "January|February|March|April|May|June|July|August|September|October|November|December"
_MONTHS = _MONTH_NAMES.split("|")
_MONTH = rf"({_MONTH_NAMES}|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?"
_DAY = r"(0?[1-9]|[12][0-9]|3[01])(?:st|nd|rd|th)?"
_NO_NUMBER_AFTER = r"(?![0-9]|[.,:/][0-9]|-[0-9])"

_ISO_DATE = re.compile(
    r"(?<![0-9/.,-])([12][0-9]{3})([-/])(0[1-9]|1[0-2])\2(0[1-9]|[12][0-9]|3[01])(?![0-9/-]|\.[0-9])"
)
_SLASH_DATE = re.compile(
    r"(?<![0-9/.,-])([0-9]{1,2})/([0-9]{1,2})/([12][0-9]{3}|[0-9]{2})(?![0-9/-]|\.[0-9])"
    r"|(?<![0-9/.,-])([0-9]{1,2})([.-])([0-9]{1,2})\5([12][0-9]{3})(?![0-9/-]|\.[0-9])"
)
_MONTH_DAY = re.compile(
    rf"\b{_MONTH} {_DAY}(?![0-9A-Za-z])(?: ?- ?{_DAY}(?![0-9A-Za-z]))?"
    rf"(?:(,? )([12][0-9]{{3}})(?![0-9A-Za-z]))?{_NO_NUMBER_AFTER}"
)
_DAY_MONTH = re.compile(
    rf"(?:\b([Tt]he) )?(?<![0-9.,:/$£€-]){_DAY}(?:(?: ?- ?| and | to ){_DAY})?(?: of)? {_MONTH}"
    rf"(?:(,? )([12][0-9]{{3}})(?![0-9A-Za-z]))?{_NO_NUMBER_AFTER}"
)
_MONTH_YEAR = re.compile(rf"\b{_MONTH}(?=,? [12][0-9]{{3}}(?![0-9]))")
_YEARS = re.compile(
    r"(?<![0-9A-Za-z.,/$£€-])([12][0-9]{3}) ?- ?([12][0-9]{3}|'?[0-9]{2})(?![0-9A-Za-z/-]|[.,:][0-9]| ?[%°])"
)
_DECADE = re.compile(r"(?<![0-9.,$£€])'?([12][0-9]{2}0)'?s\b|(?<![\w.,$£€])'?([1-9]0)'?s\b")
_SHORT_YEAR = re.compile(r"(?<![\w'])'([0-9]{2})(?![0-9A-Za-z':%]|[.,][0-9])")

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY_NAME = "(Mon|Tues?|Wed|Thurs?|Fri|Sat|Sun)"
_DAY_RANGE = re.compile(rf"\b{_DAY_NAME}\.? ?- ?{_DAY_NAME}\b\.?")
# Sun. and Sat. may end a sentence: only before what goes with a day.
_DAY_STOP = re.compile(
    rf"\b{_DAY_NAME}\.(?=,| [0-9]| (?:&|and|to|at|morning|afternoon|evening|night|{_MONTH_NAMES})\b)"
)
_DAY_SLASH_DATE = re.compile(rf"\b((?:{'|'.join(_DAYS)}),? )(0?[1-9]|1[0-2])/([12][0-9]|3[01]|0?[1-9])(?![0-9/])")
_TIMESTAMP = re.compile(
    r"(?<![0-9-])([12][0-9]{3}-[01][0-9]-[0-3][0-9])T([0-2][0-9]:[0-5][0-9])(?::[0-5][0-9](?:\.[0-9]+)?)?(Z\b)?"
)

_DOT_TIME = re.compile(r"(?<![0-9.,:])(1[0-2]|0?[1-9])\.([0-5][0-9])(?= ?(?:[AaPp]\. ?[Mm]\.|[AaPp][Mm]\b))")
_MERIDIEM = re.compile(r"(?<=[0-9]) ?(?:([AaPp])\. ?[Mm]\.|([ap]|[AP](?=M))[Mm]\b)")
_TIME = re.compile(
    r"(?<![0-9:.,])([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:]|\.[0-9])( ?[AP]M\b| o'clock\b)?"
)
_TIME_RANGE = re.compile(r"(?<=:[0-5][0-9])( ?[AP]M)? ?- ?(?=[0-9]{1,2}(?::[0-5][0-9]| [AP]M))")
_HOUR_RANGE = re.compile(r"(?<![0-9:.,$-])(1[0-2]|[1-9])( ?[AP]M)? ?- ?(1[0-2]|[1-9])(?=(?::[0-5][0-9])? ?[AP]M\b)")


def expand_dates(text: str, language: str) -> str:
    """Dates, spans of years, decades: `3/14/2015`, `2015-03-14`, `March 3, 1999`, `1939-1945`, `the '90s`.

    `3/4/2015` is March 4 in American English and 3 April in the others; where only one order is possible, that one.
    """

    def numeric(match: re.Match[str]) -> str:
        first, second, last = [int(group) for group in match.groups() if group and group.isdigit()]
        month_first = language.startswith("en-us")
        if (first if month_first else second) > 12:
            month_first = not month_first
        month, day = (first, second) if month_first else (second, first)
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return match[0]
        if last < 100:
            last += 2000 if last < 50 else 1900
        return _say_date(last, month, day, language)

    def month_day(match: re.Match[str]) -> str:
        month, day, last_day, comma, in_year = match.groups()
        words = f"{_month_name(month)} {ordinal(day, language)}"
        if last_day:
            words += f" to {ordinal(last_day, language)}"
        return words + (comma + year(in_year, language) if in_year else "")

    def day_month(match: re.Match[str]) -> str:
        article, day, last_day, month, comma, in_year = match.groups()
        words = f"{article or 'the'} {ordinal(day, language)}"
        if last_day:
            words += f" {'and' if ' and ' in match[0] else 'to'} {ordinal(last_day, language)}"
        return f"{words} of {_month_name(month)}" + (comma + year(in_year, language) if in_year else "")

    def years(match: re.Match[str]) -> str:
        first, last = int(match[1]), int(match[2].lstrip("'"))
        if last < 100:
            if last <= first % 100:
                return match[0]
            return f"{year(first, language)} to {_two_digit_year(last, language)}"
        return f"{year(first, language)} to {year(last, language)}"

    def decade(match: re.Match[str]) -> str:
        return plural(year(match[1], language) if match[1] else cardinal(match[2], language))

    text = _DAY_SLASH_DATE.sub(lambda m: f"{m[1]}{_MONTHS[int(m[2]) - 1]} {ordinal(m[3], language)}", text)
    text = _ISO_DATE.sub(lambda m: _say_date(int(m[1]), int(m[3]), int(m[4]), language), text)
    text = _SLASH_DATE.sub(numeric, text)
    text = _DAY_MONTH.sub(day_month, text)
    text = _MONTH_DAY.sub(month_day, text)
    text = _MONTH_YEAR.sub(lambda m: _month_name(m[1]), text)
    text = _DECADE.sub(decade, text)
    text = _YEARS.sub(years, text)
    return _SHORT_YEAR.sub(lambda m: _two_digit_year(int(m[1]), language), text)


def expand_days(text: str) -> str:
    """Days of the week and timestamps: `Sat., Oct. 5` -> `Saturday, Oct. 5`, `Mon-Fri` -> `Monday to Friday`."""
    text = _TIMESTAMP.sub(lambda m: f"{m[1]} {m[2]}" + (" UTC" if m[3] else ""), text)
    text = _DAY_RANGE.sub(lambda m: f"{_day_name(m[1])} to {_day_name(m[2])}", text)
    return _DAY_STOP.sub(lambda m: _day_name(m[1]), text)


def _day_name(day: str) -> str:
    return next(name for name in _DAYS if name.startswith(day))


def _say_date(in_year: int, month: int, day: int, language: str) -> str:
    if language.startswith("en-us"):
        return f"{_MONTHS[month - 1]} {ordinal(day, language)}, {year(in_year, language)}"
    return f"the {ordinal(day, language)} of {_MONTHS[month - 1]}, {year(in_year, language)}"


def _month_name(month: str) -> str:
    return next(name for name in _MONTHS if name.startswith(month[:3]))


def _two_digit_year(value: int, language: str) -> str:
    return cardinal(value, language) if value >= 10 else f"oh {cardinal(value, language)}"


def expand_times(text: str, language: str) -> str:
    """Times of day: `3:30 pm` -> `three thirty PM`, `12:00` -> `twelve o'clock`, `14:00` -> `fourteen hundred`."""

    def meridiem(match: re.Match[str]) -> str:
        stop = "." if match[1] and ends_sentence(match.string, match.end()) else ""
        return f" {(match[1] or match[2]).upper()}M{stop}"

    def time(match: re.Match[str]) -> str:
        hour, minute, second, after = match.groups()
        after = f" {after.strip()}" if after else ""
        words = cardinal(int(hour), language)
        if minute != "00":
            words += " oh " if minute[0] == "0" else " "
            words += cardinal(int(minute), language)
        elif second:
            words += " o'clock"
        elif not after:
            words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
        if second and second != "00":
            words += f" and {cardinal(int(second), language)} second{'' if int(second) == 1 else 's'}"
        return words + after

    text = _DOT_TIME.sub(r"\1:\2", text)
    text = _MERIDIEM.sub(meridiem, text)
    text = _TIME_RANGE.sub(lambda m: f"{m[1] or ''} to ", text)
    text = _HOUR_RANGE.sub(lambda m: f"{m[1]}{m[2] or ''} to {m[3]}", text)
    return _TIME.sub(time, text)
