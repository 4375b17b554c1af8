"""Inline phonemes: `[[ipa]]` inside a text is spoken as it stands.

Normalisation, splitting and phonemisation share the one pattern below.
"""

from __future__ import annotations

import re

from wavetts.errors import UserError

PHONEMES = "\ue000"  # stands for a segment while the text around it is worked on (a character for private use)
INLINE = re.compile(r"(\[\[[^\[\]]*\]\])")  # a group, so that re.split keeps the segments at the odd places


def split_inline(text: str) -> list[str]:
    """Splits a text into plain parts (even places, may be empty) and `[[ipa]]` segments (odd places).

    Raises:
        UserError: a `[[` that is never closed, or a segment with nothing in it.
    """
    parts = INLINE.split(text)
    for place, part in enumerate(parts):
        if place % 2 == 0 and "[[" in part:
            start = part.index("[[")
            raise UserError(
                f"'[[' without ']]' at {part[start : start + 30]!r}: double square brackets hold phonemes, "
                "as in [[həˈloʊ]]; close them, or use single brackets"
            )
        if place % 2 == 1 and not part[2:-2].strip():
            raise UserError(f"empty phoneme segment {part!r}: write the phonemes between the brackets or remove it")
    return parts
