"""Seeds that are derived from numbers and names."""

from __future__ import annotations

import hashlib


def mix_seed(*values: int | str) -> int:
    """A seed of 63 well-mixed bits from any numbers and names; the same values give the same seed everywhere."""
    return int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=8).digest(), "big") >> 1
