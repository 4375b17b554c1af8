"""English amounts of money, and multiples written as a letter (`2m`, `2.3bn`)."""

from __future__ import annotations

import re

from wavetts.text.english.number_words import NUMBER, cardinal, plural, say_number
from wavetts.text.tokens import rule, word_set

_CURRENCIES = {  # one, many, one of the small, many of the small
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("ruble", "rubles", "kopek", "kopeks"),
    "₩": ("won", "won", "jeon", "jeon"),
    "₺": ("lira", "lira", "kurus", "kurus"),
    "₴": ("hryvnia", "hryvnias", "kopek", "kopeks"),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "₫": ("dong", "dong", "", ""),
    "₦": ("naira", "naira", "kobo", "kobo"),
    "₱": ("peso", "pesos", "centavo", "centavos"),
    "฿": ("baht", "baht", "satang", "satang"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "¢": ("cent", "cents", "", ""),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "CNY": ("yuan", "yuan", "fen", "fen"),
    "PLN": ("zloty", "zlotys", "grosz", "groszy"),
    "KR": ("krona", "kronor", "ore", "ore"),
    "BRL": ("real", "reais", "centavo", "centavos"),
    "ZAR": ("rand", "rand", "cent", "cents"),
    "p": ("penny", "pence", "", ""),
}
# What stands for a sign, and of which country: US$20, 20 USD.
_CODES = {
    "USD": ("$", "US "),
    "CAD": ("$", "Canadian "),
    "AUD": ("$", "Australian "),
    "NZD": ("$", "New Zealand "),
    "HKD": ("$", "Hong Kong "),
    "SGD": ("$", "Singapore "),
    "MXN": ("₱", "Mexican "),
    "EUR": ("€", ""),
    "GBP": ("£", ""),
    "JPY": ("¥", ""),
    "INR": ("₹", ""),
    "Rs": ("₹", ""),
    "Rs.": ("₹", ""),
    "RUB": ("₽", ""),
    "KRW": ("₩", ""),
    "TRY": ("₺", ""),
    "ILS": ("₪", ""),
    "CHF": ("CHF", ""),
    "CNY": ("CNY", ""),
    "RMB": ("CNY", ""),
    "PLN": ("PLN", ""),
    "SEK": ("KR", "Swedish "),
    "BRL": ("BRL", "Brazilian "),
    "ZAR": ("ZAR", ""),
}
_DOLLARS = {
    "US": "US ",
    "A": "Australian ",
    "AU": "Australian ",
    "C": "Canadian ",
    "CA": "Canadian ",
    "NZ": "New Zealand ",
    "HK": "Hong Kong ",
    "S": "Singapore ",
}
_MULTIPLES = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "mil": "million",
    "mm": "million",
    "b": "billion",
    "bn": "billion",
    "t": "trillion",
    "tn": "trillion",
}
_MULTIPLE = r"(?:[ -]?(hundred|thousand|million|billion|trillion|[bB][nN]|mn|[tT][nN]|mil|MM|[kKmMbBT])(?![\w]))?"
_SIGN = "[$£€¥₹₽₩₺₴₪₫₦₱฿₿]"
_CODE = "|".join(re.escape(code) for code in sorted(_CODES, key=len, reverse=True))
_PER_NAMES = {
    "hr": "hour",
    "h": "hour",
    "wk": "week",
    "mo": "month",
    "mth": "month",
    "yr": "year",
    "y": "year",
    "d": "day",
    "lb": "pound",
    "kg": "kilogram",
    "oz": "ounce",
    "mi": "mile",
    "gal": "gallon",
    "ft": "foot",
    "sqft": "square foot",
    "min": "minute",
    "sec": "second",
    "ea": "each",
    "pp": "person",
}
_PER_WHAT = (
    r"(hour|hr|h|day|d|week|wk|month|mth|mo|year|yr|y|night|minute|min|second|sec|person|pp|head|unit|share|mile|mi|"
    r"gallon|gal|lb|kg|oz|ton|tonne|barrel|user|seat|piece|item|GB|kWh|foot|ft|sqft|word|page|employee|student|ticket)"
)
_PER = rf"(?: ?/ ?{_PER_WHAT}\b(?!/))?"


