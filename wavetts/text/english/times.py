"""English times of day and durations on a clock."""

from __future__ import annotations

import re

from wavetts.text.english.abbreviations import closing_stop
from wavetts.text.english.number_words import NO_ROW, cardinal, short_year, spell_digits
from wavetts.text.tokens import rule

_MERIDIEM = r"(?:[AaPp]\. ?[Mm]\b\.?|[AaPp][Mm]\b\.?)"
_ZONES = "EST|EDT|CST|CDT|MST|MDT|PST|PDT|ET|CT|MT|PT|GMT|UTC|CET|CEST|BST|IST|JST|AEST|Z"
_ZONE = rf"(?: ?((?:{_ZONES})\b|(?:e\.?s\.?t|p\.?s\.?t|c\.?s\.?t|m\.?s\.?t)\b\.?|gmt\b|utc\b))?"
_CLOCK = r"([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:]|\.[0-9])"


def say_clock(hour: str, minute: str, second: str | None, after: str, language: str) -> str:
    """A time of day: `3:30` -> `three thirty`, `12:00` -> `twelve o'clock`, `14:00` -> `fourteen hundred`.

    Args:
        hour: its digits.
        minute: two digits.
        second: two digits or None.
        after: what follows (`PM`, `o'clock`), said behind; the full hour needs no "o'clock" then.
        language: an espeak language code.
    """
    words = cardinal(int(hour), language)
    if minute != "00":
        words += f" {short_year(minute, language)}"
    elif second and not after:
        words += " o'clock"
    elif not after:
        words += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    if second and second != "00":
        words += f" and {cardinal(int(second), language)} second{'' if int(second) == 1 else 's'}"
    return f"{words} {after}" if after else words


def _meridiem(written: str | None) -> str:
    letters = "".join(char for char in written or "" if char.isalpha()).upper()
    return letters


def _zone(written: str | None) -> str:
    return {"Z": "UTC"}.get(written or "", "-".join(c for c in (written or "").upper() if c.isalpha()))


def _with_stop(match: re.Match[str], words: str) -> str:
    return words + (closing_stop(match) if match[0].endswith(".") else "")


def _time(match: re.Match[str], language: str) -> str | None:
    hour, minute, second, meridiem, zone = match.groups()
    after = meridiem.strip() if meridiem else ""
    if after and not after.startswith("o'"):
        after = _meridiem(after)
    words = say_clock(hour, minute, second, after, language)
    if zone:
        if minute == "00" and not meridiem and not second:
            words = cardinal(int(hour), language) + (" hundred" if int(hour) > 12 or hour[0] == "0" else "")
        words += f" {_zone(zone)}"
    return _with_stop(match, words)


def _hour(match: re.Match[str], language: str) -> str:
    words = f"{cardinal(int(match[1]), language)} {_meridiem(match[2])}"
    if match[3]:
        words += f" {_zone(match[3])}"
    return _with_stop(match, words)


def _dotted(match: re.Match[str], language: str) -> str:
    words = say_clock(match[1], match[2], None, _meridiem(match[3]), language)
    if match[4]:
        words += f" {_zone(match[4])}"
    return _with_stop(match, words)


def _range(match: re.Match[str], language: str) -> str | None:
    """`9-11 am`, `9:00-10:30 am`, `2pm-5pm`; the second may be followed by its meridiem and zone."""
    first_hour, first_minute, first_meridiem, hour, minute, meridiem, zone = match.groups()
    if not (first_minute or minute or meridiem or first_meridiem) or not (meridiem or (first_minute and minute)):
        return None
    first = _say(first_hour, first_minute, first_meridiem, language, alone=bool(first_minute))
    words = f"{first} to {_say(hour, minute, meridiem, language, alone=True)}"
    if zone:
        words += f" {_zone(zone)}"
    return _with_stop(match, words)


def _say(hour: str, minute: str | None, meridiem: str | None, language: str, alone: bool) -> str:
    if minute:
        return say_clock(hour, minute, None, _meridiem(meridiem), language)
    words = cardinal(int(hour), language)
    return f"{words} {_meridiem(meridiem)}" if meridiem else words


def _stopwatch(match: re.Match[str], language: str) -> str:
    """`1:23.45`, `12:01:05.250`: the parts in a row, as times of races are read."""
    hours, minutes, seconds, fraction = match.groups()
    words = [cardinal(int(hours), language)] if hours else []
    words.append(short_year(minutes, language) if hours else cardinal(int(minutes), language))
    words.append("oh oh" if seconds == "00" else short_year(seconds, language))
    return " ".join(words) + f" point {spell_digits(fraction)}"


DIGITS = [
    rule("time", r"(?:([0-9]{1,2}):)?([0-9]{1,2}):([0-5][0-9])\.([0-9]{1,3})(?![0-9:]|\.[0-9])", _stopwatch, ":"),
    rule(
        "time",
        rf"{NO_ROW}([01]?[0-9]|2[0-4])(?::([0-5][0-9]))?( ?{_MERIDIEM})? ?- ?([01]?[0-9]|2[0-4])(?::([0-5][0-9]))?"
        rf"(?![0-9:]|[.,][0-9])( ?{_MERIDIEM})?{_ZONE}(?![\w-])",
        _range,
        ": -0 -_ _- a _:ap",
    ),
    rule("time", rf"{_CLOCK}( ?{_MERIDIEM}| o'clock\b)?{_ZONE}(?!['\w])", _time, ":"),
    rule("time", rf"(1[0-2]|0?[1-9])\.([0-5][0-9])( ?{_MERIDIEM}){_ZONE}(?!\w)", _dotted, ".0"),
    rule("time", rf"(1[0-2]|0?[1-9])( ?(?:[AaPp]\. ?[Mm]\b\.?|[ap]m\b\.?|[AP]M\b)){_ZONE}(?!\w)", _hour, "a _:ap"),
]


def _words_time(match: re.Match[str], language: str) -> str:
    """LJSpeech has `ten:forty-five p.m.`: the colon is no pause."""
    return f"{match[1]} {match[2]}"


DIGITS.append(
    rule(
        "time",
        r"([01]?[0-9]|2[0-3])h([0-5][0-9])(?![\w:])",
        lambda match, language: say_clock(match[1], match[2], None, "", language),
        "a",
    )
)
WORDS = [
    rule("time", r"([a-z]{2,}):([a-z]{2,})(?![\w:])", _words_time, ":"),
    rule(
        "time",
        r"([AaPp])\. ?[Mm]\b\.?(?!\w)",
        lambda match, language: _with_stop(match, _meridiem(match[0])),
        ".",
        ["a", "p"],
    ),
]
