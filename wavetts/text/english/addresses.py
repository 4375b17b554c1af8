"""English street addresses: house numbers, directions, kinds of street, states and their codes."""

from __future__ import annotations

import re

from wavetts.text.english.abbreviations import closing_stop
from wavetts.text.english.number_words import cardinal, ordinal, pairs, spell_digits
from wavetts.text.tokens import rule

_STREETS = {
    "St": "Street",
    "Str": "Street",
    "Ave": "Avenue",
    "Av": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Dr": "Drive",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Sq": "Square",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Expy": "Expressway",
    "Expwy": "Expressway",
    "Fwy": "Freeway",
    "Ter": "Terrace",
    "Terr": "Terrace",
    "Cir": "Circle",
    "Trl": "Trail",
    "Aly": "Alley",
    "Cres": "Crescent",
    "Tpke": "Turnpike",
    "Xing": "Crossing",
}
_FULL = (
    "Street|Avenue|Boulevard|Road|Drive|Lane|Court|Place|Square|Highway|Parkway|Way|Terrace|Circle|"
    "Broadway|Trail|Row|Close|Crescent|Plaza|Alley|Expressway|Freeway"
)
_DIRECTIONS = {
    "N": "North",
    "S": "South",
    "E": "East",
    "W": "West",
    "NE": "Northeast",
    "NW": "Northwest",
    "SE": "Southeast",
    "SW": "Southwest",
}
_STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "D-C", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho",
    "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine",
    "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri",
    "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico",
    "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon",
    "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee",
    "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia",
    "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
_DIRECTION = r"(?:(N|S|E|W|NE|NW|SE|SW|[NS]\.[EW]|[NSEW])\b\.? )?"
_KIND = rf"((?i:{'|'.join(sorted(_STREETS, key=len, reverse=True))})\b\.?|(?:{_FULL})\b)"
_WORD = r"(?:(?i:[1-9][0-9]{0,2}(?:st|nd|rd|th))|[A-Z][\w']*|of|the|de|la|St\.)"
_STREET = (
    rf"{_DIRECTION}((?:{_WORD} ){{1,3}}?)(?:{_KIND}(?! [A-Z][a-z]+ (?:St|Ave|Rd|Street)\b))(?: (N|S|E|W|NE|"
    rf"NW|SE|SW)\b(?!\.))?"
)
_ORDINAL = re.compile(r"([0-9]+)(?i:st|nd|rd|th)")


def _say_street(direction: str | None, names: str, kind: str, last: str | None, language: str) -> str:
    words = [_DIRECTIONS[direction.replace(".", "")]] if direction else []
    for name in names.split():
        found = _ORDINAL.fullmatch(name)
        words.append(ordinal(found[1], language) if found else "Saint" if name == "St." else name)
    bare = kind.rstrip(".")
    words.append(_STREETS.get(bare.capitalize(), bare))
    if last:
        words.append(_DIRECTIONS[last])
    return " ".join(words)


def _house(match: re.Match[str], language: str) -> str | None:
    """A house number and its street: `1211 E Arques Ave`, `221B Baker St.`; the number in pairs."""
    number, letter, *street = match.groups()
    if number[0] == "0":
        return None
    house = pairs(number, language) + (f" {letter.upper()}" if letter else "")
    return f"{house} {_say_street(*street, language)}" + (closing_stop(match) if match[0].endswith(".") else "")


def _street(match: re.Match[str], language: str) -> str | None:
    """A street with a direction or an ordinal, without a house: `E 1st St`, `7th Ave.`"""
    direction, names, kind, last = match.groups()
    numbered = _ORDINAL.match(names) is not None
    if not numbered and (kind in _FULL.split("|") or not direction):
        return None
    if kind.rstrip(".") in ("st", "dr", "ct", "pl", "av", "ter", "str"):
        return None
    return _say_street(direction, names, kind, last, language) + (closing_stop(match) if match[0].endswith(".") else "")


def _state(match: re.Match[str], language: str) -> str | None:
    """`, NY 10001`, `, CA`: after a comma, before a zip code or the end of a clause; the zip digit by digit."""
    before = match.string[max(0, match.start() - 2) : match.start()]
    if match[2] is None and before != ", ":
        return None
    if not re.search(r"(?:[a-z.],? |^)$", match.string[max(0, match.start() - 3) : match.start()]):
        return None
    words = _STATES[match[1]]
    return (
        f"{words}{',' if ',' in match[0] else ''} {spell_digits(match[2])}"
        + (f", {spell_digits(match[3])}" if match[3] else "")
        if match[2]
        else words
    )


def _after_place(match: re.Match[str], language: str) -> str | None:
    """A kind of street without a house number, where a name stands before it: `on Sunset Blvd at noon`."""
    name = re.search(r"([A-Z][\w']*|[0-9](?:st|nd|rd|th)) $", match.string[max(0, match.start() - 24) : match.start()])
    if name is None:
        return None
    return _STREETS[match[1]] + (closing_stop(match) if match[0].endswith(".") else "")


def _box(match: re.Match[str], language: str) -> str:
    return f"P-O Box {spell_digits(match[1]) if len(match[1]) > 3 else cardinal(match[1], language)}"


_SURE = [name for name in _STREETS if name not in ("St", "Dr", "Ct", "Pl", "Sq", "Av", "Ter", "Str", "Cir")]
_SHORT = r"(St|Dr)\b(?!\.)(?=$|[,;:!?)]| (?:[a-z]|N|S|E|W)\b| [a-z])"
WORDS = [
    rule("address", r"P\.? ?O\.? Box ([0-9]{1,6})\b", _box, None, ["p", "po"]),
    rule("address", _STREET, _street, "_a _0 .", [name.lower() for name in _DIRECTIONS]),
    rule(
        "address",
        rf"({'|'.join(_STATES)})\b(?:,? ([0-9]{{5}})(?:-([0-9]{{4}}))?(?![\w-]))?(?=[,.;)]|$| [0-9])",
        _state,
        None,
        [name.lower() for name in _STATES],
    ),
    rule("address", _SHORT, _after_place, "END , ; ) : ! ? _a", ["st", "dr"]),
    rule(
        "address",
        rf"({'|'.join(_SURE)})\b\.?",
        _after_place,
        "_a _0 . , $ ; _( ) ? !",
        [name.lower() for name in _SURE],
    ),
]
DIGITS = [
    rule("address", rf"(?<![.,$/-])([0-9]{{1,5}})(?:([A-Da-d])\b)? {_STREET}", _house, "_a _0 a"),
    rule("address", _STREET, _street, "a"),
]
