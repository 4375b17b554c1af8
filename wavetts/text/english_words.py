"""English rules about words: addresses, abbreviations, initials, Roman numerals, symbols.

Every pattern is linear in the length of the text: a repetition is either bounded or begins at a word's edge.
"""

from __future__ import annotations

import re

from wavetts.text.abbreviations import BEFORE_NUMBERS, DOTTED, OPENERS, SUFFIXES, TITLES, ends_sentence
from wavetts.text.number_words import cardinal, ordinal, spell_digits

# --- web addresses -------------------------------------------------------------------------------------------------

# Countries whose code is an English word (in, it, me, us, ...) are left out: a missing space is more likely.
_ENDINGS = (
    "com|org|net|edu|gov|int|info|io|ai|dev|app|uk|eu|de|fr|ca|au|ch|ru|jp|cn|nl|tv|"
    "txt|md|py|js|json|csv|yaml|toml|xml|html|pdf|jpg|png|wav|mp3|flac|zip|exe"
)
_ADDRESS = re.compile(
    r"(?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?:https?|ftp)://\S+"
    r"|www\.\S+"
    rf"|(?:[A-Za-z0-9-]{{2,}}\.)+(?:{_ENDINGS})(?:[/?#:]\S*)?"
)
_SCHEME = re.compile(r"^(?:https?://|ftp://|mailto:)")
_ADDRESS_SIGNS = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "@": "at",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "%": "percent",
    "+": "plus",
    "~": "tilde",
}
_ADDRESS_PARTS = re.compile(r"[0-9]+|[^\W\d_]+|\S")


def expand_addresses(text: str, language: str) -> str:
    """Web and e-mail addresses: `a.b@example.com` -> `a dot b at example dot com`; the scheme is not read."""
    if "." not in text:
        return text
    return " ".join(_expand_address(token, language) for token in text.split(" "))


def _expand_address(token: str, language: str) -> str:
    core = token.lstrip("\"'(<").rstrip(".,;:!?\"')>/")
    if "." not in core or not _ADDRESS.fullmatch(core):
        return token
    before, after = token.split(core, 1)
    words = []
    for part in _ADDRESS_PARTS.findall(_SCHEME.sub("", core)):
        if part.isascii() and part.isdigit():
            words.append(spell_digits(part, language))
        elif part == "www":
            words.append("w w w")
        else:
            words.append(_ADDRESS_SIGNS.get(part, part))
    return before.strip("<") + " ".join(words) + after.strip("/>")


# --- abbreviations -------------------------------------------------------------------------------------------------

_NUMBER_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
)
_SAID_MERIDIEM = re.compile(r"\b([AaPp])\. ?[Mm]\.")
_DOTTED = re.compile(r"(?<![\w.])(?:" + "|".join(map(re.escape, DOTTED)) + ")")
_BEFORE_NUMBER = re.compile(
    r"(?<![\w.'-])(" + "|".join(BEFORE_NUMBERS) + rf")\. ?(?=[#(]?[0-9]|(?:[IVXLC]{{2,}}|[VX])\b|(?:{_NUMBER_WORDS})\b)"
)
_TITLE = re.compile(r"\b(" + "|".join(name for name in TITLES if name not in ("St", "Dr")) + r")\.(?= ?[A-Za-z])")
_BARE_TITLE = re.compile(r"\b(Mr|Mrs|Ms|Messrs|Prof|St)(?= [A-Z][a-z])")
_STREET_OR_SAINT = re.compile(r"\b(St|Dr)\.")
_SUFFIX = re.compile(r"(?<![\w.])(" + "|".join(SUFFIXES) + r")\.")
_CIRCA = re.compile(r"(?<![\w.])c\. ?(?=[0-9]{3,4}(?![0-9]))")
_CASE_VERSUS = re.compile(r"(?<=\w) v\. (?=[A-Z])")
_ACRONYM = re.compile(r"(?<![\w.])[A-Z]\. ?(?:[A-Z]\. ?)*[A-Z]\.|(?<![\w.])(?:[A-Z]\.)+[A-Z](?![\w.])")
_INITIAL = re.compile(r"(?<![\w.'-])([B-HJ-Z])\.(?= ([A-Z][\w'-]*))")
_ORDINAL_ENDS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|teenth|tieth"
_LAST_WORDS = re.compile(rf"(\S*) ?\b([A-Z][\w'-]*|[\w-]*(?:{_ORDINAL_ENDS})) $")
_NAMES_OF_PLACES = {"Mount", "Port", "Fort", "East", "West", "North", "South", "Lake", "Near", "Saint", "Sir", "Of"}


