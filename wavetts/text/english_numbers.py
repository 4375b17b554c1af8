"""English rules about numbers that are no dates: money, measures, telephone numbers, ranges, fractions."""

from __future__ import annotations

import re

from wavetts.text.english_units import UNIT_PATTERN, say_unit
from wavetts.text.number_words import cardinal, ordinal, plural, say_number, spell_digits, year

# No pattern may start inside a run of digits: that keeps the search linear.
_N = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
_START = r"(?<![0-9])(?<![0-9][.,])"

_SPACED_THOUSANDS = re.compile(r"(?<![0-9.,])([0-9]{1,3})((?: 000)+)(?![0-9])")
_LONG_DIGITS = re.compile(r"[0-9]{37,}")
_BY = re.compile(r"(?<=[0-9])(?<!\b0)x(?=[0-9])|(?<=[\w.]) x (?=[0-9])")
_SUBTRACTION = re.compile(r"(?<=[0-9)]) ?- ?(?=[0-9.]{1,20} ?=)")
_NEGATIVE = re.compile(r"(?<![\w.,)%\"'/-])(?<![0-9] )-(?=[$£€]?\.?[0-9])")


def expand_signs(text: str, language: str) -> str:
    """Minus signs, the `x` of dimensions, and runs of more than 36 digits, which are read one by one."""
    text = _LONG_DIGITS.sub(lambda m: f" {spell_digits(m[0], language)} ", text)
    text = _SPACED_THOUSANDS.sub(lambda m: m[0].replace(" ", ","), text)
    text = _BY.sub(" by ", text)
    return _NEGATIVE.sub("minus ", _SUBTRACTION.sub(" minus ", text))


# --- money ---------------------------------------------------------------------------------------------------------

_CURRENCIES = {  # one, many, one of the small, many of the small
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("ruble", "rubles", "kopek", "kopeks"),
    "₩": ("won", "won", "jeon", "jeon"),
    "¢": ("cent", "cents", "", ""),
}
_DOLLARS = {
    "US": "US ",
    "A": "Australian ",
    "AU": "Australian ",
    "C": "Canadian ",
    "CA": "Canadian ",
    "NZ": "New Zealand ",
    "HK": "Hong Kong ",
}
_MULTIPLES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "tn": "trillion"}
_MULTIPLE = r"(?:[ -]?(hundred|thousand|million|billion|trillion|bn|mn|tn|[kKmMbB])\b)?"
_MONEY = re.compile(
    rf"(?:\b(US|AU|CA|NZ|HK|A|C))?([$£€¥₹₽₩]) ?({_N}|\.[0-9]+)"
    rf"(?:(?: ?- ?| to | or | and )\2 ?({_N})|-({_N})(?![0-9/:-]))?{_MULTIPLE}( (?=(?:bill|note|coin)s?\b))?"
)
_MONEY_AFTER = re.compile(rf"{_START}({_N}) ?([€£¥₹₽₩¢]){_MULTIPLE}")
_JOIN = re.compile(" (or|and) ")


def expand_money(text: str, language: str) -> str:
    """Amounts: `$19.99` -> `nineteen dollars and ninety-nine cents`, `$1.5 million`, `£5-10`, `5€`, `50¢`."""

    def before(match: re.Match[str]) -> str:
        country, sign, amount, last_marked, last, multiple, in_front_of_noun = match.groups()
        last = last_marked or last
        kind = _DOLLARS[country] if country and sign == "$" else country or ""
        join = _JOIN.search(match[0])
        if last:
            if last_marked and not multiple and "." in amount + last:
                first = _say_money(amount, sign, kind, None, False, language)
            else:
                first = say_number(amount, language)
            return f"{first} {join[1] if join else 'to'} " + _say_money(last, sign, kind, multiple, False, language)
        words = _say_money(amount, sign, kind, multiple, bool(in_front_of_noun), language)
        return words + (in_front_of_noun or "")

    text = _MONEY.sub(before, text)
    return _MONEY_AFTER.sub(lambda m: _say_money(m[1], m[2], "", m[3], False, language), text)


