"""English codes: telephone numbers, versions, IP addresses, serial numbers, and identifiers known by their context."""

from __future__ import annotations

import re
from bisect import bisect_left

from wavetts.text.english.acronyms import say_letters
from wavetts.text.english.number_words import cardinal, pairs, say_number, spell_digits, word_before
from wavetts.text.tokens import rule, word_set

# --- telephone -----------------------------------------------------------------------------------------------------


def _groups(groups: list[str]) -> str:
    return ", ".join(spell_digits(group) for group in groups if group)


def _telephone(match: re.Match[str], language: str) -> str:
    words = _groups(re.findall("[0-9]+", match[0]))
    return f"plus {words}" if match[0].startswith("+") else words


def _local(match: re.Match[str], language: str) -> str | None:
    first, last = match.groups()
    # 500-1000 is a range: it rises and ends in a round number
    if int(first) < int(last) and last.endswith("00") and first[0] != "0":
        return None
    return _groups([first, last])


_LETTER_GROUP = re.compile("[0-9]+|[A-Za-z]+")


def _telephone_word(match: re.Match[str], language: str) -> str:
    """`1-800-FLOWERS`: the area as a number, the words as words."""
    parts = [spell_digits(match[1]) if match[1] else "", cardinal(match[2], language)]
    for part in _LETTER_GROUP.findall(match[3]):
        parts.append(spell_digits(part) if part.isdigit() else part)
    return " ".join(part for part in parts if part)


_LOST = r"(?![\w-]|[.,][0-9])"

# --- identifiers ---------------------------------------------------------------------------------------------------

# Names of codes, and the words between name and code: "your code is", "PIN:", "account number", "card ending in".
_NAMES = (
    r"(?:codes?|pins?|otp|passcode|password|passwd|zip|zipcode|postcode|postal code|account|acct\.?|a/c|card|ssn|"
    r"social security|routing|passport|licen[sc]e|license plate|serial|tracking|confirmation|reference|ref\.?|booking|"
    r"order|invoice|ticket|case|customer|member|membership|employee|student|patient|user|policy|claim|badge|"
    r"id|i\.d\.|isbn|imei|iban|swift|vin|upc|sku|pnr|model number|part number|phone|telephone|tel\.?|mobile|cell|fax|"
    r"hotline|extension|ext\.?|voicemail|token|key|combination|meter|device|mailbox|p\.?o\.? box|box|frequency code|"
    r"verification|authenti[a-z]+|security|access|area)"
)
_SURE = (
    r"(?:codes?|pins?|otp|passcode|password|zip|zipcode|postcode|account|acct\.?|a/c|card|ssn|passport|serial|tracking|"
    r"confirmation|id|isbn|imei|pnr|phone|telephone|tel\.?|mobile|cell|fax|hotline|extension|ext\.?|voicemail)"
)
_LINK = (
    r"(?: ?(?:number|numbers|no\.?|num\.?|nr\.?|code|codes|id|key|#|is|are|was|to|as|of|with|in|ending|ends|starting|"
    r"begins|beginning|again|here|below|:|=|-|\"|'|\()){0,5}"
)
_BEFORE_CODE = re.compile(rf"\b{_NAMES}{_LINK} ?$")
_SURELY_BEFORE = re.compile(
    rf"\b{_SURE}(?: ?(?:number|no\.?|code|#|is|was|:|=|ending in|ending with|ends in|ends with|\"|'))* ?$"
)
# The words that the names of codes, and the other words looked for before a number, begin with. They are looked up
# first, for speed: before most numbers there is none of them. Of "a/c" and "i.d." see `_WORD`.
_ANY_NAME = word_set(
    "code codes pin pins otp passcode password passwd zip zipcode postcode postal account acct a card "
    "ssn security routing "
    "passport license licence plate serial tracking confirmation reference ref booking order invoice "
    "ticket case customer "
    "model part member membership employee student patient user policy claim badge id i isbn imei iban swift vin "
    "upc sku pnr "
    "phone telephone tel mobile cell fax hotline extension ext voicemail token key combination meter "
    "device mailbox box "
    "verification access area call calls called calling dial dials dialed dialled dialing dialling "
    "phoned ring text texted "
    "texting press enter type typed entered flight flights bus train channel highway route interstate "
    "hwy rte room rooms rm "
    "suite ste apartment apt unit gate locker building bldg form office authentication authenticator"
)
_WORD = re.compile(r"[a-z]{2,}|a(?=/)|i(?=\.)")
_NUMBER = re.compile("[0-9]+")
_CONTEXT = 48  # characters before a code in which its name is looked for


