"""English mathematics and symbols; symbols that only structure the page (`* _ | ~`) are silent."""

from __future__ import annotations

import re

from wavetts.text.english.number_words import cardinal, say_number, say_plain
from wavetts.text.english.units import UNIT_PATTERN, say_unit
from wavetts.text.tokens import rule

# --- expressions ---------------------------------------------------------------------------------------------------

_ATOM = r"(?:[0-9]+(?:[.,][0-9]+)*[a-z]?|[A-Za-z])(?:\^\(?[-+]?[0-9a-z]{1,6}\)?)?(?![\w'])"
_OPERATOR = r"(?:<=|>=|!=|==|[-+*/×÷·⋅∙=<>≤≥≠≈±−:]|x(?= ?[0-9(]))"
# A sign that makes mathematics of letters and numbers is looked for first: most rows of numbers have none. The groups
# and the references to them take a row of characters as a whole (Python 3.10 has no possessive quantifiers).
_SIGN_AHEAD = (
    r"(?:(?=(?=(?P<row>[0-9A-Za-z .,!:/<>-]{0,120}))(?P=row)[=*×÷·⋅∙≤≥≠≈±√^+()])"
    r"|(?=(?=(?P<before>[0-9A-Za-z .,!:/-]{0,120}))(?P=before)[<>] ))"
)
# What is mathematics (`_MATHS`), looked for behind brackets and comparisons as well before all terms are.
_MATHS_AHEAD = (
    r"(?:(?=(?=(?P<signs>[\w .,!:/<>()-]{0,120}))(?P=signs)[=*×÷·⋅∙≤≥≠≈±√^+])"
    r"|(?=[\w .,!:/<>()-]{0,40}?(?:[0-9a-z] [<>] [0-9a-z]|[0-9]\) ?[-/]|[-/] ?\()))"
)
_TERMS = (
    rf"(?=[(-]{{0,4}}{_ATOM}\)* ?{_OPERATOR}){_MATHS_AHEAD}"
    rf"[(-]{{0,4}}{_ATOM}\)*(?: ?{_OPERATOR} ?[(√-]{{0,3}}{_ATOM}\)*!?(?:\([^\W\d_]\))?){{1,20}}"
)
_EXPRESSION = _SIGN_AHEAD + _TERMS
_PIECES = re.compile(r"\^\(?([-+]?)([0-9a-z]{1,6})\)?|([0-9]+(?:[.,][0-9]+)*)([a-z]?)|([A-Za-z])|(<=|>=|!=|==|[^\w\s])")
_SAID = {
    "+": "plus",
    "-": "minus",
    "−": "minus",
    "*": "times",
    "×": "times",
    "·": "times",
    "⋅": "times",
    "∙": "times",
    "/": "divided by",
    "÷": "divided by",
    "=": "equals",
    "==": "equals",
    "<": "is less than",
    ">": "is greater than",
    "<=": "is less than or equal to",
    ">=": "is greater than or equal to",
    "≤": "is less than or equal to",
    "≥": "is greater than or equal to",
    "!=": "is not equal to",
    "≠": "is not equal to",
    "≈": "is about",
    "±": "plus or minus",
    "√": "the square root of",
    "!": "factorial",
    ":": "to",
}
_MATHS = re.compile(r"[=*×÷·⋅∙≤≥≠≈±√^+]|[0-9a-z] [<>] [0-9a-z]|[0-9]\) ?[-/]|[-/] ?\(")
_COMPARED = re.compile(r"[=≤≥≠≈]|[<>]")


def say_power(sign: str, exponent: str, language: str) -> str:
    """The spoken form of an exponent: `squared`, `cubed`, `to the power of minus five`."""
    if exponent in ("2", "3") and sign != "-":
        return {"2": "squared", "3": "cubed"}[exponent]
    parts = [
        cardinal(part, language) if part.isdigit() else "-".join(part) for part in re.findall(r"\d+|\D+", exponent)
    ]
    words = " ".join(parts)
    return f"to the power of {'minus ' if sign == '-' else ''}{words}"


