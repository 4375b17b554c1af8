"""Languages other than English: one set of rules (`rules`), with the words and signs of each language (`cldr`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from wavetts.text.locales.abbreviations import before_names, expansions, looks_abbreviated
from wavetts.text.locales.cldr import language_data
from wavetts.text.locales.rules import Rules
from wavetts.text.tokens import Scanner

_LAST_WORD = re.compile(r"[^\s\"'(\[«„“¿¡]*$")
_NUMBER_WORD = re.compile(r"[0-9]{1,3}$")
_NEXT = re.compile(r"\s+[\"'«„“(]*(\w[\w-]*)")
_TWO_WORDS = re.compile(r"\S+\s\S+\.$|\S+\.$")


@lru_cache(maxsize=32)
def scanner(language: str) -> Scanner:
    """The scanner of a language (an espeak code, not English)."""
    return Rules(language).scanner()


@lru_cache(maxsize=32)
def stops(language: str) -> Callable[[str, int], bool]:
    """The function (text, index of a full stop) -> whether the stop ends an abbreviation or an ordinal."""
    base = language.split("-")[0]
    before, known = before_names(base), expansions(base)
    data = language_data(language)

    def stop_is_abbreviation(text: str, position: int) -> bool:
        word = _LAST_WORD.search(text, max(0, position - 24), position)
        name = word[0] if word else ""
        following = _NEXT.match(text, position + 1)
        if following is None:
            return False
        if _NUMBER_WORD.fullmatch(name):
            return data.dotted_ordinals and _is_ordinal(text, position - len(name), following[1], base, data.months)
        pair = _TWO_WORDS.search(text, max(0, position - 16), position + 1)
        if name + "." in before or (pair and pair[0] in before):
            return True
        # the first half of one that is written apart: "EE. UU.", "z. B."
        if any(entry.startswith(f"{name}. {following[1]}") for entry in known if " " in entry):
            return True
        if name + "." in known or (pair and pair[0] in known):
            return not following[1][0].isupper()
        return looks_abbreviated(name)

    return stop_is_abbreviation


_DETERMINERS = {
    "de": "der die das dem den des am im vom zum zur beim ein eine einen einem einer eines jeder jede "
    "jedes jeden jedem "
    "mein meine meinen seinen sein seine ihr ihre unser unsere dieser diese dieses ins ans kein keine bis seit ab",
}


def _is_ordinal(text: str, start: int, following: str, base: str, months: frozenset[str]) -> bool:
    """`Das 2. Haus`, `am 3. Mai`: a month follows, or a determiner stands before, or the next word goes on small."""
    if following.lower() in months or following[0].islower():
        return True
    words = text[max(0, start - 16) : start].split()
    return bool(words) and words[-1].lower() in _DETERMINERS.get(base, "").split()