_remembered: tuple[tuple[str, str, list[int], list[int]], ...] = ()


def _names(text: str) -> tuple[str, list[int], list[int]]:
    """A paragraph in lower case, where words of `_ANY_NAME` begin in it, and where digits; kept for a few paragraphs.

    A paragraph is recognised by its identity: to compare it with an equal one at every number would take a time that
    is quadratic in its length.
    """
    global _remembered
    for paragraph, small, places, numbers in _remembered:
        if paragraph is text:
            return small, places, numbers
    small = text.replace("İ", "I").lower()  # the one letter that becomes two in lower case
    places = [word.start() for word in _WORD.finditer(small) if word[0] in _ANY_NAME]
    numbers = [number.start() for number in _NUMBER.finditer(text)] if places else []
    _remembered = ((text, small, places, numbers), *_remembered[:7])
    return small, places, numbers


class _Context:
    """The `_CONTEXT` characters before a match, in lower case, and where names of codes may begin in them."""

    def __init__(self, text: str, places: list[int], end: int):
        self._text, self._places, self._end = text, places, end
        self.text = text[max(0, end - _CONTEXT) : end]

    def is_matched(self, pattern: re.Pattern[str]) -> bool:
        """True if the pattern, which begins with a name, matches from a name on to the end."""
        return any(pattern.match(self._text, place, self._end) for place in self._places)


def _context(match: re.Match[str]) -> _Context | None:
    """None if no name of a code begins within the `_CONTEXT` characters before a match and behind the last digit."""
    small, places, numbers = _names(match.string)
    end = match.start()
    last = bisect_left(places, end)
    if not last or places[last - 1] < end - _CONTEXT:
        return None
    number = bisect_left(numbers, end)
    start = max(end - _CONTEXT, numbers[number - 1] if number else 0)
    first = bisect_left(places, start)
    return _Context(small, places[first:last], end) if first < last else None


_NUMBERED = re.compile(r"\b(?:number|no\.?|numbers|#|:) ?$")
_CALL = re.compile(
    r"\b(?:call|calls|called|calling|dial|dials|dialed|dialled|dialing|dialling|phone|phoned|ring|text|texted|texting|"
    r"press|enter|type|typed|entered|fax)(?: (?:us|me|him|her|them|it|in|up|on|at|to|number|the number|"
    r"back|back on|me at|us at|us on|me on))? $"
)
_FLIGHT = re.compile(
    r"\b(?:flight|flights|bus|train|channel|highway|route|interstate|hwy\.?|rte\.?)(?: (?:number|no\.?|[a-z]{2}))? ?$"
)
_ROOM = re.compile(
    r"\b(?:room|rooms|rm\.?|suite|ste\.?|apartment|apt\.?|unit|gate|locker|building|bldg\.?|form|office)"
    r"(?: (?:number|no\.?))? ?#?$"
)
_STATE = re.compile(r"(?:, ?|\b)(?:[A-Z]{2}|[A-Z][a-z]+),? $")
_COUNTED = re.compile(
    r" (?:[a-z]{2,}s|people|men|women|children|percent|per|million|billion|thousand|times|or|km|kg)\b"
)
_END_OF_CALL = re.compile(
    r"$|[.,;:!?)\"']| (?:for|now|if|to|and|at|when|or|immediately|today|in|on|from|with|as|is|operator|then)\b"
)


def _code(match: re.Match[str], language: str) -> str | None:
    """Digits that are read one by one because the words before them name a code."""
    before = _context(match)
    if before is None:
        return None
    digits, text, after = match[0], match.string, match.end()
    count = len(digits)
    if before.is_matched(_CALL):
        return spell_digits(digits) if count >= 3 and _END_OF_CALL.match(text, after, match.endpos) else None
    if before.is_matched(_FLIGHT):
        return _flight(digits, before.text, language)
    if before.is_matched(_ROOM):
        if digits[0] == "0":
            return spell_digits(digits)
        return spell_digits(digits) if count > 3 else pairs(digits, language) if count == 3 else None
    if before.is_matched(_BEFORE_CODE):
        sure = before.is_matched(_SURELY_BEFORE)
        numbered = _NUMBERED.search(before.text[-10:]) is not None
        if _COUNTED.match(text, after, match.endpos) and not numbered:
            return None
        if count >= 3 and (sure or numbered or count > 4):
            return spell_digits(digits)
        return spell_digits(digits) if sure and digits[0] == "0" else None
    return None


