"""Names of emoji from the emoji package (CLDR short names in fifteen languages)."""

from __future__ import annotations

import re
from functools import lru_cache

_SELECTORS = str.maketrans("", "", "\ufe0e\ufe0f")
_WORDS = re.compile(r"[^\W_]+")
_SPACES = re.compile(" *")


class _Names:
    """The emoji names of one language, and for each first character the length of the longest emoji."""

    def __init__(self, language: str):
        import emoji

        base = language.split("-")[0]
        base = {"cmn": "zh", "yue": "zh"}.get(base, base)
        self.language = base if base in emoji.LANGUAGES else "en"
        emoji.config.load_language(self.language)
        self.known = base == self.language
        self.names: dict[str, str] = {}
        self.longest: dict[str, int] = {}
        for sign, data in emoji.EMOJI_DATA.items():
            sign = sign.translate(_SELECTORS)
            if sign.isascii():
                continue
            name = data.get(self.language) or data["en"]
            self.names.setdefault(sign, " ".join(_WORDS.findall(name.replace("_", " ").replace("’", ""))))
            self.longest[sign[0]] = max(self.longest.get(sign[0], 0), len(sign))


_cached = lru_cache(maxsize=16)(_Names)


def match_emoji(text: str, place: int, end: int, language: str) -> tuple[int, str] | None:
    """Finds an emoji at a position of a folded text, together with its repetitions.

    Args:
        text: a folded text (without variation selectors).
        place: the position.
        end: the end of the sentence.
        language: an espeak language code. In a language without emoji names the emoji itself is returned: espeak names
            it.

    Returns:
        The end of the last repetition, and the name; an empty name if the name itself follows in the text. None if
        there is no emoji.
    """
    known = _cached(language)
    for length in range(min(known.longest.get(text[place], 0), end - place), 0, -1):
        sign = text[place : place + length]
        name = known.names.get(sign)
        if name is None:
            continue
        if not known.known:
            name = sign
        last = place + length
        while True:
            spaces = _SPACES.match(text, last, end)
            following = spaces.end() if spaces else last
            if not text.startswith(sign, following) or following + length > end:
                break
            last = following + length
        said = text[following : following + len(name)].lower() == name.lower()
        apart = not text[following + len(name) : following + len(name) + 1].isalnum()
        return last, "" if said and apart else name
    return None