def _say_money(amount: str, sign: str, kind: str, multiple: str | None, singular: bool, language: str) -> str:
    one, many, small_one, small_many = _CURRENCIES[sign]
    whole, _, fraction = amount.partition(".")
    if multiple:
        multiple = _MULTIPLES.get(multiple.lower(), multiple)
        return f"{say_number(amount, language)} {multiple} {kind}{one if singular else many}"
    if len(fraction) != 2 or not small_one:
        return f"{say_number(amount, language)} {kind}{one if singular or amount == '1' else many}"
    small = int(fraction)
    parts = []
    if whole.strip("0,") or small == 0:
        parts.append(f"{say_number(whole or '0', language)} {kind}{one if singular or whole == '1' else many}")
    if small:
        parts.append(f"{cardinal(small, language)} {small_one if small == 1 else small_many}")
    return " and ".join(parts)


# --- measures ------------------------------------------------------------------------------------------------------

_TO = r"( ?- ?| to | or | and | by )"
_PERCENT = re.compile(rf"{_START}({_N}) ?%?(?:( ?- ?| to )({_N}))? ?%")
_FEET = re.compile(r"(?<![0-9.,'])([0-9]{1,2})' ?([0-9]{1,2})(?:\"|'')(?!\w)")
_MEASURE = re.compile(rf"{_START}(?:({_N}){_TO})?{_START}({_N})([ -]?){UNIT_PATTERN}")


def expand_measures(text: str, language: str) -> str:
    """Percentages and units: `5%`, `5-10 km`, `a 5-km run`, `9.8 m/s^2`, `20°C`, `5'10"`."""

    def percent(match: re.Match[str]) -> str:
        words = say_number(match[1], language)
        return f"{words} to {say_number(match[3], language)} percent" if match[3] else f"{words} percent"

    def measure(match: re.Match[str]) -> str:
        first, join, amount, gap, *unit = match.groups()
        words = say_number(amount, language)
        if first:
            words = f"{say_number(first, language)} {join.strip().replace('-', 'to')} {words}"
        elif gap == "-":
            return f"{words}-{say_unit(tuple(unit), singular=True)}"
        return f"{words} {say_unit(tuple(unit), singular=amount == '1' and not first)}"

    def feet(match: re.Match[str]) -> str:
        parts = []
        for amount, one, many in ((match[1], "foot", "feet"), (match[2], "inch", "inches")):
            parts.append(f"{cardinal(amount, language)} {one if int(amount) == 1 else many}")
        return " ".join(parts)

    text = _PERCENT.sub(percent, text)
    text = _FEET.sub(feet, text)
    return _MEASURE.sub(measure, text)


# --- digits that are no quantity -----------------------------------------------------------------------------------

_PHONE = re.compile(
    r"(?<![\w.,$£€-])(?:\+?([0-9]{1,3})[ .-])?(?:\(([0-9]{3})\) ?|([0-9]{3})[ .-])([0-9]{3})[ .-]([0-9]{4})(?![0-9-])"
)
_PHONE_ABROAD = re.compile(r"(?<![\w.,])\+([0-9]{1,3}(?:[ -][0-9]{2,5}){2,6})(?![0-9-])")
_PHONE_LOCAL = re.compile(r"(?<![\w.,$£€/-])([0-9]{3})-([0-9]{4})(?![\w/-]|[.,][0-9])")
_DIGIT_GROUPS = re.compile(r"(?<![\w.,$£€/-])(?:[0-9]+(?:-[0-9]+){2,}|[0-9]{5}-[0-9]{4})(?![\w/-]|[.,][0-9])")
_VERSION = re.compile(r"\b(?:v|[Vv]ersion )([0-9]+(?:\.[0-9]+)*)(?![\w-])|(?<![\w.])([0-9]+(?:\.[0-9]+){2,})(?![\w-])")


def expand_digit_groups(text: str, language: str) -> str:
    """Telephone numbers and codes digit by digit (`555-1234`), versions and addresses part by part (`1.2.3`)."""

    def spell(groups: list[str | None]) -> str:
        return ", ".join(spell_digits(group, language) for group in groups if group)

    def local(match: re.Match[str]) -> str:
        # 500-1000 is a range: it rises and ends in a round number
        is_range = int(match[1]) < int(match[2]) and match[2].endswith("00") and match[1][0] != "0"
        return match[0] if is_range else spell([match[1], match[2]])

    def version(match: re.Match[str]) -> str:
        parts = (match[1] or match[2]).split(".")
        words = f" {'dot' if match[2] and len(parts) == 4 else 'point'} ".join(say_number(p, language) for p in parts)
        return f"version {words}" if match[1] else words

    text = _PHONE.sub(lambda m: ("plus " if m[0][0] == "+" else "") + spell(list(m.groups())), text)
    text = _PHONE_ABROAD.sub(lambda m: "plus " + spell(re.split("[ -]", m[1])), text)
    text = _PHONE_LOCAL.sub(local, text)
    text = _DIGIT_GROUPS.sub(lambda m: spell(m[0].split("-")), text)
    return _VERSION.sub(version, text)


