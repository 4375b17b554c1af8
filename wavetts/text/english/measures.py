"""English measures: percentages, units, feet and inches, durations."""

from __future__ import annotations

import re

from wavetts.text.english.number_words import NO_ROW, NUMBER, cardinal, say_number
from wavetts.text.english.units import CAPITAL_UNIT_PATTERN, UNIT_PATTERN, say_unit
from wavetts.text.tokens import rule

_TO = r"( ?- ?| to | or | and | by )"
_ARTICLE = re.compile(r"\b[Aa]n? $")


def _number(written: str, language: str) -> str:
    if "/" not in written:
        return say_number(written, language)
    from wavetts.text.english.numbers import say_fraction

    *whole, fraction = re.split("[ -]", written)
    above, below = fraction.split("/")
    return say_fraction(whole[0] if whole else None, above, below, language)


def _percent(match: re.Match[str], language: str) -> str:
    words = say_number(match[1], language)
    if match[3]:
        words += f" to {say_number(match[3], language)}"
    return f"{words} percent"


def _measure(match: re.Match[str], language: str) -> str | None:
    first, join, amount, gap, *unit = match.groups()
    unit = unit[:5] if unit[1] else unit[5:]  # the second five are those of a unit in capitals
    if gap == " " and unit[1] == "s":
        return None
    words = _number(amount, language)
    if first:
        words = f"{say_number(first, language)} {join.strip().replace('-', 'to')} {words}"
    elif gap == "-":
        return f"{words}-{say_unit(tuple(unit), singular=True)}"
    # "a five kilometer run"
    singular = (_ARTICLE.search(_before(match)) is not None) or (amount in ("1", "1.0") and not first)
    singular = singular or (gap == "" and _BEFORE_NOUN.match(match.string, match.end(), match.endpos) is not None)
    if "/" in amount and " " not in amount and "-" not in amount:
        unit_words = say_unit(tuple(unit), singular=True)
        article = "an" if unit_words[0] in "aeiou" else "a"
        return f"{words} {unit_words}" if amount.startswith("1/") else f"{words} of {article} {unit_words}"
    return f"{words} {say_unit(tuple(unit), singular)}"


# "a hundred meter sprint", "a nine volt battery"
_BEFORE_NOUN = re.compile(
    " (?:sprint|race|dash|hurdles|relay|freestyle|butterfly|lens|film|camera|cable|rope|screen|display|engine|battery|"
    "charger|bulb|limit|zone|radius|hike|swim|trail|climb|drive|pool|jack|pipe|gun|rifle|disk|run|walk|ride)s?\\b"
)


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - 12) : match.start()]


def _feet(match: re.Match[str], language: str) -> str:
    parts = []
    for amount, one, many in ((match[1], "foot", "feet"), (match[2], "inch", "inches")):
        parts.append(f"{say_number(amount, language)} {one if amount == '1' else many}")
    return " ".join(parts)


_DURATION_NAMES = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def _duration(match: re.Match[str], language: str) -> str:
    """`1h 30m`, `1m30s`, `2h5m10s`, `3d 4h`: at least two parts."""
    parts = []
    for amount, name in re.findall(r"([0-9.]+) ?(d|h|m|s)", match[0]):
        parts.append(f"{say_number(amount, language)} {_DURATION_NAMES[name]}{'' if amount == '1' else 's'}")
    return " ".join(parts)


_PRESSURE = re.compile(r"(?i)\b(?:bp|pressure)\b[^.;]*$")


def _pressure(match: re.Match[str], language: str) -> str | None:
    if not match[3] and not _PRESSURE.search(match.string[max(0, match.start() - 30) : match.start()]):
        return None
    unit = " millimeters of mercury" if match[3] else ""
    return f"{cardinal(match[1], language)} over {cardinal(match[2], language)}{unit}"


def _seconds(match: re.Match[str], language: str) -> str:
    """`5s`: seconds, if it is no decade."""
    return f"{say_number(match[1], language)} {'second' if match[1] == '1' else 'seconds'}"


def _inches(match: re.Match[str], language: str) -> str | None:
    """`a 12" screen` has the singular, `12" wide` the plural, as does a mark that closes no quotation."""
    amount = match[1]
    words = _number(amount, language)
    if match[2]:
        return f"{words} inch"
    if not match[3]:
        before = match.string[max(0, match.start() - 200) : match.start()]
        if before.count('"') % 2:
            return None  # the quotation ends here
    if "/" in amount and " " not in amount:
        return f"{words} inch"
    return f"{words} {'inch' if amount == '1' else 'inches'}"


