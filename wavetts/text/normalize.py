"""Text as people write it to text as it is spoken."""

from __future__ import annotations

import re

from wavetts.errors import UserError
from wavetts.text.english import expand_english
from wavetts.text.fold import fold
from wavetts.text.inline import split_inline
from wavetts.text.other_languages import expand_other

_SPACE_BEFORE = re.compile(r" +(?=[,.;:!?)](?:[^\w.]|$))")
_SPACE_AFTER = re.compile(r"(?<=\() +")
_MISSING_SPACE = re.compile(r"(?<=[^\W\d_])([,;!?])(?=[^\W\d_])")
_SPACES = re.compile(" {2,}")


def normalize(text: str, language: str = "en-us") -> str:
    """Writes a text out as it is spoken: `Dr. Smith paid $5.` -> `Doctor Smith paid five dollars.`

    English (`en*`): numbers, dates, times, money, units, abbreviations, Roman numerals, symbols and addresses become
    words. Other languages: numbers, amounts and percentages, as far as num2words knows them. All languages: Unicode is
    folded (see `wavetts.text.fold`), line breaks become spaces. Case and accents stay, acronyms (`FBI`) are left to
    espeak. `[[ipa]]` segments stay as they are.

    Args:
        text: any text.
        language: an espeak language code, such as `en-us`, `en-gb` or `fr-fr`.

    Returns:
        The spoken form on one line; empty if there is nothing in the text.

    Raises:
        UserError: the text is no string, or a `[[` is not closed.
    """
    if not isinstance(text, str):
        raise UserError(f"a text must be a string, not {type(text).__name__} ({text!r:.40})")
    expand = expand_english if language.split("-")[0] == "en" else expand_other
    parts = split_inline(text)
    for place in range(0, len(parts), 2):
        parts[place] = _tidy(expand(fold(parts[place]), language))
    return "".join(parts).strip()


def _tidy(text: str) -> str:
    text = _MISSING_SPACE.sub(r"\1 ", _SPACES.sub(" ", text))
    return _SPACE_AFTER.sub("", _SPACE_BEFORE.sub("", text))
