"""The settings of synthesis; imports no torch."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from dataclasses import dataclass
from pathlib import Path

from wavetts.config import opt
from wavetts.errors import UserError
from wavetts.files import read_utf8

# OpenAI's; beyond them speech is not understood.
MIN_SPEED, MAX_SPEED = 0.25, 4.0


@dataclass(frozen=True)
class SynthesisSettings:
    """How texts are spoken; the fields of a file of settings, and each a flag of the same name.

    None for temperature and guidance takes the voice's own.
    """

    temperature: float | None = opt(None, "std of the base noise; 0: the same every time, 1: as the model was trained")
    guidance: float | None = opt(None, "push towards the text: words are clearer, up to a point; 0: as it was trained")
    stop_threshold: float = opt(0.5, "stop-token probability at which a sentence ends")
    max_seconds: float = opt(20.0, "longest that one sentence may become")
    retries: int = opt(3, "new tries with the next seed for a sentence that did not reach its end")
    batch_size: int = opt(16, "sentences that are spoken at once")
    seed: int = opt(0, "with the text it decides the noise: the same seed and text give the same speech")
    sentence_pause: float = opt(0.2, "seconds of silence between two sentences (or parts of a long one)")
    paragraph_pause: float = opt(0.5, "seconds of silence between two paragraphs")
    speed: float = opt(1.0, f"of speech, {MIN_SPEED} to {MAX_SPEED:g}: 2 takes half the time; the pitch stays")

    def __post_init__(self):
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value is None and item.default is None:
                continue
            if setting_type(item.name) is int:
                if not isinstance(value, int) or isinstance(value, bool):
                    raise UserError(f"{item.name}: {value!r} is not a whole number")
            elif not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
                raise UserError(f"{item.name}: {value!r} is not a number")
            if value < 0:
                raise UserError(f"{item.name}: {value} is negative")
        if not 0 < self.stop_threshold < 1:
            raise UserError(f"stop_threshold: {self.stop_threshold} is not between 0 and 1")
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            raise UserError(f"speed: {self.speed} is not between {MIN_SPEED} and {MAX_SPEED:g}")
        for name in ("max_seconds", "batch_size"):
            if getattr(self, name) == 0:
                raise UserError(f"{name}: 0 is not positive")


@functools.cache
def setting_type(name: str) -> type:
    """int or float: what a setting is, if it is not None."""
    kinds = typing.get_type_hints(SynthesisSettings)[name]
    return int if int in (kinds, *typing.get_args(kinds)) else float


def load_settings(path: Path) -> SynthesisSettings:
    """Read a YAML file of settings; what it leaves out keeps its default.

    Raises:
        UserError: the file is missing or not YAML, or a setting is unknown or out of range.
    """
    import yaml

    try:
        values = yaml.safe_load(read_utf8(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected lines such as 'temperature: 0.7', got {values!r}")
    known = [item.name for item in dataclasses.fields(SynthesisSettings)]
    for name in values:
        if name not in known:
            raise UserError(f"{path}: {name}: no such setting; known: {', '.join(known)}")
    try:
        return SynthesisSettings(**values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