def _flight(digits: str, before: str, language: str) -> str | None:
    if re.search(r"\bflights?(?: \S+)? ?$", before):
        return spell_digits(digits) if len(digits) >= 3 else None
    if re.search(r"\b(?:highway|route|interstate|hwy|rte|bus|train|channel)\b", before) and len(digits) == 3:
        return pairs(digits, language)
    return None


def _spaced_code(match: re.Match[str], language: str) -> str | None:
    """Groups of digits (`4111 1111 1111 1111`, `12-34-56`) after the name of a code; four groups of four anywhere."""
    before = _context(match)
    groups = re.split("[ -]", match[0])
    card = len(groups) == 4 and all(len(group) == 4 for group in groups)
    if card or (before and (before.is_matched(_BEFORE_CODE) or before.is_matched(_CALL))):
        return _groups(groups)
    return None


def _mixed_code(match: re.Match[str], language: str) -> str | None:
    """Letters and digits after the name of a code (`OTP ab9453`, `PNR T2000X`): one by one."""
    before = _context(match)
    if before is None or not before.is_matched(_BEFORE_CODE) or not re.search("[0-9]", match[0]):
        return None
    if re.search(r"\b(?:case|order|key|box|device|security|access|user|area)s? $", before.text) and len(match[0]) < 5:
        return None
    return _spell(match[0])


def _spell(written: str) -> str:
    parts = []
    for part in _LETTER_GROUP.findall(written):
        parts.append(
            spell_digits(part) if part.isdigit() else say_letters(part.upper()) if part.upper() != "A" else "A-"
        )
    return " ".join(parts)


def _emergency(match: re.Match[str], language: str) -> str:
    return spell_digits(match[1])


# --- parts with stops or colons ------------------------------------------------------------------------------------


def _internet(match: re.Match[str], language: str) -> str | None:
    """`192.168.1.40`, digit by digit; with `/24` and `:8080` behind."""
    parts = match[1].split(".")
    if any(int(part) > 999 for part in parts):
        return None
    words = " dot ".join(spell_digits(part) for part in parts)
    if match[2]:
        words += f" slash {cardinal(match[2], language)}"
    if match[3]:
        words += f" colon {spell_digits(match[3])}"
    return words


def _version(match: re.Match[str], language: str) -> str:
    """`1.10.2`: the parts as numbers."""
    return " point ".join(say_number(part, language) for part in match[1].split("."))


def _named_version(match: re.Match[str], language: str) -> str | None:
    named = word_before(match).lower().startswith(("ver", "release", "model", "rev"))
    name = match[1] if named else "version" if match[1].lower() in ("v", "ver") else match[1]
    return f"{name} " + " point ".join(say_number(part, language) for part in match[2].split("."))


def _hexadecimal(match: re.Match[str], language: str) -> str | None:
    """`00:1A:2B`, also as part of a longer one: digits and letters one by one."""
    written = match[0]
    if not re.search("[A-Fa-f]", written) and written.count(":") < 5:
        return None
    return ", ".join(_spell(part) for part in re.split("[:-]", written))


def _hash(match: re.Match[str], language: str) -> str | None:
    """`0x1F`, and hexadecimal digests of eight and more signs."""
    written = match[0]
    if written[:2].lower() == "0x":
        return f"zero x {_spell(written[2:])}"
    if not (re.search("[0-9]", written) and re.search("[a-fA-F]", written)):
        return None
    return _spell(written)


def _serial_groups(match: re.Match[str], language: str) -> str:
    return _groups(re.split("-", match[0]))


_HEX_PAIR = r"[0-9A-Fa-f]{2}"
_DIGITS_AND_GROUPS = r"[0-9]{2,8}(?:[ -][0-9]{2,8}){1,6}"