def _expression(match: re.Match[str], language: str) -> str | None:
    written = match[0]
    if not _MATHS.search(written):
        return None
    if (
        "=" not in written
        and re.fullmatch(r"[A-Za-z](?: ?[+*/-] ?[A-Za-z])+", written)
        and "*" not in written
        and "+" not in written
    ):
        return None
    if re.fullmatch(r"[0-9]+[*]", written):
        return None
    opened, closed = _outer(written)
    words = []
    compared = _COMPARED.search(written) is not None
    pieces = list(_PIECES.finditer(written))
    for place, piece in enumerate(pieces):
        sign, exponent, number, letter, name, operator = piece.groups()
        if exponent:
            words.append(say_power(sign, exponent, language))
        elif number:
            words.append(say_number(number, language) if len(number) != 4 or compared else say_plain(number, language))
            if letter:
                words.append(letter)
        elif name == "x" and 0 < place < len(pieces) - 1 and pieces[place - 1][3] and pieces[place + 1][3]:
            words.append("times")
        elif name:
            words.append("A-" if name in "aA" else name)
        elif operator == ":" and ("=" in written):
            words.append("divided by")
        elif operator in _SAID:
            words.append(_SAID[operator])
    return opened + " ".join(words) + closed


def _outer(written: str) -> tuple[str, str]:
    """Brackets that belong to the sentence: around the whole expression, or without a partner in it."""
    depth, lowest = 0, 0
    for char in written:
        depth += {"(": 1, ")": -1}.get(char, 0)
        lowest = min(lowest, depth)
    opened, closed = "(" * max(0, depth), ")" * -lowest
    if written.startswith("(") and written.endswith(")") and not opened and not closed:
        inner = written[1:-1]
        if _outer(inner) == ("", ""):
            return "(", ")"
    return opened, closed


def _power(match: re.Match[str], language: str) -> str:
    base, sign, exponent = match.groups()[:3]
    base = say_number(base, language) if base[0].isdigit() else base
    return f"{base} {say_power(sign, exponent, language)}"


def _power_of_unit(match: re.Match[str], language: str) -> str:
    """`10⁻⁵ m`: the unit is in the plural."""
    return f"{_power(match, language)} {say_unit(match.groups()[3:], singular=False)}"


def _scientific(match: re.Match[str], language: str) -> str:
    number, sign, exponent = match.groups()
    minus = "minus " if sign == "-" else ""
    return f"{say_number(number, language)} times ten to the {minus}{cardinal(exponent, language)}"


# --- signs ---------------------------------------------------------------------------------------------------------


_BRACKETED = re.compile(r"<[A-Za-z][^\s<>]{0,100}$")


def _closing_bracket(match: re.Match[str], language: str) -> str | None:
    """The end of `<name>`, of which only the name is read."""
    return "" if _BRACKETED.search(match.string[max(0, match.start() - 102) : match.start()]) else None


