"""English Roman numerals: after rulers, chapters and names, and where they can be nothing else."""

from __future__ import annotations

import re

from wavetts.text.english.abbreviations import BEFORE_NUMBERS, ends_sentence
from wavetts.text.english.number_words import cardinal, ordinal
from wavetts.text.tokens import rule

_RULERS = (
    "Adrian Albert Alexander Alfonso Antiochus Baldwin Benedict Boniface Carl Carlos Catherine Celestine Charles "
    "Christian Clement Constantine Cosimo Darius Edward Elizabeth Emmanuel Ferdinand Francis Frederick Frederic George "
    "Gregory Gustav Gustavus Haakon Harold Henry Innocent Ivan James John Joseph Juan Julius Justinian Leo Leopold "
    "Louis Margaret Mary Maximilian Mehmed Murad Napoleon Nicholas Olaf Otto Paul Peter Philip Pius Ptolemy Ramesses "
    "Ramses Richard Robert Rudolf Selim Sigismund Sixtus Stephen Theodosius Urban Victor Wilhelm William Xerxes"
)
_NUMBERED = (
    "Chapter Part Book Volume Act Scene Section Article Appendix Title Phase Type Class Stage Level Figure Table Plate "
    "Episode Season Number Canto Psalm Schedule Division Corps War Bowl Vatican Apollo Exhibit Grade Page Lecture "
    "Letter Note Verse Group Mark Rocky"
)
_ROMAN = re.compile(r"(?=.)M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROYAL = {"King", "Queen", "Pope", "Emperor", "Empress", "Tsar", "Czar", "Kaiser", "Sultan", "Prince", "Saint"}
# What may follow the numeral I so that it is not the pronoun.
_NOT_PRONOUN = re.compile(r"(?:'s\b|[\"')\]]*(?:[.,;:)!?]|$| (?:of|and|to|in|on|is|was|or|—|\()))")


def _sure(match: re.Match[str]) -> bool:
    """True if a lone I at the end of the match is no pronoun."""
    return _NOT_PRONOUN.match(match.string, match.end(), match.endpos) is not None


def _regnal(match: re.Match[str], language: str) -> str | None:
    """`Henry VIII`, `Louis XIV`, with a second name `Henry Ford II`: ordinals."""
    name, numeral = match[1], match[2]
    text = match.string
    value = _roman_value(numeral)
    after = text[match.end() : match.end() + 3]
    if after[:1] == "." and after[-1:].isupper() and not ends_sentence(text, match.end() + 1):
        return None  # Robert I. Smith: an initial
    word = text[max(0, match.start() - 10) : match.start()].split()[-1:]
    if value is None or (numeral == "I" and not ((word and word[0] in _ROYAL) or _sure(match))):
        return None
    if " " in name and numeral not in ("II", "III", "IV"):
        return None
    return f"{name} the {ordinal(value, language)}"


def _numbered(match: re.Match[str], language: str) -> str | None:
    """`Chapter IV`, `scene ii`, `Vol. III`: cardinals."""
    word, stop, many, numeral = match.groups()
    value = _roman_value(numeral)
    small = word.lower()
    if stop and word not in BEFORE_NUMBERS:
        return None
    if value is None or (numeral in ("L", "C", "M", "D") and not word.isupper()):
        return None
    if (
        len(numeral) == 1
        and numeral not in ("X",)
        and (small == "number" or (stop and small == "no") or word.islower())
    ):
        return None  # a letter: exhibit C, serial number V
    if len(numeral) == 1 and numeral == "X" and word.islower():
        return None
    if numeral == "I" and not _sure(match):
        return None
    name = BEFORE_NUMBERS[word] if stop else word
    return f"{name}{many or ''} {cardinal(value, language)}"


def _after_name(match: re.Match[str], language: str) -> str | None:
    """`Rocky IV`, `Super Bowl XLII`: a cardinal behind another name."""
    value = _roman_value(match[0])
    before = re.search(r"\b([A-Z][a-z]{2,}) $", match.string[max(0, match.start() - 24) : match.start()])
    if value is None or before is None or not _UNLIKE_LETTERS.fullmatch(match[0]):
        return None
    return cardinal(value, language)


def _century(match: re.Match[str], language: str) -> str | None:
    value = _roman_value(match[1])
    return None if value is None else ordinal(value, language)


def _certain(match: re.Match[str], language: str) -> str | None:
    value = _roman_value(match[0])
    return None if value is None else cardinal(value, language)


def _world_war(match: re.Match[str], language: str) -> str:
    return f"World War {cardinal(match[1].replace('II', '2').replace('I', '1'), language)}"


# In capitals and behind a name; IV, XI and the like may be letters elsewhere.
_UNLIKE_LETTERS = re.compile(r"IV|VI|IX|XI?V|XVI{0,3}|XX|XL|XL?I{1,3}|XL[IVX]*|L[XVI]+|XX[XIV]+")
_FIRST = [name.lower() for name in _RULERS.split()]
_WORDS = [*_NUMBERED.lower().split(), "no", "vol", "ch", "pt", "sec", "fig", "art", "bk", "vols", "op"]
_BEFORE = "|".join(sorted({*_WORDS, *map(str.capitalize, _WORDS), *map(str.upper, _WORDS)}, key=len, reverse=True))
WORDS = [
    rule(
        "roman",
        rf"((?:{'|'.join(_RULERS.split())})(?: [A-Z][a-z]+){{0,2}}) ([IVX]{{1,6}})\b(?!\.[A-Z]|-)",
        _regnal,
        "_a",
        _FIRST,
    ),
    rule(
        "roman",
        rf"({_BEFORE})(?:(\.)|(s))? ([IVXLCDM]{{1,8}}|[ivxlc]{{2,7}})\b(?!['-])",
        _numbered,
        "_a .",
        [*_WORDS, *(f"{w}s" for w in _WORDS)],
    ),
    rule(
        "roman",
        r"IV(?= (?:drip|fluid|line|bag|therapy|tube|pole|antibiotic|infusion|access)s?\b)",
        "I-V",
        None,
        ["iv"],
    ),
    rule("roman", r"WW ?(I{1,2}|[12])(?!\w)", _world_war, None, ["ww", "wwi", "wwii"]),
    rule("roman", r"([XVI]{1,5})(?:th|st)?(?= [Cc]entur)", _century, "_a"),
]
CAPITALS = [
    rule("roman", r"([XVI]{2,5})(?:th|st)?(?= [Cc]entur)", _century, "_a"),
    rule("roman", r"(?<![\w.'-])[IVXL]{2,7}(?![\w'-]|\.[A-Z])", _after_name),
    # espeak reads these as "Roman two", and nobody means anything else by them.
    rule("roman", r"(?<![\w.'-])(?:X{0,2}(?:I{2,3}|VI{2,3})|X{1,2}I[XV])(?![\w'-]|\.[A-Z])", _certain),
]


def _roman_value(numeral: str) -> int | None:
    numeral = numeral.upper()
    if not _ROMAN.fullmatch(numeral):
        return None
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}[char] for char in numeral]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
