"""Web and e-mail addresses, names of files and paths, hashtags and handles in English."""

from __future__ import annotations

import re

from wavetts.text.english.acronyms import is_spelled, say_letters
from wavetts.text.english.number_words import spell_digits
from wavetts.text.tokens import rule, word_set

# Endings that make a name with a stop an address. Countries whose code is an English word (in, it, me, us, at, be, is,
# so, to) count only where something else shows that it is one: a missing space after a full stop is more likely.
_DOMAINS = (
    "com|org|net|edu|gov|int|mil|info|biz|io|ai|dev|app|xyz|online|site|shop|blog|tech|cloud|news|store|wiki|page|"
    "uk|eu|de|fr|ca|au|nz|ch|ru|jp|cn|nl|tv|ly|gl|fm|gg|kr|br|mx|es|pl|se|dk|fi|cz|pt|gr|hu|ro|za|il|tr|ua|sg|hk|tw|ie|co|sm|cc|ws"
)
_FILES = (
    "txt|md|rst|py|js|ts|jsx|tsx|json|csv|tsv|yaml|yml|toml|ini|cfg|conf|xml|html|htm|css|php|rb|rs|go|java|cpp|hpp|cs|"
    "sh|bat|sql|log|tex|bib|pdf|doc|docx|xls|xlsx|ppt|pptx|odt|rtf|epub|jpg|jpeg|png|gif|svg|webp|bmp|tif|tiff|ico|wav|"
    "mp3|mp4|flac|ogg|m4a|avi|mov|mkv|webm|zip|tar|gz|bz2|xz|rar|7z|exe|dll|iso|dmg|deb|rpm|apk|jar|whl|ipynb|env|lock|"
    "psd|ai|eps|h|c|swift|kt|vue|scss|pt|onnx|bin|dat|db|bak|tmp|safetensors"
)
# Said as words; every other short ending is spelled.
_SAID = word_set(
    "com org net edu gov info biz dev app online site shop blog tech cloud news store wiki page log doc "
    "lock zip tar bin "
    "jar dot dat swift java vue env json yaml toml html"
) - {"html"}
_SAY_AS = {"jpg": "j-peg", "jpeg": "j-peg", "www": "w w w", "gif": "gif", "exe": "exe"}
_SIGNS = {
    ".": "dot",
    "/": "slash",
    "\\": "backslash",
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
    "*": "star",
    "!": "exclamation mark",
    "$": "dollar",
    ",": "comma",
    ";": "semicolon",
    "(": "open parenthesis",
    ")": "close parenthesis",
    "'": "apostrophe",
}
_PARTS = re.compile(r"[0-9]+|[^\W\d_]+|\S")
_LETTER = re.compile("[A-Za-z]")
_SCHEME = re.compile(r"^(?:https?://|ftp://|mailto:|file:///?)")
_CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]")


def say_address(written: str) -> str:
    """Each part and sign of an address or path: `a.b@x.de` -> `a dot b at x dot d e`; the scheme is not read."""
    parts = _PARTS.findall(_SCHEME.sub("", written))
    words = []
    for place, part in enumerate(parts):
        if part.isascii() and part.isdigit():
            words.append(spell_digits(part))
        elif part in _SIGNS:
            words.append(_SIGNS[part])
        else:
            words.append(_say_part(part, place > 0 and parts[place - 1] == "."))
    return " ".join(words)


def _say_part(part: str, after_dot: bool) -> str:
    small = part.lower()
    if after_dot and small in _SAID:
        return small
    if small in _SAY_AS:
        return _SAY_AS[small]
    if after_dot and small not in _SAID and (len(small) <= 3 or small in _FILES.split("|")) and part.isascii():
        return _apart(small)
    if part.isupper() and (is_spelled(part)):
        return say_letters(part)
    if len(small) <= 4 and not part.isupper() and part.isascii() and not re.search("[aeiouy]", small):
        return _apart(small)
    if part.isascii() and re.search("[a-z]{3}[A-Z][a-z]{2}", part):
        return " ".join(say_letters(p) if p.isupper() and is_spelled(p) else p for p in _CAMEL.findall(part))
    return "A-" if small == "a" else part


def _apart(letters: str) -> str:
    """Single letters; with a hyphen espeak takes no A for the article."""
    return " ".join("A-" if letter == "a" else letter for letter in letters)


def _name(match: re.Match[str], language: str) -> str:
    """Names of files and identifiers, where an underscore stands for a space."""
    return say_address(match["core"].removesuffix("()")).replace(" underscore ", " ")


def _address(match: re.Match[str], language: str) -> str | None:
    return say_address(match["core"])


def _path(match: re.Match[str], language: str) -> str | None:
    """`src/main.py`, `/etc/hosts`, `C:\\Users`, `~/notes`: with two separators, a file's ending, or a root."""
    written = match[0]
    return say_address(written) if _LETTER.search(written) else None


def _handle(match: re.Match[str], language: str) -> str:
    return "at " + say_address(match[1])


def _hashtag(match: re.Match[str], language: str) -> str:
    return "hashtag " + say_address(match[1])