# --- plain numbers -------------------------------------------------------------------------------------------------

_SPECIAL_FRACTION = {("9", "11"): "nine eleven", ("24", "7"): "twenty-four seven", ("50", "50"): "fifty-fifty"}
_FRACTION = re.compile(
    r"(?<![0-9/.,])(?:([0-9]{1,4})[ -])?(?<![0-9/.,])([0-9]{1,4})/([0-9]{1,4})"
    r"(?:(?:st|nd|rd|th)s?\b)?(?![0-9/]|[.,][0-9])"
)
_ORDINAL = re.compile(rf"{_START}([0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]{{1,15}})(?:st|nd|rd|th|ST|ND|RD|TH)(s?)\b")
_RATIO = re.compile(rf"{_START}(?<!:)([0-9]{{1,4}}):([0-9]{{1,4}})(?![0-9:])")
_RANGE = re.compile(rf"(?<![0-9A-Za-z/-])(?<![0-9][.,:])({_N}) ?- ?({_N})(?![0-9A-Za-z/-]|[.,:][0-9])")
_PLAIN = re.compile(rf"(?<![0-9])(\.[0-9]+|{_N})")
_PLURAL = re.compile(rf"(?<![0-9])({_N})'?s(?![\w'])")
_GLUED = re.compile(r"(?<=[^\W\d_])(?=[0-9])|(?<=[0-9])(?=[^\W\d_])")


def expand_fractions(text: str, language: str) -> str:
    """Fractions and ordinals: `1/2`, `2 3/4`, `9/11`, `22nd`."""

    def fraction(match: re.Match[str]) -> str:
        whole, above, below = match.groups()
        if not whole and (above, below) in _SPECIAL_FRACTION:
            return _SPECIAL_FRACTION[above, below]
        words = _say_fraction(int(above), int(below), language)
        if not whole:
            return words
        if len(whole) == 4:  # a year or another number, not the whole of a mixed one
            return f"{year(whole, language)} {words}"
        words = words.replace("one half", "a half").replace("one quarter", "a quarter")
        return f"{say_number(whole, language)} and {words}"

    text = _FRACTION.sub(fraction, text)
    return _ORDINAL.sub(lambda m: ordinal(m[1].replace(",", ""), language) + m[2], text)


def _say_fraction(above: int, below: int, language: str) -> str:
    over = cardinal(above, language)
    if above == below or not (2 <= below <= 20 or below in (32, 64, 100, 1000)):
        return f"{over} {cardinal(below, language)}" if above == below else f"{over} over {cardinal(below, language)}"
    if below == 2:
        return f"{over} half" if above == 1 else f"{over} halves"
    part = "quarter" if below == 4 else ordinal(below, language)
    return f"{over} {part if above == 1 else plural(part)}"


def expand_numbers(text: str, language: str) -> str:
    """Ranges, ratios and every number that is left; nothing of 0-9 remains."""
    text = _RANGE.sub(lambda m: f"{_say_plain(m[1], language)} to {_say_plain(m[2], language)}", text)
    text = _RATIO.sub(lambda m: f"{cardinal(m[1], language)} to {cardinal(m[2], language)}", text)
    text = _PLURAL.sub(lambda m: plural(_say_plain(m[1], language)), text)
    text = _GLUED.sub(" ", text)
    return _PLAIN.sub(lambda m: _say_plain(m[1], language), text)


def _say_plain(written: str, language: str) -> str:
    """A number as a year where it looks like one (1010-1999, 2010-2099, four bare digits), else as a quantity."""
    if len(written) == 4 and written.isdigit() and (1010 <= int(written) < 2000 or 2010 <= int(written) < 2100):
        return year(written, language)
    return say_number(written, language)