def _say_money(amount: str, sign: str, kind: str, multiple: str | None, singular: bool, language: str) -> str:
    one, many, small_one, small_many = _CURRENCIES[sign]
    whole, _, fraction = amount.partition(".")
    if multiple:
        multiple = _MULTIPLES.get(multiple.lower(), multiple)
        return f"{say_number(amount, language)} {multiple} {kind}{one if singular else many}"
    if (len(fraction) == 3 and fraction[2] == "0") or (len(fraction) > 3 and not fraction.strip("0")):
        fraction = fraction[:2]
    if len(fraction) == 1:
        fraction += "0"
    if len(fraction) != 2 or not small_one:
        if fraction and not fraction.strip("0"):
            amount = whole
        return f"{say_number(amount, language)} {kind}{one if singular or amount == '1' else many}"
    small = int(fraction)
    parts = []
    if whole.strip("0,") or small == 0:
        parts.append(f"{say_number(whole or '0', language)} {kind}{one if singular or whole == '1' else many}")
    if small:
        parts.append(f"{cardinal(small, language)} {small_one if small == 1 else small_many}")
    return " and ".join(parts)


def _per(what: str | None) -> str:
    if not what:
        return ""
    name = _PER_NAMES.get(what, {"GB": "gigabyte", "kWh": "kilowatt hour"}.get(what, what))
    return f" {name}" if name == "each" else f" per {name}"


_JOIN = re.compile(" (or|and) ")


def _before(match: re.Match[str], language: str) -> str:
    country, sign, amount, last_marked, last, multiple, noun, per = match.groups()
    last = last_marked or last
    kind = _DOLLARS[country] if country and sign == "$" else f"{country} " if country else ""
    if last:
        join = _JOIN.search(match[0])
        short = not last_marked or multiple or "." not in amount + last
        # "$5-10" and "$5 to $10" share their dollars, "$3.50-$4" does not
        if (short and not (last_marked and "-" in match[0] and not multiple)) or multiple:
            first = say_number(amount, language)
        else:
            first = _say_money(amount, sign, kind, None, False, language)
        words = f"{first} {join[1] if join else 'to'} " + _say_money(last, sign, kind, multiple, False, language)
        return words + _per(per)
    # "a three million dollar deal"
    singular = bool(noun) or (multiple is not None and f"-{multiple} " in match[0] + " ")
    return _say_money(amount, sign, kind, multiple, singular, language) + (noun or "") + _per(per)


def _code_before(match: re.Match[str], language: str) -> str:
    return _say_money(match[2], *_CODES[match[1]], match[3], False, language) + _per(match[4])


def _code_after(match: re.Match[str], language: str) -> str:
    return _say_money(match[1], *_CODES[match[3]], match[2], False, language) + _per(match[4])


def _after(match: re.Match[str], language: str) -> str:
    amount, sign, multiple, per = match.groups()
    return _say_money(amount, sign, "", multiple, False, language) + _per(per)


def _multiple(match: re.Match[str], language: str) -> str | None:
    """`2m views`, `2.3bn people`, `10K`: a letter behind a number that is no unit of measure."""
    amount, letter, many = match.groups()
    if letter == "m" and not _PEOPLE.match(match.string, match.end()):
        return None  # meters
    before = match.string[max(0, match.start() - 12) : match.start()]
    if _NUMBERED.search(before) or (letter == "K" and _PICTURE.match(match.string, match.end())):
        return None
    if letter in ("b", "t", "B", "T", "K", "k", "M", "bn", "BN", "mn", "tn", "m"):
        words = f"{say_number(amount, language)} {_MULTIPLES[letter.lower()]}"
        return plural(words) if many else words
    return None