def expand_abbreviations(text: str, language: str) -> str:
    """Titles, company and street words, `e.g.`, `No. 5`, dotted acronyms (`U.S.` -> `U-S`), initials of names."""
    if "." in text:
        text = _SAID_MERIDIEM.sub(lambda m: _keep_stop(m, m[1].upper() + "M"), text)
        text = _DOTTED.sub(lambda m: _keep_stop(m, DOTTED[m[0]]), text)
        text = _BEFORE_NUMBER.sub(lambda m: BEFORE_NUMBERS[m[1]] + " ", text)
        text = _CIRCA.sub("circa ", text)
        text = _TITLE.sub(lambda m: TITLES[m[1]], text)
        text = _STREET_OR_SAINT.sub(_street_or_saint, text)
        text = _SUFFIX.sub(lambda m: _keep_stop(m, SUFFIXES[m[1]]), text)
        text = _CASE_VERSUS.sub(" versus ", text)
        text = _ACRONYM.sub(_acronym, text)
        # A and I keep their stop: without it espeak reads them as the article and the pronoun.
        text = _INITIAL.sub(lambda m: m[0] if m[2] in OPENERS else m[1], text)
    return _BARE_TITLE.sub(lambda m: TITLES[m[1]], text)


def _keep_stop(match: re.Match[str], words: str) -> str:
    return words + ("." if ends_sentence(match.string, match.end()) else "")


def _street_or_saint(match: re.Match[str]) -> str:
    """`St.` and `Dr.`: before a name Saint and Doctor, after a name Street and Drive."""
    text = match.string
    name, street = ("Saint", "Street") if match[1] == "St" else ("Doctor", "Drive")
    before = _LAST_WORDS.search(text, max(0, match.start() - 40), match.start())
    after_name = before is not None and before[2] not in OPENERS and before[2] not in _NAMES_OF_PLACES
    before_name = re.compile(" ?[A-Z]").match(text, match.end()) is not None
    ends = ends_sentence(text, match.end())
    house_number = after_name and (before[1].isdigit() or not before[2][0].isalpha() or before[2][0].islower())
    if after_name and (ends or not before_name or house_number):
        return street + ("." if ends else "")
    return name


def _acronym(match: re.Match[str]) -> str:
    """Dotted capitals become letters with hyphens: espeak spells those, and the stops would be read as pauses."""
    letters = "-".join(char for char in match[0] if char.isalpha())
    space = " " if match[0].endswith(" ") else ""
    if not match[0].rstrip().endswith("."):
        return letters
    return letters + ("." if ends_sentence(match.string, match.end()) else "") + space


