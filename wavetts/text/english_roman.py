"""English Roman numerals: after rulers, chapters and names, and where they can be nothing else."""

from __future__ import annotations

import re

from wavetts.text.abbreviations import ends_sentence
from wavetts.text.number_words import cardinal, ordinal

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
_REGNAL = re.compile(rf"\b({'|'.join(_RULERS.split())}) ([IVX]{{1,6}})\b(?!\.[A-Z]|-)")
_NUMBERED_WORDS = "|".join([r"No\.", r"[Vv]ol\.", *_NUMBERED.split(), *_NUMBERED.lower().split()])
_CHAPTER = re.compile(rf"\b({_NUMBERED_WORDS})s? ([IVXLC]{{1,7}}|[ivxlc]{{2,7}})\b(?!')")
# A name before a numeral: of a person if it begins with a ruler's (and so a usual) first name.
_PERSON = re.compile(rf"\b((?:{'|'.join(_RULERS.split())})(?: [A-Z][a-z]+){{1,2}}) (II|III|IV)\b")
_AFTER_NAME = re.compile(r"\b([A-Z][a-z]{2,} )(IV|VI|IX|XI?V|XVI{0,3}|XX)\b(?!\.[A-Z]|[-'])")
# espeak reads these as "Roman two", and nobody means anything else by them.
_CERTAIN = re.compile(r"(?<![\w.'-])(X{0,2}(?:I{2,3}|VI{2,3})|X{1,2}I[XV])(?![\w'-]|\.[A-Z])")
_INTRAVENOUS = re.compile(r"\bIV(?= (?:drip|fluid|line|bag|therapy|tube|pole|antibiotic|infusion|access)s?\b)")
_WORLD_WAR = re.compile(r"\bWW ?(I{1,2}|[12])\b")
_CENTURY = re.compile(r"\b([XVI]{2,5})(?:th|st)?(?= [Cc]entur)")
_ROMAN = re.compile(r"(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROYAL = {"King", "Queen", "Pope", "Emperor", "Empress", "Tsar", "Czar", "Kaiser", "Sultan", "Prince", "Saint"}
# What may follow the numeral I so that it is not the pronoun.
_NOT_PRONOUN = re.compile(r"(?:'s\b|[\"')\]]*(?:[.,;:)!?]|$| (?:of|and|to|in|on|is|was|or|—|\()))")


def expand_roman(text: str, language: str) -> str:
    """Roman numerals after the names of rulers (ordinals) and after Chapter, World War and the like (cardinals).

    After other names they are cardinals (`Rocky IV`), but a person's are ordinals (`Henry Ford II`). A lone I counts
    only where it cannot be the pronoun; what may be letters is left alone (`Malcolm X`).
    """

    def regnal(match: re.Match[str]) -> str:
        value = _roman_value(match[2])
        after = match.string[match.end() : match.end() + 3]
        if after[:1] == "." and after[-1].isupper() and not ends_sentence(match.string, match.end() + 1):
            return match[0]  # Robert I. Smith: an initial
        word_before = match.string[max(0, match.start() - 10) : match.start()].split()[-1:]
        sure = (word_before and word_before[0] in _ROYAL) or _NOT_PRONOUN.match(match.string, match.end())
        if value is None or (match[2] == "I" and not sure):
            return match[0]
        return f"{match[1]} the {ordinal(value, language)}"

    def chapter(match: re.Match[str]) -> str:
        value = _roman_value(match[2])
        if match[2] in ("L", "C") or (len(match[2]) == 1 and (match[1] in ("Number", "No.") or match[1].islower())):
            return match[0]  # a letter: exhibit C, serial number V
        sure = _NOT_PRONOUN.match(match.string, match.end())
        if value is None or (match[2] == "I" and not sure):
            return match[0]
        return match[0][: -len(match[2])] + cardinal(value, language)

    def number(numeral: str) -> str:
        value = _roman_value(numeral)
        return numeral if value is None else cardinal(value, language)

    def century(match: re.Match[str]) -> str:
        value = _roman_value(match[1])
        return match[0] if value is None else ordinal(value, language)

    text = _WORLD_WAR.sub(lambda m: f"World War {cardinal(m[1].replace('II', '2').replace('I', '1'), language)}", text)
    text = _CENTURY.sub(century, _CHAPTER.sub(chapter, _REGNAL.sub(regnal, text)))
    text = _PERSON.sub(lambda m: f"{m[1]} the {ordinal(_roman_value(m[2]), language)}", text)
    text = _INTRAVENOUS.sub("I-V", text)
    text = _AFTER_NAME.sub(lambda m: m[1] + number(m[2]), text)
    return _CERTAIN.sub(lambda m: number(m[1]), text)


def _roman_value(numeral: str) -> int | None:
    numeral = numeral.upper()
    if not _ROMAN.fullmatch(numeral):
        return None
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[char] for char in numeral]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