def _per_unit(match: re.Match[str], language: str) -> str:
    number, *unit = match.groups()
    return f"{say_number(number, language)} per {say_unit(tuple(unit), singular=True)}"


def _scaled(match: re.Match[str], language: str) -> str:
    number, scale, *unit = match.groups()
    return f"{say_number(number, language)} {scale} {say_unit(tuple(unit), singular=False)}"


_MIXED = r"(?:[0-9]{1,4}[ -])?[0-9]{1,4}/[0-9]{1,4}"
# A hyphen behind the third number in a row: no unit follows the first or second. It is quicker to see than a unit.
_NO_LONG_ROW = r"(?!(?:[0-9]+ ?-){3})"
_NOUNS = r"(?: (?:thick|screen|monitor|display|pipe|nail|TV|laptop|tablet|pizza|record|single|wheel|ruler|blade)s?\b)"
DIGITS = [
    rule("measure", rf"({NUMBER}) ?/ ?{UNIT_PATTERN}", _per_unit, "/"),
    rule(
        "measure",
        rf"({NUMBER})[ -](hundred|thousand|million|billion|trillion) {UNIT_PATTERN}",
        _scaled,
        "_:htmb .0 ,00 -a",
    ),
    rule("measure", rf"{NO_ROW}({NUMBER}) ?%?(?:( ?- ?| to )({NUMBER}))? ?%", _percent, "% -0 -_ .0 ,00 _% _- _:t"),
    rule("measure", r"([0-9]{1,2})' ?([0-9]{1,2}(?:\.[0-9])?)(?:\"|'')(?!\w)", _feet, "'"),
    rule("measure", r"([0-9]{1,2}) ?(?:ft|FT)\.? ([0-9]{1,2}) ?(?:in|IN)\b\.?", _feet, "a _a"),
    rule(
        "measure",
        rf"({_MIXED}|{NUMBER})\"(?:(?=({_NOUNS}))|(?=( (?:tall|long|wide|high|deep|across|x|by)\b))|(?!\w))",
        _inches,
        '" /0 .0 ,00 _0 -0',
    ),
    rule(
        "measure",
        r"([0-9]{1,3})'(?= (?:tall|long|wide|high|deep)\b)",
        lambda m, language: f"{say_number(m[1], language)} {'foot' if m[1] == '1' else 'feet'}",
        "'",
    ),
    rule(
        "measure",
        r"[0-9]+ ?(?:d ?[0-9]{1,2} ?h(?: ?[0-9]{1,2} ?m(?:in)?)?|h(?:rs?)? ?[0-9]{1,2} ?m(?:ins?)?(?: "
        r"?[0-9]{1,2}(?:\.[0-9]+)? ?s(?:ec)?)?"
        r"|m(?:in)? ?[0-9]{1,2}(?:\.[0-9]+)? ?s(?:ec)?)(?![\w/])",
        _duration,
        "a _a",
    ),
    rule("measure", r"([0-9]{2,3})/([0-9]{2,3})(?![\w/]|[.,][0-9])( ?mm ?Hg\b)?", _pressure, "/"),
    rule(
        "measure",
        rf"{_NO_LONG_ROW}(?:({NUMBER}){_TO})?({_MIXED}|{NUMBER})([ -]?)(?:{UNIT_PATTERN}|{CAPITAL_UNIT_PATTERN})",
        _measure,
        "a .0 ,00 _a -0 -_ -a -° -Ω _- / ° _° Ω _Ω",
    ),
    rule("measure", rf"()()({_MIXED})([ -]?){UNIT_PATTERN}", _measure, "_0"),
    rule("measure", r"((?:0?\.)?[0-9]+(?:\.[0-9]+)?)s(?![\w'/])", _seconds, "a .0"),
]
WORDS = [
    # behind a power of ten: 3 × 10⁸ m/s
    rule(
        "measure",
        rf"(?<=[0-9] ){UNIT_PATTERN}",
        lambda m, language: say_unit(m.groups(), singular=False),
        "/ ^",
    ),
    rule(
        "measure",
        rf"per {UNIT_PATTERN}",
        lambda m, language: f"per {say_unit(m.groups(), singular=True)}",
        "_a",
        ["per"],
    ),
]
