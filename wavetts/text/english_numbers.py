"""English rules about numbers that are no dates: money, measures, telephone numbers, ranges, fractions."""

from __future__ import annotations

import re

from wavetts.text.english_units import UNIT_PATTERN, say_unit
from wavetts.text.number_words import cardinal, ordinal, plural, say_number, spell_digits, year

# No pattern may start inside a run of digits: that keeps the search linear.
_N = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
_START = r"(?<![0-9])(?<![0-9][.,])"

_SPACED_THOUSANDS = re.compile(r"(?<![0-9.,])([0-9]{1,3})((?: 000)+)(?![0-9])")
_DOTTED_THOUSANDS = re.compile(r"(?<![\w.,])[1-9][0-9]{0,2}\.[0-9]{3}\.000(?!\w|[.,][0-9])")
_INDIAN_THOUSANDS = re.compile(r"(?<![\w.,])[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?!\w|,[0-9])")
_SCIENTIFIC = re.compile(r"(?<![\w.])([0-9]+\.[0-9]+|[0-9]+(?=[eE][+-]))[eE]([+-]?)([0-9]{1,3})(?![\w.])")
_LONG_DIGITS = re.compile(r"[0-9]{37,}")
_BY = re.compile(r"(?<=[0-9])(?<!\b0)x(?=[0-9])|(?<=[\w.]) x (?=[0-9])")
_SUBTRACTION = re.compile(r"(?<=[0-9)]) ?- ?(?=[0-9.]{1,20} ?=)")
_NEGATIVE = re.compile(r"(?<![\w.,)%\"'/-])(?<![0-9] )-(?=[$£€]?\.?[0-9])")