_NEGATIVE = r"(?<![\w.,)%\"'/-])(?<![0-9] )-(?=[$£€]?\.?[0-9])"
_LETTERS_AND = re.compile(r"([A-Z])([A-Z])&([A-Z])(?!\w)")
_LAYOUT = "*_|^~•·‣▪●◦†‡`ª▶►■□◆◇★☆✓✔✗✘"
_PLAIN = {
    "§": "section",
    "¶": "paragraph",
    "©": "copyright",
    "°": "degrees",
    "º": "degrees",
    "%": "percent",
    "‰": "per mille",
    "$": "dollar",
    "£": "pound",
    "€": "euro",
    "¥": "yen",
    "₩": "won",
    "₹": "rupee",
    "¢": "cent",
    "\\": "backslash",
    "∞": "infinity",
    "√": "square root of",
    "×": "times",
    "÷": "divided by",
    "≈": "about",
    "≤": "less than or equal to",
    "≥": "greater than or equal to",
    "≠": "not equal to",
    "±": "plus or minus",
    "→": "to",
    "⇒": "to",
    "←": "from",
    "↑": "up",
    "↓": "down",
    "↔": "to and from",
    "∈": "in",
    "∑": "sum of",
    "∏": "product of",
    "∫": "integral of",
    "∂": "partial",
    "∆": "delta",
    "∀": "for all",
    "∃": "there exists",
    "∅": "the empty set",
    "∪": "union",
    "∩": "intersection",
    "⊂": "is a subset of",
    "∴": "therefore",
    "⋅": "times",
}
SIGNS = {sign: [rule("symbol", re.escape(sign) + "+", words)] for sign, words in _PLAIN.items()}
SIGNS |= {sign: [rule("layout", f"[{re.escape(_LAYOUT)}]+", "")] for sign in _LAYOUT}
_MORE = {
    "(": [rule("maths", _EXPRESSION, _expression)],
    "√": [rule("maths", "√", "square root of")],
    "·": [rule("maths", r"(?<=[0-9a-z]) ?· ?(?=[0-9a-z])", "times")],
    "-": [
        rule(
            "maths",
            rf"{_NEGATIVE}(?=[0-9a-z]){_EXPRESSION}",
            _expression,
        ),
        rule("number", _NEGATIVE, "minus"),
        rule("symbol", r"-{1,3}>", "to"),
        rule("mark", r"-(?=\w)(?<=\w-)", "-"),
    ],
    "&": [rule("symbol", r"&+", "and")],
    "@": [rule("symbol", r"@", "at")],
    "#": [
        rule("symbol", r"(?<=[\W_][CFcfJ])#(?!\w)|(?<=^[CFcfJ])#(?!\w)", "sharp"),
        rule("symbol", r"# ?(?=[0-9])", "number"),
        rule("symbol", r"#+(?!\w)", "hash"),
        rule("symbol", r"#", "hash"),
    ],
    "№": [rule("symbol", r"№", "number")],
    "=": [
        rule("symbol", r"=>", "to"),
        rule("layout", r"={4,}", ""),
        rule("maths", r"={1,3}", "equals"),
    ],
    "<": [
        rule("layout", r"<(?=[A-Za-z][^\s<>]{0,100}>)", ""),
        rule("symbol", r"<[-=]{0,2}-", "from"),
        rule("symbol", r"<3(?![\w.])", "heart"),
        rule("maths", r"<=", "less than or equal to"),
        rule("maths", r"<+", "less than"),
    ],
    ">": [
        rule("layout", ">", _closing_bracket),
        rule("maths", r">=", "greater than or equal to"),
        rule("maths", r">+", "greater than"),
    ],
    "!": [rule("maths", r"!=(?=[\s\w])", "not equal to")],
    "+": [rule("maths", r"\+ ?/ ?-", "plus or minus"), rule("maths", r"\+", "plus")],
    "/": [
        rule("symbol", r"(?<=[0-9] )/(?= [0-9])", "divided by"),
        rule("symbol", r"(?<=\w)/|(?<=\w )/(?= \w)|(?<=[)\]%$\"'])/(?=\w)", "slash"),
        rule("layout", r"/+", ""),
    ],
    "~": [rule("symbol", r"~(?= ?[$£€]?[0-9])", "about")],
    "*": [rule("maths", r"(?<=[0-9)])\*(?=[0-9(a-z])|(?<=[0-9)] )\*(?= [0-9(a-z])", "times")],
    "°": [rule("symbol", r"°(?= ?[0-9]{1,2}')", "degrees")],
    "^": [
        rule(
            "maths",
            r"(?<=[\w)\]])\^\(?([-+]?)([0-9]+|[a-z](?![a-z]))\)?",
            lambda m, language: say_power(m[1], m[2], language),
        ),
    ],
    "'": [rule("mark", r"'(?=\w)", "'")],
}
for _name, _rules in _MORE.items():
    SIGNS[_name] = [*_rules, *SIGNS.get(_name, [])]


def _ampersand(match: re.Match[str], language: str) -> str:
    """`AT&T`, `R&D`: letters around an "and"."""
    return "-".join(match[1]) + " and " + "-".join(match[2])


def _plus_plus(match: re.Match[str], language: str) -> str:
    return match[1] + {"++": " plus plus", "+": " plus", "#": " sharp"}[match[2]]


_MATHS_KEYS = "+ - * / × ÷ · = < > ≤ ≥ ≠ ≈ ± ^ : ) _+ _- _* _/ _× _÷ _· _= _< _> _≤ _≥ _≠ _≈ _±"
WORDS = [
    rule("acronym", r"([A-Z]{1,4})&([A-Z]{1,4})(?!\w)", _ampersand, "&"),
    rule("symbol", r"(?<!\w)([A-Z])(\+\+|#|\+)(?![\w+#])", _plus_plus, "+ #"),
    rule("maths", r"(?<![\w'])(?<![\w)][-+*/=^:])" + _EXPRESSION, _expression, _MATHS_KEYS),
    rule("maths", r"(?<!\w)([A-Za-z]{1,3})\^\(?([-+]?)([0-9]+|[a-z](?![a-z]))\)?(?!\w)", _power, "^"),
]
DIGITS = [
    rule(
        "measure",
        rf"([0-9]+(?:\.[0-9]+)?)\^\(?([-+]?)([0-9]+)\)? {UNIT_PATTERN}",
        _power_of_unit,
        "^ .0",
    ),
    rule("maths", r"([0-9]+\.[0-9]+|[0-9]+(?=[eE][+-]?[0-9]))[eE]([+-]?)([0-9]{1,3})(?![\w.])", _scientific, "a .0"),
    rule("maths", r"(?<![\w)][-+*/=^:])" + _EXPRESSION, _expression, _MATHS_KEYS + " a _:x .0"),
    rule(
        "maths", r"([0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?)\^\(?([-+]?)([0-9]+|[a-z](?![a-z]))\)?(?!\w)", _power, "^ .0 ,00"
    ),
]
