"""English abbreviations, and whether a full stop ends a sentence; used by normalisation and sentence splitting."""

from __future__ import annotations

import re

from wavetts.text.english.verses import SHORT_BOOKS
from wavetts.text.tokens import word_set

# Stand before a name: the stop never ends a sentence.
TITLES = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Messrs": "Messers",
    "Dr": "Doctor",
    "Drs": "Doctors",
    "Prof": "Professor",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Gen": "General",
    "Col": "Colonel",
    "Maj": "Major",
    "Capt": "Captain",
    "Cmdr": "Commander",
    "Lt": "Lieutenant",
    "Lieut": "Lieutenant",
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Pvt": "Private",
    "Adm": "Admiral",
    "Brig": "Brigadier",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Pres": "President",
    "Supt": "Superintendent",
    "Insp": "Inspector",
    "Fr": "Father",
    "St": "Saint",
    "Ste": "Sainte",
    "Mt": "Mount",
    "Ft": "Fort",
    "Pt": "Port",
    "Amb": "Ambassador",
    "Cdr": "Commander",
    "Sgts": "Sergeants",
    "Mme": "Madame",
    "Mlle": "Mademoiselle",
    "Mons": "Monsieur",
    "Msgr": "Monsignor",
    "Det": "Detective",
    "Atty": "Attorney",
    "Profs": "Professors",
    "Gens": "Generals",
    "Sens": "Senators",
    "Reps": "Representatives",
}
# Stand after a name or anywhere: the stop may end a sentence as well.
SUFFIXES = {
    "Co": "Company",
    "Corp": "Corporation",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Bros": "Brothers",
    "Jr": "Junior",
    "Sr": "Senior",
    "Esq": "Esquire",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Expy": "Expressway",
    "Fwy": "Freeway",
    "Sq": "Square",
    "Bldg": "Building",
    "Intl": "International",
    "Natl": "National",
    "Mfg": "Manufacturing",
    "Assoc": "Association",
    "Inst": "Institute",
    "Hosp": "Hospital",
    "incl": "including",
    "excl": "excluding",
    "misc": "miscellaneous",
    "temp": "temperature",
    "tel": "telephone",
    "Tel": "Telephone",
    "ref": "reference",
    "resp": "respectively",
    "avg": "average",
    "abbr": "abbreviated",
    "attn": "attention",
    "Attn": "Attention",
    "Dept": "Department",
    "dept": "department",
    "Univ": "University",
    "Assn": "Association",
    "Govt": "Government",
    "govt": "government",
    "etc": "et cetera",
    "approx": "approximately",
    "vs": "versus",
    "viz": "namely",
    "cf": "compare",
    "Tues": "Tuesday",
    "Thurs": "Thursday",
    "Jan": "January",
    "Feb": "February",
    "Apr": "April",
    "Aug": "August",
    "Sept": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
}
# Stand before a number (in digits, Roman or in words): the stop never ends a sentence there.
BEFORE_NUMBERS = {
    "No": "Number",
    "Nos": "Numbers",
    "nos": "numbers",
    "p": "page",
    "pp": "pages",
    "Vol": "Volume",
    "vol": "volume",
    "Vols": "Volumes",
    "vols": "volumes",
    "Ch": "Chapter",
    "ch": "chapter",
    "Fig": "Figure",
    "fig": "figure",
    "Figs": "Figures",
    "figs": "figures",
    "Sec": "Section",
    "sec": "section",
    "Art": "Article",
    "Para": "Paragraph",
    "para": "paragraph",
    "Eq": "Equation",
    "eq": "equation",
    "Op": "Opus",
    "op": "opus",
    "ca": "circa",
    "est": "established",
    "Ext": "Extension",
    "ext": "extension",
    "Ste": "Suite",
    "Rm": "Room",
    "rm": "room",
    "Bldg": "Building",
    "Rte": "Route",
    "chap": "chapter",
    "Chap": "Chapter",
    "ver": "version",
    "Ver": "Version",
    "Pt": "Part",
    "pt": "part",
    "Sect": "Section",
    "sect": "section",
    "Pg": "Page",
    "pg": "page",
    "Tbl": "Table",
    "App": "Appendix",
    "Cl": "Clause",
    "Arts": "Articles",
    "Eqs": "Equations",
    "eqs": "equations",
    "Apt": "Apartment",
    "apt": "apartment",
}
# With stops inside. The LJSpeech reader says "i.e." as letters, as most people do.
DOTTED = {
    "e.g.": "E-G",
    "i.e.": "I-E",
    "a.k.a.": "also known as",
    "Ph.D.": "PhD",
}

