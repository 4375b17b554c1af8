"""Config files: YAML to `Config` and back, overrides from the command line, and the list of all fields."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from wavetts.config import Config, Section
from wavetts.config.catalog import find_config
from wavetts.config.registry import KINDS, section_class
from wavetts.errors import UserError
from wavetts.files import read_utf8

# Fields of older files that now stand elsewhere.
_MOVED = {
    ("train", "sample_temperature"): ("synthesis", "temperature"),
    ("train", "sample_guidance"): ("synthesis", "guidance"),
}


def _convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the field's type, or a UserError that names the field."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Section):
        return _build_section(hint, value, where)
    if origin is Literal:
        if value in args:
            return value
        raise UserError(f"{where}: {value!r} is not one of {', '.join(map(str, args))}")
    if origin is list:
        if isinstance(value, list):
            return [_convert(item, args[0], where) for item in value]
    elif hint is float:
        # YAML 1.1 reads 1e-3 (no dot) as a string.
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                return float(value)
            except (ValueError, OverflowError):
                pass
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    name = f"a list of {args[0].__name__}" if origin is list else names[hint]
    raise UserError(f"{where}: {value!r} is not {name}")


def _build_section(cls: type[Section], values: Any, where: str) -> Section:
    """A section of a class, or of the kind of its family that `values` name."""
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected fields below it, not {values!r}")
    if cls.family:
        kinds = list(KINDS[cls.family])
        kind = values.get("kind", kinds[0])
        if kind not in kinds:
            raise UserError(f"{where}.kind: {kind!r} is not one of {', '.join(kinds)}")
        cls = section_class(cls.family, kind)
    values, hints = cls.upgrade(values), _field_types(cls)
    for key in values:
        if key not in hints:
            raise UserError(f"{where}.{key}: no such field{_did_you_mean(str(key), hints)}")
    converted = {key: _convert(value, hints[key], f"{where}.{key}") for key, value in values.items()}
    try:
        return cls(**converted)
    except UserError as error:
        raise UserError(f"{where}.{error}") from None


def _field_types(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {item.name: hints[item.name] for item in dataclasses.fields(cls)}


def _did_you_mean(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


def from_dict(values: Any, source: str = "config") -> Config:
    """Builds a config from nested dictionaries.

    Args:
        values: as `to_dict` gives it, now or in an older version; sections and fields may be left out.
        source: named in error messages, e.g. the file.

    Raises:
        UserError: an unknown section, field or kind, or a value of the wrong type or out of range.
    """
    if not isinstance(values, dict):
        raise UserError(f"{source}: expected the sections of a config, got {values!r}")
    sections = _field_types(Config)
    for name in values:
        if name not in sections:
            raise UserError(f"{source}: {name}: no such section{_did_you_mean(str(name), sections)}")
    built: dict[str, Any] = {
        name: _build_section(sections[name], section, f"{source}: {name}") for name, section in _moved(values).items()
    }
    try:
        return Config(**built)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def _moved(values: dict[str, Any]) -> dict[str, Any]:
    """`values` with the fields of older files where they stand now; what an older field says counts."""
    values = {name: dict(section) if isinstance(section, dict) else section for name, section in values.items()}
    for (section, key), (new_section, new_key) in _MOVED.items():
        if isinstance(values.get(section), dict) and key in values[section]:
            value, target = values[section].pop(key), values.setdefault(new_section, {})
            if isinstance(target, dict):
                target[new_key] = value
    return values


def to_dict(config: Config) -> dict[str, Any]:
    """The config as nested dictionaries of plain values."""
    return dataclasses.asdict(config)


def load_config(config: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML config and applies `section.field=value` overrides.

    Args:
        config: a file, or the name of a config that comes with the package, see `catalog.find_config`.
        overrides: of fields, as words.

    Raises:
        UserError: the file is missing or not YAML, or a field is unknown or wrong.
    """
    path = find_config(config)
    try:
        values = yaml.safe_load(read_utf8(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    complete = from_dict({} if values is None else values, str(path))
    if not overrides:
        return complete
    # They apply to the complete config, where every kind is written out.
    return from_dict(apply_overrides(to_dict(complete), overrides), f"override {' '.join(overrides)}")


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`values` with `section.field=value` strings applied; a new `kind` starts from that kind's defaults."""
    values = _copied(values)
    # A kind comes first wherever it stands, as it decides which fields there are; an outer one before those inside it.
    for override in sorted(overrides, key=_is_kind):
        name, separator, text = override.partition("=")
        *path, key = [part.strip() for part in name.split(".")]
        if not separator or not path:
            raise UserError(f"override {override!r}: write section.field=value, e.g. train.max_steps=1000")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"override {override!r}: the value is not YAML") from None
        section = values
        for part in path:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise UserError(f"override {override!r}: {part} is a field and has none below it")
        if key == "kind" and section.get("kind") != value:
            section.clear()
        section[key] = value
    return values


def _copied(values: Any) -> Any:
    return {key: _copied(value) for key, value in values.items()} if isinstance(values, dict) else values


def _is_kind(override: str) -> tuple[bool, int]:
    """Sorts overrides that name a kind before the others, and outer ones before inner ones."""
    name = override.partition("=")[0].strip()
    return (False, name.count(".")) if name.endswith(".kind") else (True, 0)


def dump_config(config: Config) -> str:
    """The complete config as YAML."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def section_classes() -> Iterator[tuple[str, type[Section]]]:
    """The name and the class of every section; of one that comes in several kinds, each."""
    for name, cls in _field_types(Config).items():
        for kind in KINDS.get(cls.family, [None]):
            yield name, cls if kind is None else section_class(cls.family, kind)


def describe() -> str:
    """Every field with its default and its documentation, as commented YAML."""
    lines = []
    for name, cls in section_classes():
        lines.append(f"\n# {(cls.__doc__ or '').strip().splitlines()[0]}\n{name}:")
        defaults = dataclasses.asdict(cls())
        for item in dataclasses.fields(cls):
            text = yaml.safe_dump(defaults[item.name], default_flow_style=True, sort_keys=False, width=10_000)
            lines.append(f"  {item.name}: {text.splitlines()[0]}".ljust(32) + f"  # {item.metadata['doc']}")
    return "\n".join(lines).strip() + "\n"