def expand_signs(text: str, language: str) -> str:
    """Minus signs, the `x` of dimensions, and runs of more than 36 digits, which are read one by one."""
    text = _LONG_DIGITS.sub(lambda m: f" {spell_digits(m[0], language)} ", text)
    text = _SCIENTIFIC.sub(lambda m: f"{m[1]} times ten to the {'minus ' if m[2] == '-' else ''}{m[3]}", text)
    text = _DOTTED_THOUSANDS.sub(lambda m: m[0].replace(".", ","), text)
    text = _INDIAN_THOUSANDS.sub(lambda m: f"{int(m[0].replace(',', '')):,}", text)
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
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "CNY": ("yuan", "yuan", "fen", "fen"),
}
# What stands for a sign, and of which country: US$20, 20 USD.
_CODES = {
    "USD": ("$", "US "),
    "CAD": ("$", "Canadian "),
    "AUD": ("$", "Australian "),
    "EUR": ("€", ""),
    "GBP": ("£", ""),
    "JPY": ("¥", ""),
    "INR": ("₹", ""),
    "Rs.": ("₹", ""),
    "RUB": ("₽", ""),
    "CHF": ("CHF", ""),
    "CNY": ("CNY", ""),
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
_EURO_COMMA = re.compile(r"(?<![\w.,])([1-9][0-9]{0,2}(?:\.[0-9]{3})+),([0-9]{2})(?![\w,]|\.[0-9])")
_CODE = "|".join(map(re.escape, _CODES))
_CODE_BEFORE = re.compile(rf"\b({_CODE}) ?({_N}){_MULTIPLE}")
_CODE_AFTER = re.compile(rf"{_START}({_N}){_MULTIPLE} ?({'|'.join(filter(str.isalpha, _CODES))})\b")
_PER_WHAT = r"(?:hour|hr|day|week|wk|month|mo|year|yr|night|minute|second|person|head|unit|share|mile|gallon|lb|kg|oz)"
_SHARE = re.compile(rf"\b(dollars?|cents?|pounds?|pence|euros?|yen|rupees?|francs?) ?/ ?({_PER_WHAT})\b")
_PER_NAMES = {"hr": "hour", "wk": "week", "mo": "month", "yr": "year", "lb": "pound", "kg": "kilogram", "oz": "ounce"}
_MONEY = re.compile(
    rf"(?:\b(US|AU|CA|NZ|HK|A|C))?([$£€¥₹₽₩]) ?({_N}|\.[0-9]+)"
    rf"(?:(?: ?- ?| to | or | and )\2 ?({_N})|-({_N})(?![0-9/:-]))?{_MULTIPLE}( (?=(?:bill|note|coin)s?\b)|-(?=[a-z]))?"
)
_MONEY_AFTER = re.compile(rf"{_START}({_N}) ?([€£¥₹₽₩¢]|\$(?![0-9.])){_MULTIPLE}")
_JOIN = re.compile(" (or|and) ")


def expand_money(text: str, language: str) -> str:
    """Amounts: `$19.99` -> `nineteen dollars and ninety-nine cents`, `$1.5 million`, `£5-10`, `5€`, `50¢`, `20 USD`."""

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
        # "a three million dollar deal"
        singular = bool(in_front_of_noun) or (multiple is not None and f"-{multiple} " in match[0] + " ")
        return _say_money(amount, sign, kind, multiple, singular, language) + (in_front_of_noun or "")

    text = _EURO_COMMA.sub(lambda m: f"{m[1].replace('.', ',')}.{m[2]}", text)
    text = _CODE_BEFORE.sub(lambda m: _say_money(m[2], *_CODES[m[1]], m[3], False, language), text)
    text = _CODE_AFTER.sub(lambda m: _say_money(m[1], *_CODES[m[3]], m[2], False, language), text)
    text = _MONEY.sub(before, text)
    text = _MONEY_AFTER.sub(lambda m: _say_money(m[1], m[2], "", m[3], False, language), text)
    return _SHARE.sub(lambda m: f"{m[1]} per {_PER_NAMES.get(m[2], m[2])}", text)


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
_ARTICLE = re.compile(r"\b[Aa]n? $")
_PERCENT = re.compile(rf"{_START}({_N}) ?%?(?:( ?- ?| to )({_N}))? ?%")
_FEET = re.compile(r"(?<![0-9.,'])([0-9]{1,2})' ?([0-9]{1,2})(?:\"|'')(?!\w)")
_HOURS_MINUTES = re.compile(r"(?<![0-9.,])([0-9]{1,2}) ?h(?:rs?)? ?([0-5]?[0-9]) ?m(?:ins?)?(?!\w)")
_FEET_INCHES = re.compile(r"(?<![0-9.,])([0-9]{1,2}) ?ft\.? ([0-9]{1,2}) ?in\b\.?")
_FEET_MARK = re.compile(r"(?<![0-9.,'])([0-9]{1,3})'(?= (?:tall|long|wide|high|deep)\b)")
_INCH_MARK = re.compile(
    rf"(?<![0-9.,'/])(?:({_N})\"(?= (?:tall|long|wide|high|deep|thick)\b)|({_N}|[0-9]+/[0-9]+)\""
    r"(?= (?:thick|screen|monitor|display|pipe|nail|TV)s?\b))"
)
_PER_UNIT = re.compile(rf"\bper {UNIT_PATTERN}")
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
        # "a five kilometer run"
        article = _ARTICLE.search(match.string, max(0, match.start() - 4), match.start())
        singular = article is not None or (amount == "1" and not first)
        return f"{words} {say_unit(tuple(unit), singular)}"

    def feet(match: re.Match[str]) -> str:
        parts = []
        for amount, one, many in ((match[1], "foot", "feet"), (match[2], "inch", "inches")):
            parts.append(f"{cardinal(amount, language)} {one if int(amount) == 1 else many}")
        return " ".join(parts)

    text = _PERCENT.sub(percent, text)
    text = _FEET_INCHES.sub(feet, _FEET.sub(feet, text))
    text = _INCH_MARK.sub(lambda m: f"{m[1]} {'inch' if m[1] == '1' else 'inches'}" if m[1] else f"{m[2]} inch", text)
    text = _FEET_MARK.sub(lambda m: f"{m[1]} {'foot' if m[1] == '1' else 'feet'}", text)
    text = _HOURS_MINUTES.sub(r"\1 h \2 min", text)
    text = _PER_UNIT.sub(lambda m: f"per {say_unit(m.groups(), singular=True)}", text)
    return _MEASURE.sub(measure, text)


# --- digits that are no quantity -----------------------------------------------------------------------------------

_PHONE = re.compile(
    r"(?<![\w.,$£€-])(?:\+?([0-9]{1,3})[ .-])?(?:\(([0-9]{3})\) ?|([0-9]{3})[ .-])([0-9]{3})[ .-]([0-9]{4})(?![0-9-])"
)
_PHONE_ABROAD = re.compile(r"(?<![\w.,])\+([0-9]{1,3}(?:[ -][0-9]{2,5}){2,6})(?![0-9-])")
_PHONE_LOCAL = re.compile(r"(?<![\w.,$£€/-])([0-9]{3})-([0-9]{4})(?![\w/-]|[.,][0-9])")
_PHONE_ZERO = re.compile(r"(?<![\w.,/-])0[0-9]{2,4}(?:[ /-][0-9]{2,8}){1,4}(?![\w/-]|[.,][0-9])")
_PHONE_WORD = re.compile(r"(?<![\w.,-])1-([89]00)-(?=[A-Z])")
_EMERGENCY = re.compile(
    r"\b((?:[Cc]all|[Dd]ial|[Pp]hone|[Tt]ext)(?:ed|ing|led|ling)? )([2-9]11|999|112|988)(?![\w/-]|[.,:][0-9])"
    r"|(?<![\w.,$])(911)(?= (?:call|operator|dispatch|emergency))"
)
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
    text = _PHONE_ZERO.sub(lambda m: spell(re.split("[ /-]", m[0])), text)
    text = _PHONE_WORD.sub(lambda m: f"one {cardinal(m[1], language)} ", text)
    text = _EMERGENCY.sub(lambda m: (m[1] or "") + spell_digits(m[2] or m[3], language), text)
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
_EQUAL_PARTS = re.compile(r"(?<![\w.,/-])(20-20|50-50)(?![\w/-]|[.,:][0-9])")
_RANGE = re.compile(rf"(?<![0-9A-Za-z/-])(?<![0-9][.,:])({_N}) ?- ?({_N})(?![0-9A-Za-z/-]|[.,:][0-9])")
_PLAIN = re.compile(rf"(?<![0-9])(\.[0-9]+|{_N})")
_PLURAL = re.compile(rf"{_START}({_N})'?s(?![\w'])")
_LETTERS = re.compile(r"\b(?:A|CO|NO|SO)(?=[0-9])")
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
    text = _EQUAL_PARTS.sub(lambda m: m[0].replace("-", " "), text)
    text = _RANGE.sub(lambda m: f"{_say_plain(m[1], language)} to {_say_plain(m[2], language)}", text)
    text = _RATIO.sub(lambda m: f"{cardinal(m[1], language)} to {cardinal(m[2], language)}", text)
    text = _PLURAL.sub(lambda m: plural(_say_plain(m[1], language)), text)
    # Apart from the number espeak would read a word: "a four", "co two".
    text = _LETTERS.sub(lambda m: "-".join(m[0]) + "-", text)
    text = _GLUED.sub(" ", text)
    return _PLAIN.sub(lambda m: _say_plain(m[1], language), text)


def _say_plain(written: str, language: str) -> str:
    """A number as a year where it looks like one (1010-1999, 2010-2099, four bare digits), else as a quantity."""
    if len(written) == 4 and written.isdigit() and (1010 <= int(written) < 2000 or 2010 <= int(written) < 2100):
        return year(written, language)
    return say_number(written, language)