# Words that begin a sentence but hardly a name. They decide whether a stop after "Co.", "U.S.", "John F." ends one.
_OPENERS = (
    "The A An He She It They We I You This That These Those His Her Its Their Our My Your There Here But And Or So "
    "Then When While If In On At As After Before For From By To With Not No Yes What Who Why How Where Which One Some "
    "Many Most All Each Both Now Later However Although Because Since Until Once Another Other Such Let Did Do Does "
    "Is Was Were Are Can Could Would Should Has Have Had Also Even Only Just Still Thus Therefore Meanwhile "
    "Nevertheless Finally First Upon During Under Over Between Please Today Tomorrow Yesterday Everyone Nobody Nothing"
)
OPENERS = frozenset(_OPENERS.split())
_MARKS = r"[\"')\]]*"
_END = re.compile(rf"{_MARKS}(?:$| +[\"'(]*(?:{'|'.join(_OPENERS.split())})\b)")
# A name and a verb: after a company or a street they begin a sentence ("Apple Inc. Tim is there").
_SUBJECT = re.compile(
    rf"{_MARKS} +[\"'(]*[A-Z][a-z]+(?:'s)? (?!and\b|of\b|in\b|on\b|at\b|for\b|said\b|says\b)[a-z]{{2,}}\b"
)
# After a time of day any new sentence may begin, but a day or a zone belongs to it.
_AFTER_TIME = re.compile(
    rf"{_MARKS} +[\"'(]*(?!(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|Eastern|Pacific|Central|Mountain|Greenwich|Local|"
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December)\b)[A-Z][a-z]"
)
_CLOSED = re.compile(rf"{_MARKS}\s*$")


def closing_stop(match: re.Match[str]) -> str:
    """The full stop of an abbreviation that a token ends with, if the sentence ends there as well."""
    return "." if _CLOSED.match(match.string, match.end(), match.endpos) else ""


def ends_sentence(text: str, position: int) -> bool:
    """True if a full stop that an abbreviation needs anyway, at the end of `text[:position]`, also ends a sentence."""
    return _END.match(text, position) is not None


_LAST_WORD = re.compile(r"[^\s\"'(\[]*$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]$")
_MERIDIEM = re.compile(r"[0-9] ?[AaPp]\. ?[Mm]$")
_NUMBER = re.compile(r" *[\"'(]*(?:[0-9#]|(?:[IVXLC]{2,}|[VX])\b)")
_UNITS = word_set("ft lb lbs oz mi yd yds gal sec min hr hrs tbsp tsp qt wk wks yr yrs in sq cu")
_CONTINUES = re.compile(r" ?[a-z0-9,;)]")
_IN_CAPITALS = {name.upper(): name for name in (*TITLES, *SUFFIXES)}


def stop_is_abbreviation(text: str, position: int) -> bool:
    """True if the full stop at `text[position]` belongs to an abbreviation and does not end the sentence.

    The text is as people write it, before normalisation. When in doubt after a name's initial or "Co.", the next word
    decides: a word that opens sentences (`OPENERS`) makes it an end, and after a company or a street a name does that
    is followed by a verb.
    """
    word = _LAST_WORD.search(text, max(0, position - 20), position)
    name = word[0] if word else ""
    if not name[-1:].isalpha():  # a number or a bracket, for speed
        return False
    if name in TITLES or (len(name) > 1 and name.isupper() and _IN_CAPITALS.get(name) in TITLES):
        # "1 Elm St. It was": a street at the end; a title goes on
        return not (
            name in ("St", "Dr", "Ft", "ST", "DR")
            and ends_sentence(text, position + 1)
            and text[position + 1 :].strip()
        )
    if _before_number(name, text, position - len(name)) and _NUMBER.match(text, position + 1):
        return True
    if name in _UNITS:
        return _CONTINUES.match(text, position + 1) is not None
    if _MERIDIEM.search(text, max(0, position - 8), position):
        return not (ends_sentence(text, position + 1) or _AFTER_TIME.match(text, position + 1))
    suffix = name in SUFFIXES or name + "." in DOTTED or name in _IN_CAPITALS
    if suffix and name not in ("Jr", "Sr", "JR", "SR") and _SUBJECT.match(text, position + 1):
        return False
    initial = _INITIALS.match(name) is not None and name != "I"
    return (suffix or initial) and not ends_sentence(text, position + 1)


_SHORT_MONTHS = word_set("jan feb mar apr jun jul aug sep sept oct nov dec")
_NO_WORD = re.compile(r"[a-z] $")
_SAID_NO = re.compile(r"\b(?:said|say|says|is|was|answered|answer|replied) $")


def _before_number(name: str, text: str, start: int) -> bool:
    """True if a number may follow the abbreviation at `text[start:]`: `No. 5`, `pp. 3-5`, `Jan. 5`, `Rs. 10`."""
    if name == "no":
        before = text[max(0, start - 10) : start]
        return _NO_WORD.search(before) is not None and _SAID_NO.search(before) is None
    known = name in BEFORE_NUMBERS or name in SHORT_BOOKS or name in ("Rs", "c") or name.lower() in _SHORT_MONTHS
    return known or (len(name) > 1 and name.isupper() and name.capitalize() in BEFORE_NUMBERS)
