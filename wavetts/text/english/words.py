"""English abbreviations, titles, initials, dotted acronyms, and the letter A."""

from __future__ import annotations

import re

from wavetts.text.english.abbreviations import BEFORE_NUMBERS, DOTTED, OPENERS, SUFFIXES, TITLES, closing_stop
from wavetts.text.english.acronyms import say_letters
from wavetts.text.tokens import rule

# --- abbreviations -------------------------------------------------------------------------------------------------

_NUMBER_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
)
_NUMBER_NEXT = re.compile(rf" ?[#(]?(?:[0-9]|(?:[IVXLC]{{2,}}|[VX]|[ivx]{{2,}})\b|(?:{_NUMBER_WORDS})\b)")
_YEAR_NEXT = re.compile(r" ?[0-9]{3,4}(?![0-9])")
_ORDINAL_ENDS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|teenth|tieth"
_NAME_BEFORE = re.compile(rf"(\S*) ?\b([A-Z][\w'-]*|[0-9]+(?:st|nd|rd|th)|[\w-]*(?:{_ORDINAL_ENDS})) $")
_NAMES_OF_PLACES = {"Mount", "Port", "Fort", "East", "West", "North", "South", "Lake", "Near", "Saint", "Sir", "Of"}
_CAPITAL_NEXT = re.compile(" ?[A-Z]")


def _before(match: re.Match[str], count: int = 40) -> str:
    return match.string[max(0, match.start() - count) : match.start()]


def _with_stop(match: re.Match[str], words: str) -> str:
    return words + (closing_stop(match) if match[0].endswith(".") else "")


def _abbreviation(match: re.Match[str], language: str) -> str | None:
    name = match[1]
    if _NUMBER_NEXT.match(match.string, match.end(), match.endpos):
        number = BEFORE_NUMBERS.get(name)
        if number:
            return number
        if (
            name == "no"
            and re.search(r"[a-z] $", _before(match))
            and not re.search(r"\b(?:said|say|says|is|was) $", _before(match))
        ):
            return "number"
        if name == "c":
            return "circa" if _YEAR_NEXT.match(match.string, match.end(), match.endpos) else None
    if name in ("St", "Dr"):
        return _street_or_saint(match)
    if name in TITLES and re.compile(r" ?(?:[A-Za-z]|&)").match(match.string, match.end(), match.endpos):
        return TITLES[name]
    if name in SUFFIXES:
        return _with_stop(match, SUFFIXES[name])
    if name == "v" and re.search(r"\w $", _before(match)) and re.compile(" [A-Z]").match(match.string, match.end()):
        return "versus"
    return None


def _bare_number(match: re.Match[str], language: str) -> str:
    """`Apt 3B`, `Hwy 61`: without the stop."""
    return BEFORE_NUMBERS.get(match[1]) or SUFFIXES[match[1]]


def _bare_title(match: re.Match[str], language: str) -> str:
    return TITLES[match[1]]


def _street_or_saint(match: re.Match[str]) -> str:
    """`St.` and `Dr.`: before a name Saint and Doctor, after a name Street and Drive."""
    name, street = ("Saint", "Street") if match[1] == "St" else ("Doctor", "Drive")
    before = _NAME_BEFORE.search(" ".join(_before(match).split()[-2:]) + " ")
    after_name = before is not None and before[2] not in OPENERS and before[2] not in _NAMES_OF_PLACES
    before_name = _CAPITAL_NEXT.match(match.string, match.end(), match.endpos) is not None
    ends = closing_stop(match) == "."
    house_number = after_name and (before[1].isdigit() or not before[2][0].isalpha() or before[2][0].islower())
    if after_name and (ends or not before_name or house_number):
        return street + ("." if ends else "")
    return name


def _dotted(match: re.Match[str], language: str) -> str:
    return _with_stop(match, DOTTED[match[1]])


def _initials(match: re.Match[str], language: str) -> str:
    """Dotted capitals become letters with hyphens: espeak spells those, and the stops would be read as pauses."""
    letters = say_letters([char for char in match[1] if char.isalpha()])
    if match[2]:
        return f"{letters}'s"
    return letters + (closing_stop(match) if match[1].endswith(".") else "")


_NEXT_NAME = re.compile(r" ([A-Z][\w'-]*)")


def _initial(match: re.Match[str], language: str) -> str | None:
    """`John F. Kennedy`: the stop of an initial is no pause. A and I keep theirs, without it they would be words."""
    following = _NEXT_NAME.match(match.string, match.end(), match.endpos)
    return match[1] if following and following[1] not in OPENERS else None


_ABBREVIATED = sorted({*TITLES, *SUFFIXES, *BEFORE_NUMBERS, "no", "c", "v"}, key=len, reverse=True)
_BARE_NUMBERED = "Apt Ste Rm Bldg Hwy Rte Vol Fig vol fig Pg pg pp Ext ext"
_BARE = "Mr Mrs Ms Messrs Prof St Dr Sgt Capt Lt Gen Col Sen Rep Gov"

# --- words with a stroke -------------------------------------------------------------------------------------------

