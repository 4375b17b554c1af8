"""What a section of the config is made of: fields with documentation and bounds, checked whenever one is built."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from wavetts.errors import UserError

# Of layers, stages, steps: what is made one after the other.
_MAX_COUNT = 1000


def opt(
    default: Any,
    doc: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    odd: bool = False,
    may_be_empty: bool = False,
) -> Any:
    """A config field: its default, its line of documentation, and what its values must be.

    Args:
        default: the value; a list is copied, a section's class is made anew for each config.
        doc: one line.
        at_least: lower bound, itself allowed; of each item, if the field is a list. Numbers must be finite in any case.
        above: lower bound, itself not allowed.
        at_most: upper bound, itself allowed.
        below: upper bound, itself not allowed.
        odd: even numbers are refused.
        may_be_empty: an empty list is allowed.
    """
    limits = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    metadata = {"doc": doc, "odd": odd, "may_be_empty": may_be_empty, **limits}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Section:
    """A part of the config. A subclass is a dataclass whose fields are made by `opt`.

    Raises:
        UserError: a value is out of its field's bounds, or `check` refuses it; the message begins with the field.
    """

    # The name of the part of a model that comes in several kinds (`registry`); a kind has a field `kind`.
    family: ClassVar[str] = ""
    # The largest whole number, unless a field has its own: more is a slip of the hand, or a file made to harm.
    largest: ClassVar[int] = 65_536

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value == [] and not item.metadata["may_be_empty"]:
                raise UserError(f"{item.name}: is empty")
            for number in value if isinstance(value, list) else [value]:
                if not isinstance(number, (int, float)) or isinstance(number, bool):
                    continue
                if problem := _problem(number, item.metadata):
                    raise UserError(f"{item.name}: {number} {problem}")
                most = _MAX_COUNT if item.name.startswith("num_") else self.largest
                if isinstance(number, int) and number > most:
                    raise UserError(f"{item.name}: {number} is too large; the most is {most}")
            if isinstance(value, list) and len(value) > _MAX_COUNT:
                raise UserError(f"{item.name}: {len(value)} items; the most is {_MAX_COUNT}")
        self.check()

    def check(self) -> None:
        """Raises a UserError where fields do not go together."""

    @classmethod
    def upgrade(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The fields of a section as they are now, from those of an older file."""
        return values


def _problem(number: float, limits: Any) -> str:
    """What is wrong with a number, as the end of a sentence; empty if nothing is."""
    at_least, above, at_most, below = (limits[name] for name in ("at_least", "above", "at_most", "below"))
    low = at_least if above is None else above
    high = at_most if below is None else below
    too_low = low is not None and (number < low if above is None else number <= low)
    too_high = high is not None and (number > high if below is None else number >= high)
    if not (too_low or too_high or not math.isfinite(number)):
        return "is even" if limits["odd"] and number % 2 == 0 else ""
    if low is not None and high is not None:
        return f"is not in {'[' if above is None else '('}{low}, {high}{']' if below is None else ')'}"
    if (above == 0 and at_least is None) or at_least == 1:
        return "is not positive"
    if not math.isfinite(number):
        return "is not a finite number"
    if too_low:
        return "is negative" if low == 0 else f"is not {'at least' if above is None else 'above'} {low}"
    return f"is not {'at most' if below is None else 'below'} {high}"