# None of the patterns may match a closing mark, and each is tried only where a word of the text begins.
_HERE = r"(?<![\w.@/\\+&:~%-])"
_REST = r"(?:[/?#:][\w\-./?#:=&%+~@,;!$*']{0,2000}(?<![.,;:!?'/]))?/?(?![\w@])"
_MAIL = (
    rf"{_HERE}(?P<core>(?:mailto:)?[\w.+&%~-]{{1,128}}@[\w-]{{1,128}}(?:\.[\w-]{{1,63}}){{1,8}}(?<![.-])"
    rf"(?:/[\w/.-]*\w)?)"
)
_URL = rf"{_HERE}(?P<core>(?:(?:https?|ftp|file|ssh|git|s3|wss?)://|www\.)[\w\-./?#:=&%+~@,;!$*()']{{1,2000}}(?<![.,;:!?)'/]))/?"
_DOMAIN = rf"{_HERE}(?P<core>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{{0,62}})\.){{1,8}}(?:{_DOMAINS})(?![\w@-]|\.[\w]){_REST})"
_SHORT_LINK = (
    rf"{_HERE}(?P<core>[a-z0-9-]{{1,63}}\.(?:be|me|us|it|in|is|so|to|at|st|gd|id|la|cat|am)"
    rf"/[\w\-./?#=&%]{{1,500}}(?<![.,;:!?'/])/?)"
)
_FILE = rf"{_HERE}(?P<core>[\w-]{{1,128}}(?:\.[\w-]{{1,63}}){{0,6}}\.(?i:{_FILES})(?![\w@]|[./-]\w))"
_DOT_FILE = (
    r"(?<![\w.)\]])(?P<core>\.[A-Za-z][\w-]{1,63}(?:\.[\w-]{1,63}){0,3}(?![\w.]*@))(?=$|[\s,;:!?)\"']|\.(?:\s|$))"
)
_SNAKE = r"(?<![\w.])(?P<core>_{0,2}[A-Za-z0-9]+(?:_+[A-Za-z0-9]+)+_{0,2}(?:\(\))?)(?![\w@])"
# A path has some 16 parts at most: the search for its end is repeated at every part of a row that turns out to be none.
_ROOTED = r"(?<![\w/.:])(?:~|\.{1,2})?/[\w.-]+(?:/[\w.@-]+){0,16}(?<![.-])/?(?![\w])"
_WINDOWS = r"(?<!\w)[A-Za-z]:\\[\w. \\-]{0,500}?(?<![ .])(?=$|[,;:!?)\"']|\.(?:\s|$)|\s(?![\w. -]{0,60}\\))"
# Each first part is followed by a literal, for which the search of a long row of words is quick; the look ahead, which
# does not ask what is a letter, is quicker still.
_RELATIVE = (
    rf"(?<![\w/.-])[\w.-]{{1,128}}/[\w.-]{{1,128}}(?:/[\w.-]{{1,128}}){{0,16}}\.(?:{_FILES})(?!\w|[./]\w)|(?<![\w/.])"
    rf"(?=[^/]{{1,64}}/)[\w-]{{1,64}}/[\w.-]{{1,64}}(?:/[\w.-]{{1,64}}){{2,16}}(?<![.-])/?(?!\w)"
)
_DOT_NET = r"(?<![\w.])(?P<core>[A-Z][A-Za-z]*\.(?:NET|js|io|ai))(?!\w)"
_CALL = r"(?<![\w.])(?P<core>[a-z_]\w*(?:\.[a-z_]\w*){0,5}\(\))(?!\w)"

_RULES = [
    rule("electronic", _MAIL, _address, ".a .0 @ : - __ + & % ~ 0"),
    rule("electronic", _URL, _address, ": .a .0"),
    rule("electronic", _WINDOWS, _path, ":"),
    rule("electronic", _RELATIVE, _path, "/ .a .0 - 0 __"),
    rule("electronic", _DOT_NET, _address, ".a .0"),
    rule("electronic", _DOMAIN, _address, ".a .0 - 0"),
    rule("electronic", _SHORT_LINK, _address, ".a .0 - 0"),
    rule("electronic", _FILE, _name, ".a .0 - 0 __"),
    rule("electronic", _CALL, _name, "( .a .0 __"),
    rule("electronic", _SNAKE, _name, "__ 0"),
]
WORDS = _RULES
DIGITS = _RULES
SIGNS = {
    ".": [rule("electronic", _DOT_FILE, _name), rule("electronic", _ROOTED, _path)],
    "/": [rule("electronic", _ROOTED, _path)],
    "~": [rule("electronic", _ROOTED, _path)],
    "_": [rule("electronic", r"(?<!\w)(?P<core>__[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__)(?!\w)", _address)],
    "@": [rule("electronic", r"(?<!\w)@([A-Za-z_]\w{0,63}(?:[.-]\w{1,63}){0,3})", _handle)],
    "#": [rule("electronic", r"(?<![\w&])#([^\W\d]\w{0,139})", _hashtag)],
}
