"""Inline phonemes: `[[ipa]]` inside a text is spoken as it stands.

Normalisation, splitting and phonemisation use the pattern `INLINE`.
"""

from __future__ import annotations

import re

from wavetts.errors import UserError

PHONEMES = "\ue000"  # a private-use character that stands for a segment during normalisation
INLINE = re.compile(r"(\[\[[^\[\]]*\]\])")  # captured, so that re.split keeps the segments, at odd indices


def split_inline(text: str) -> list[str]:
    """Splits a text into plain parts (even indices, may be empty) and `[[ipa]]` segments (odd indices).

    Raises:
        UserError: a `[[` has no `]]`, or a segment is empty.
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