# --- Roman numerals ------------------------------------------------------------------------------------------------

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
_NUMBERED_WORDS = "|".join([r"No\.", r"Vol\.", *_NUMBERED.split(), *_NUMBERED.lower().split()])
_CHAPTER = re.compile(rf"\b({_NUMBERED_WORDS})s? ([IVXLC]{{1,7}})\b(?!')")
_CENTURY = re.compile(r"\b([XVI]{2,5})(?:th|st)?(?= [Cc]entur)")
_ROMAN = re.compile(r"(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROYAL = {"King", "Queen", "Pope", "Emperor", "Empress", "Tsar", "Czar", "Kaiser", "Sultan", "Prince", "Saint"}
# What may follow the numeral I so that it is not the pronoun.
_NOT_PRONOUN = re.compile(r"(?:'s\b|[\"')\]]*(?:[.,;:)!?]|$| (?:of|and|to|in|on|is|was|or|—|\()))")


def expand_roman(text: str, language: str) -> str:
    """Roman numerals after the names of rulers (ordinals) and after Chapter, World War and the like (cardinals).

    A lone I counts only where it cannot be the pronoun; other words are left alone (`Malcolm X`).
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
        if match[2] in "LC" or (len(match[2]) == 1 and (match[1] in ("Number", "No.") or match[1].islower())):
            return match[0]  # a letter: exhibit C, serial number V
        sure = _NOT_PRONOUN.match(match.string, match.end())
        if value is None or (match[2] == "I" and not sure):
            return match[0]
        return match[0][: -len(match[2])] + cardinal(value, language)

    def century(match: re.Match[str]) -> str:
        value = _roman_value(match[1])
        return match[0] if value is None else ordinal(value, language)

    return _CENTURY.sub(century, _CHAPTER.sub(chapter, _REGNAL.sub(regnal, text)))


def _roman_value(numeral: str) -> int | None:
    if not _ROMAN.fullmatch(numeral):
        return None
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[char] for char in numeral]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


# --- symbols -------------------------------------------------------------------------------------------------------

_SYMBOL_RULES = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"&(?:amp|#38);", "&"),
        (r"&nbsp;", " "),
        (r"&(?:quot|#34);", '"'),
        (r"&(?:apos|#39);", "'"),
        (r"&lt;", "<"),
        (r"&gt;", ">"),
        (r"\b([A-Z])([A-Z])&([A-Z])\b", r"\1-\2 and \3"),  # AT&T: "AT" would be read as a word
        (r"&", " and "),
        (r"@", " at "),
        (r"\b([CFcf])#", r"\1 sharp"),
        (r"№ ?|Nº ?|#(?= ?[0-9])", "number "),
        (r"#(?=[^\W\d])", " hashtag "),
        (r"#", " hash "),
        (r"\b(and|either)/or\b", r"\1 or"),
        (r"\bw/o\b", "without"),
        (r"\bw/(?= ?\w)", "with "),
        (r"\bc/o\b", "care of"),
        (r"\b([Nn])/([Aa])\b", r"\1-\2"),
        (r"[-=]{1,3}>|→|⇒", " to "),
        (r"<[-=]{0,2}-|←", " from "),
        (r"<=|≤", " less than or equal to "),
        (r">=|≥", " greater than or equal to "),
        (r"!=|≠", " not equal to "),
        (r"<", " less than "),
        (r">", " greater than "),
        (r"={1,3}", " equals "),
        (r"\+ ?/ ?-|±", " plus or minus "),
        (r"\+", " plus "),
        (r"(?<=[0-9]) / (?=[0-9])", " divided by "),
        (r"×|(?<=[0-9]) ?\* ?(?=[0-9])", " times "),
        (r"÷", " divided by "),
        (r"−", " minus "),
        (r"≈|~(?= ?[0-9])", " about "),
        (r"\^2(?![0-9])", " squared "),
        (r"\^3(?![0-9])", " cubed "),
        (r"\^(?=-?[0-9])", " to the power of "),
        (r"√", " square root of "),
        (r"∞", " infinity "),
        (r"§§? ?", " section "),
        (r"¶ ?", " paragraph "),
        (r"©", " copyright "),
        (r"°", " degrees "),
        (r"º", " degrees "),
        (r"%", " percent "),
        (r"‰", " per mille "),
        (r"\$", " dollar "),
        (r"£", " pound "),
        (r"€", " euro "),
        (r"¥", " yen "),
        (r"¢", " cent "),
        (r"\\", " backslash "),
        (r"(?<=\w) ?/ ?(?=\w)", " slash "),
        (r"[*_|^~•·‣▪●◦†‡`/ª]", " "),  # marks of layout and emphasis
    )
]
_TIME_IN_WORDS = re.compile(r"(?<=[a-z]):(?=[a-z])")  # LJSpeech has "at ten:forty-five"
_HAS_SYMBOL = re.compile(r"""[^\w\s.,;:!?'"()—-]|_""")


def expand_symbols(text: str, language: str) -> str:
    """Symbols that are spoken become words; marks of layout (`*`, `|`, bullets) go. Others are left to espeak."""
    text = _TIME_IN_WORDS.sub(" ", text)
    if not _HAS_SYMBOL.search(text):
        return text
    for pattern, words in _SYMBOL_RULES:
        text = pattern.sub(words, text)
    return text