DIGITS = [
    rule("code", rf"{_HEX_PAIR}(?:[:-]{_HEX_PAIR}){{2,15}}(?![\w:-])", _hexadecimal, ": a -"),
    rule(
        "code",
        r"0[xX][0-9A-Fa-f]{1,32}(?!\w)|(?=[0-9a-f]{0,40}[a-f][0-9a-f]{0,40}[0-9])[0-9a-f]{8,64}(?!\w)|[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F-]{20,30}(?!\w)",
        _hash,
        "a",
    ),
    rule("code", _DIGITS_AND_GROUPS + _LOST, _spaced_code, "_0 -0"),
    rule(
        "telephone",
        r"(?<![.,$£€-])(?:[0-9]{1,3}[ .-])?(?:\([0-9]{3}\)[ -]?|[0-9]{3}[ .-])"
        r"[0-9]{3}[ .-][0-9]{4}(?:-[0-9]{1,5})?(?![0-9-])",
        _telephone,
        "_0 -0 -( .0 .( _(",
    ),
    rule("telephone", r"(?<![.,$£€/-])([0-9]{3})-([0-9]{4})(?![\w/-]|[.,][0-9])", _local, "-0"),
    rule("telephone", r"(?<![.,/-])0[0-9]{2,4}(?:[ /-][0-9]{2,8}){1,4}(?![\w/-]|[.,][0-9])", _telephone, "_0 /0 -0"),
    rule(
        "telephone",
        r"(?<![.,-])(?:(1)-)?([89]00)-((?:[A-Z]+|[0-9]+)(?:-(?:[A-Z]+|[0-9]+)){0,4})(?![\w-])",
        _telephone_word,
        "-0 -a",
    ),
    rule("telephone", r"(?<![.,$-])(911)(?= (?:call|operator|dispatch|emergency))", _emergency, "_:code"),
    rule(
        "code", r"(?<![.,$£€/-])(?:[0-9]+(?:-[0-9]+){2,}|[0-9]{5}-[0-9]{4})(?![\w/-]|[.,][0-9])", _serial_groups, "-0"
    ),
    rule(
        "code",
        r"(?<![.,])([0-9]{1,3}(?:\.[0-9]{1,3}){3})(?:/([0-9]{1,2}))?(?::([0-9]{1,5}))?(?![\w:]|[.-][0-9])",
        _internet,
        ".",
    ),
    rule(
        "number",
        r"(?<![.,])[1-9][0-9]{0,2}\.[0-9]{3}\.000(?!\w|[.,][0-9])",
        lambda m, language: say_number(m[0].replace(".", ","), language),
        ".",
    ),
    rule("code", r"([0-9]+(?:\.[0-9]+){2,})(?![\w-])", _version, "."),
    rule("code", r"(?=[0-9]{1,8}[A-Za-z])[0-9A-Za-z]{3,24}(?!\w)", _mixed_code, "a"),
    rule("code", r"[0-9]+(?![\w]|[.,/:-][0-9]|%)", _code, "END . , ; : ! ? _a ) _0 _( - _- \" ' /"),
]
SIGNS = {
    "+": [
        rule(
            "telephone", r"(?<![\w.,])\+[0-9]{1,3}[ .-]?\(?[0-9]{1,5}\)?(?:[ .-]?[0-9]{2,5}){1,5}(?![0-9-])", _telephone
        ),
    ],
    "(": [
        rule("telephone", r"\([0-9]{3}\)[ -]?[0-9]{3}[ .-][0-9]{4}(?:-[0-9]{1,5})?(?![0-9-])", _telephone),
        rule("telephone", r"\(0[0-9]{1,4}\) ?[0-9]{2,4}(?:[ -]?[0-9]{2,5}){1,3}(?![0-9-])", _telephone),
    ],
}
WORDS = [
    rule(
        "code",
        r"([Vv]|[Vv]er|[Vv]ersion)\.? ?([0-9]+(?:\.[0-9]+)*)(?!\w|\.[0-9]|-[0-9])",
        _named_version,
        "0 . _0",
        ["v", "ver", "version"],
    ),
    rule("code", rf"{_HEX_PAIR}(?:[:-]{_HEX_PAIR}){{2,15}}(?![\w:-])", _hexadecimal, ": 0"),
    rule("code", r"(?=[0-9a-f]{0,40}[a-f][0-9a-f]{0,40}[0-9])[0-9a-f]{12,64}(?!\w)", _hash, "0"),
    rule(
        "code",
        r"[A-Za-z]{1,12}[0-9][0-9A-Za-z]{1,24}(?!\w)|[A-Za-z]{1,6}-(?=[0-9]{3,})[0-9]{3,12}(?![\w-])",
        _mixed_code,
        "0 -",
    ),
]