_PAIRS = {
    "and/or": "and or",
    "either/or": "either or",
    "he/she": "he or she",
    "she/he": "she or he",
    "his/her": "his or her",
    "his/hers": "his or hers",
    "him/her": "him or her",
    "her/his": "her or his",
    "her/him": "her or him",
    "s/he": "she or he",
    "w/o": "without",
    "w/": "with",
    "c/o": "care of",
    "n/a": "N-A",
    "b/c": "because",
    "b/w": "between",
    "a/c": "A-C",
    "y/n": "yes or no",
    "yes/no": "yes or no",
}


def _stroke(match: re.Match[str], language: str) -> str | None:
    spoken = _PAIRS.get(match[0].lower())
    return (
        spoken.capitalize()
        if spoken and match[0][0].isupper() and len(match[0]) > 3 and spoken[0].islower()
        else spoken
    )


# --- the letter A --------------------------------------------------------------------------------------------------

_WORD_BEFORE = re.compile(r"([A-Za-z-]+) $")
_WORD_AFTER = re.compile(r" ([A-Za-z]+)(?![\w'-])")
_ROW = re.compile(r" [B-HJ-Z] [B-HJ-Z](?![\w'-])")
_LETTERED = (
    "Answer Block Building Category Column Company Concourse Division Door Entrance Exit Figure Flat Gate Group Item "
    "Letter Level Line List Lot Note Option Part Patient Person Phase Plan Platform Player Point Question Room Route "
    "Row Section Sample Series Set Side Stage Stand Step String Student Table Team Terminal Type Unit Ward Wing Zone"
)
# The others may begin a title that has the article: "Plan A Trip".
_ALWAYS_LETTERED = "An The Appendix Annex Class Exhibit Grade Hepatitis Influenza Model Schedule Vitamin"
_NO_NOUN = "and or to in on at by for from with of than is was are were has had equals versus"
_BEFORE_LETTER, _SURELY_BEFORE_LETTER = frozenset(_LETTERED.split()), frozenset(_ALWAYS_LETTERED.split())
LETTERED = _BEFORE_LETTER | _SURELY_BEFORE_LETTER - {"An", "The"}
_NEVER_AFTER_ARTICLE = frozenset(_NO_NOUN.split())


def _letter(match: re.Match[str], language: str) -> str | None:
    """The letter A where it is not the article: `Vitamin A is` -> `Vitamin A- is`, `A and B` -> `A- and B`.

    espeak reads a lone A as the article unless a mark or the end follows; with a hyphen it reads the letter.
    """
    text, start, end = match.string, match.start(), match.end()
    if text[max(0, start - 1) : start] in ("'", ".") and start:
        return None
    before, after = _WORD_BEFORE.search(_before(match, 20)), _WORD_AFTER.match(text, end, match.endpos)
    word = before[1] if before else ""
    if (
        word.capitalize() in _SURELY_BEFORE_LETTER
        or (after and after[1] in _NEVER_AFTER_ARTICLE)
        or _ROW.match(text, end, match.endpos)
    ):
        return "A-"
    if re.search("[0-9] $", _before(match, 2)):  # 33 A was
        return "A-" if text[end + 1 : end + 2].islower() else None
    # A capital within a sentence.
    return "A-" if text[end + 1 : end + 2].islower() and (word in _BEFORE_LETTER or word[:1].islower()) else None


def _joined_letter(match: re.Match[str], language: str) -> str:
    """`vitamin-A deficiency`."""
    follows = match.string[match.end() : match.end() + 1] == " "
    return f"{match[1]} A{'-' if follows else ''}"


_LONE = r"(?<![\w.'-])"
WORDS = [
    rule(
        "abbreviation",
        r"(?<![\w.])(" + "|".join(map(re.escape, DOTTED)) + r")(?!\w)",
        _dotted,
        ".",
        ["e", "i", "a", "ph"],
    ),
    rule("acronym", r"(?<![\w.])((?:[A-Z]\. ?){1,8}[A-Z]\.|(?:[A-Z]\.){1,8}[A-Z](?![\w.]))('s\b)?", _initials, "."),
    rule(
        "abbreviation",
        rf"(?<![\w.'-])({'|'.join(_ABBREVIATED)})\.",
        _abbreviation,
        ".",
        [name.lower() for name in _ABBREVIATED],
    ),
    rule(
        "abbreviation",
        rf"({'|'.join(_BARE.split())})(?= [A-Z][a-z])",
        _bare_title,
        "_a",
        [name.lower() for name in _BARE.split()],
    ),
    rule(
        "abbreviation",
        rf"({'|'.join(_BARE_NUMBERED.split())})(?= ?#?[0-9])",
        _bare_number,
        "_0 _#",
        [name.lower() for name in _BARE_NUMBERED.split()],
    ),
    rule("abbreviation", r"(?<![\w.'-])([B-HJ-Z])\.(?= [A-Z])", _initial, "."),
    rule("abbreviation", r"(?<!\w)[A-Za-z]{1,6}/[A-Za-z]{0,4}(?![\w/])", _stroke, "/"),
    rule("letter", r"A(?= )", _letter, "_a", ["a"]),
    rule("letter", r"([a-z]{2,})-A(?![\w'-])", _joined_letter, "-"),
]
