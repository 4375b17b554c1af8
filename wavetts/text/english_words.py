"""English rules about words: addresses, abbreviations, initials, symbols, the letter A.

Every pattern is linear in the length of the text: a repetition is either bounded or begins at a word's edge.
"""

from __future__ import annotations

import re

from wavetts.text.abbreviations import BEFORE_NUMBERS, DOTTED, OPENERS, SUFFIXES, TITLES, ends_sentence
from wavetts.text.number_words import spell_digits

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
    r"(?<![\w.'-])(" + "|".join(BEFORE_NUMBERS) + r")\. ?"
    rf"(?=[#(]?[0-9]|(?:[IVXLC]{{2,}}|[VX]|[ivx]{{2,}})\b|(?:{_NUMBER_WORDS})\b)"
)
_TITLE = re.compile(r"\b(" + "|".join(name for name in TITLES if name not in ("St", "Dr")) + r")\.(?= ?(?:[A-Za-z]|&))")
_BARE_TITLE = re.compile(r"\b(Mr|Mrs|Ms|Messrs|Prof|St)(?= [A-Z][a-z])")
_STREET_OR_SAINT = re.compile(r"\b(St|Dr)\.")
_SUFFIX = re.compile(r"(?<![\w.])(" + "|".join(SUFFIXES) + r")\.")
_CIRCA = re.compile(r"(?<![\w.])c\. ?(?=[0-9]{3,4}(?![0-9]))")
_NO_NUMBER = re.compile(r"(?<=[a-z] )(?<!said )(?<!say )(?<!says )(?<!is )(?<!was )no\. ?(?=[0-9])")
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
        text = _NO_NUMBER.sub("number ", text)
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
        (r"\b([Hh]e|[Hh]im|[Hh]is|[Ss]he|[Hh]ers?)/(she|hers?|he|him|his)\b", r"\1 or \2"),
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


# --- the letter A --------------------------------------------------------------------------------------------------

_LONE_A = re.compile(r"(?<![\w.'-])A(?= )")
_JOINED_A = re.compile(r"(?<=[a-z]{2})-A(?![\w'-])")
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
_NEVER_AFTER_ARTICLE = frozenset(_NO_NOUN.split())


def expand_letter(text: str, language: str) -> str:
    """The letter A where it is not the article: `Vitamin A is` -> `Vitamin A- is`, `A and B` -> `A- and B`.

    espeak reads a lone A as the article unless a mark or the end follows; with a hyphen it reads the letter.
    """
    return _LONE_A.sub(lambda m: "A-" if _is_letter(m) else "A", _JOINED_A.sub(" A", text))


def _is_letter(match: re.Match[str]) -> bool:
    text, start, end = match.string, match.start(), match.end()
    before, after = _WORD_BEFORE.search(text, max(0, start - 20), start), _WORD_AFTER.match(text, end)
    word = before[1] if before else ""
    if (
        word.capitalize() in _SURELY_BEFORE_LETTER
        or (after and after[1] in _NEVER_AFTER_ARTICLE)
        or _ROW.match(text, end)
    ):
        return True
    # A capital within a sentence.
    return text[end + 1 : end + 2].islower() and (word in _BEFORE_LETTER or word[:1].islower())
