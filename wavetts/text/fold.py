"""Unicode folding: characters with the same meaning are mapped to one of them."""

from __future__ import annotations

import re
import unicodedata

from wavetts.text.inline import PHONEMES

# Characters that NFKC would break (a spacing accent becomes a space and a combining mark, the trademark sign the
# letters TM), and variants of punctuation marks that NFKC does not fold.
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″‶〝〞〟❝❞＂", '"'),
        **dict.fromkeys("‘’‚‛′‵`´ʹʻʼ❛❜＇", "'"),
        **dict.fromkeys("‐‑⁃−﹣－", "-"),
        **dict.fromkeys("—―⸺⸻﹘", " — "),
        **dict.fromkeys("[{【〔〖［｛", "("),
        **dict.fromkeys("]}】〕〗］｝", ")"),
        **dict.fromkeys("。｡．", ". "),
        **dict.fromkeys("、､،，", ", "),
        **dict.fromkeys("।॥۔", ". "),
        **dict.fromkeys("⁄∕", "/"),
        **dict.fromkeys("™℠®¨¯¸˘˙˚˛˜˝", ""),
        "\u20e3": "",
        "؟": "?",
        "؛": ";",
        "⟨": "(",
        "⟩": ")",
        "‒": "–",
        "∶": ":",
    }
)
_FRENCH_QUOTES = re.compile("« ([^«»]*) »")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹⁺⁻ⁿ]+")
_VULGAR_FRACTION = re.compile("(?<=[0-9])([¼-¾⅐-⅞↉])")
_KEPT = re.compile("([ºª№]+)")  # ordinal and number signs, which NFKC would turn into the letters o, a and No
_DIGIT = re.compile(r"[^\D0-9]")
_KEPT_CONTROLS = frozenset([" ", "\u200d", PHONEMES, *map(chr, range(0xE0020, 0xE0080))])
_LOOSE_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+")
_LOOSE_JOINER = re.compile(
    "(?<![\u2600-\u27bf\U0001f000-\U0001faff])\u200d|\u200d(?![\u2600-\u27bf\U0001f000-\U0001faff])"
)
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_EDGES_OF_RANGE = re.compile(r"(?<=[0-9%]) ?– ?(?=[0-9$£€'])")
_DASHES = re.compile(r" ?(?<!-)-{2,3}(?!-) ?| – |(?<=[^\W\d]) -(?= [^\W\d])|(?<= )–|–(?= )")
_DOTS = re.compile(r"\.(?: ?\.){2,}")
_MARKS = re.compile(r"([!?])\1+")
_SPACES = re.compile(r"\s+")
# Everything in ASCII that one of the patterns above or the table `_SIGNS` would change.
_FOLDED_IN_ASCII = re.compile(r"[^ -~]|[`\[\]{}]|  |''|--| -|\. ?\.|!!|\?\?")


def fold(text: str) -> str:
    """Folds the characters of a text; letters with accents and words are not changed.

    Quotes become `"` and `'`, dashes ` — ` (between words) or `-` (hyphen, minus, range of numbers), brackets round
    ones, digits of all scripts 0-9, an ellipsis three dots, superscript digits `^2`, white space one space.
    Control, zero-width, private-use and unassigned characters are removed.

    Args:
        text: any string, lone surrogates included.

    Returns:
        An NFKC string without line breaks; leading and trailing white space becomes one space.
    """
    if not _FOLDED_IN_ASCII.search(text):
        return text
    text = _SPACES.sub(" ", text)
    if text.isascii():
        # C0 controls that are no white space; \x1c-\x1f count as white space in Python
        text = "".join(char for char in text if char.isprintable()) if not text.isprintable() else text
        text = text.translate(_SIGNS)
    else:
        text = _fold_unicode(text)
    text = text.replace("''", '"')
    if "-" in text or "–" in text:
        text = _DASHES.sub(" — ", text)
    if text.count(".") > 2:
        text = _DOTS.sub("...", text)
    text = _MARKS.sub(r"\1", text)
    return _SPACES.sub(" ", text)


def _fold_unicode(text: str) -> str:
    text = _VARIATION.sub("", text)
    # the categories C*: controls, formats (zero-width, soft hyphen), surrogates, private use, unassigned
    if not text.isprintable():
        text = _LOOSE_JOINER.sub("", text)  # a joiner between two emoji belongs to them
        text = _LOOSE_TAGS.sub("", text)  # tags after a black flag belong to it (England's flag)
        text = "".join(char for char in text if char in _KEPT_CONTROLS or unicodedata.category(char)[0] != "C")
    text = _FRENCH_QUOTES.sub(r'"\1"', text)
    text = text.translate(_SIGNS)
    text = _SUPERSCRIPT.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text)
    text = _VULGAR_FRACTION.sub(r" \1", text)
    parts = _KEPT.split(text)
    text = "".join(part if place % 2 else unicodedata.normalize("NFKC", part) for place, part in enumerate(parts))
    text = text.translate(_SIGNS)  # NFKC can produce characters of the table: the fraction slash, full-width forms
    text = _DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text)
    text = _SPACES.sub(" ", text)
    text = _EDGES_OF_RANGE.sub("-", text)
    return re.sub(r"(?<=\w)–(?=\w)", "-", text)