# "Apt 3B" and "4K video" have no multiples.
_NUMBERED = re.compile(
    r"(?i)\b(?:apt|apartment|suite|ste|room|rm|unit|gate|seat|flat|row|floor|box|class|level|model)\.? $"
)
_PICTURE = re.compile(
    r"(?i) (?:tv|video|videos|resolution|display|monitor|screen|uhd|movie|footage|camera|content|quality)s?\b"
)
# What is counted in millions rather than lies that many meters off.
_PEOPLE = re.compile(
    r" (?:views?|users?|people|followers?|subscribers?|downloads?|subs|likes?|visitors?|customers?|copies|jobs|records|"
    r"listeners?|streams|players|members|residents|inhabitants|units|tons|tonnes|barrels|viewers?|readers?|workers|"
    r"voters?|votes|refugees|children|students|passengers|hits|clicks|sales|cars|homes|households|years|population|"
    r"shares|messages|patients|tourists|items|words|lines|dollars|euros|pounds|yen|of them|more|other|active|monthly|"
    r"new|daily|monthly|paying|registered)\b"
)
_AMOUNT = (
    rf"(?P<sign>{_SIGN}) ?({NUMBER}|\.[0-9]+)"
    rf"(?:(?: ?- ?| to | or | and )(?P=sign) ?({NUMBER})|-({NUMBER})(?![0-9/:-]))?{_MULTIPLE}"
    rf"( (?=(?:bill|note|coin)s?\b)|-(?=[a-z]))?{_PER}"
)
_EURO = r"([1-9][0-9]{0,2}(?:\.[0-9]{3})+),([0-9]{2})(?![\w,]|\.[0-9])"
SIGNS = {
    sign: [
        rule(
            "money",
            rf"([€£$]) ?{_EURO}",
            lambda m, language: _say_money(f"{m[2].replace('.', '')}.{m[3]}", m[1], "", None, False, language),
        ),
        rule("money", rf"(){_AMOUNT}", _before),
    ]
    for sign in "$£€¥₹₽₩₺₴₪₫₦₱฿₿"
}


WORDS = [
    rule(
        "money",
        rf"(US|AU|CA|NZ|HK|A|C|S) ?{_AMOUNT}",
        _before,
        " ".join([*"$£€¥", *(f"_{sign}" for sign in "$£€¥")]),
        word_set("us au ca nz hk a c s"),
    ),
    rule(
        "money",
        rf"({_CODE}) ?({NUMBER}){_MULTIPLE}{_PER}",
        _code_before,
        "_0 0 .",
        [code.lower().rstrip(".") for code in _CODES],
    ),
]
DIGITS = [
    rule(
        "money",
        rf"{_EURO} ?([€£$])",
        lambda m, language: _say_money(f"{m[1].replace('.', '')}.{m[2]}", m[3], "", None, False, language),
        ".0",
    ),
    rule(
        "money",
        rf"({NUMBER}){_MULTIPLE} ?({'|'.join(filter(str.isalpha, _CODES))})\b{_PER}",
        _code_after,
        "_a a .0 ,00",
    ),
    rule(
        "money",
        rf"({NUMBER}) ?([€£¥₹₽₩₺₴₪₫₦₱฿₿¢]|\$(?![0-9.])|p\b(?!\.))(?<! p){_MULTIPLE}{_PER}",
        _after,
        " ".join(["a", ".0", ",00", "$", *"€£¥₹₽₩₺₴₪₫₦₱฿₿¢", *(f"_{sign}" for sign in "$€£¥₹₽₩₺₴₪₫₦₱฿₿¢")]),
    ),
    rule("number", rf"({NUMBER})((?:[bB][nN]|mn|[tT]n|[kKmMbBT]))(s?)(?![\w^/])", _multiple, "a .0"),
]
