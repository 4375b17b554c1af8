"""English abbreviations, and where a full stop ends a sentence: shared by normalisation and by sentence splitting."""

from __future__ import annotations

import re

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
    "Nevertheless Finally First Upon During Under Over Between"
)
OPENERS = frozenset(_OPENERS.split())
_END = re.compile(rf"[\"')]*(?:$| +[\"'(]*(?:{'|'.join(_OPENERS.split())})\b)")


def ends_sentence(text: str, position: int) -> bool:
    """True if a full stop that an abbreviation needs anyway, at the end of `text[:position]`, also ends a sentence."""
    return _END.match(text, position) is not None


_LAST_WORD = re.compile(r"[^\s\"'(\[]*$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]$")
_NUMBER = re.compile(r" *[\"'(]*(?:[0-9#]|(?:[IVXLC]{2,}|[VX])\b)")


def stop_is_abbreviation(text: str, position: int) -> bool:
    """True if the full stop at `text[position]` belongs to an abbreviation and does not end the sentence.

    The text is as people write it, before normalisation. When in doubt after a name's initial or "Co.", the next word
    decides: a word that opens sentences (`OPENERS`) makes it an end.
    """
    word = _LAST_WORD.search(text, max(0, position - 20), position)
    name = word[0] if word else ""
    if name in TITLES:
        return True
    if name in BEFORE_NUMBERS and _NUMBER.match(text, position + 1):
        return True
    suffix = name in SUFFIXES or name + "." in DOTTED
    initial = _INITIALS.match(name) is not None and name != "I"
    return (suffix or initial) and not ends_sentence(text, position + 1)
