"""Config files: YAML to `Config` and back, overrides from the command line, and the list of all fields."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Union

import yaml

from wavetts.config import CompactFlowConfig, Config, ConvLSTMConfig, FlowConfig, SubframeFlowConfig
from wavetts.errors import UserError
from wavetts.files import read_utf8

# Fields with a range of their own; `_check_range` says what holds of all others.
_FRACTIONS = {"preemphasis", "dropout", "ema_decay", "betas"}
_POSITIVE = {
    *("batch_seconds", "learning_rate", "clip_norm", "affine_bound", "scale_bound"),
    *("prior_alpha", "prior_beta", "step_bias", "width_bias", "short_seconds"),
}
_MAY_BE_ZERO = {
    *("num_layers", "num_highway", "position_dim", "cond_dim", "num_cepstra"),
    *("seed", "warmup_steps", "prior_steps", "adapter_rank", "short_epochs", "num_samples"),
}


def _section_classes(name: str) -> tuple[type, ...]:
    hint = typing.get_type_hints(Config)[name]
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)


def _kind(cls: type) -> str:
    return typing.get_args(typing.get_type_hints(cls)["kind"])[0]


def _convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the field's type, or a UserError that names the field."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
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


def _build_section(name: str, values: Any, source: str) -> Any:
    classes = _section_classes(name)
    if not isinstance(values, dict):
        raise UserError(f"{source}: {name}: expected fields below it, not {values!r}")
    cls = classes[0]
    if len(classes) > 1:
        kinds = {_kind(cls): cls for cls in classes}
        kind = values.get("kind", _kind(cls))
        if kind not in list(kinds):
            raise UserError(f"{source}: {name}.kind: {kind!r} is not one of {', '.join(kinds)}")
        cls = kinds[kind]
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise UserError(f"{source}: {name}.{key}: no such field{_did_you_mean(str(key), hints)}")
    return cls(**{key: _convert(value, hints[key], f"{source}: {name}.{key}") for key, value in values.items()})


def _did_you_mean(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


def from_dict(values: Any, source: str = "config") -> Config:
    """Builds a config from nested dictionaries.

    Args:
        values: as `to_dict` gives it; sections and fields may be left out.
        source: named in error messages, e.g. the file.

    Raises:
        UserError: an unknown section, field or kind, or a value of the wrong type or out of range.
    """
    if not isinstance(values, dict):
        raise UserError(f"{source}: expected the sections of a config, got {values!r}")
    sections = [f.name for f in dataclasses.fields(Config)]
    for name in values:
        if name not in sections:
            raise UserError(f"{source}: {name}: no such section{_did_you_mean(str(name), sections)}")
    config = Config(**{name: _build_section(name, section, source) for name, section in values.items()})
    _check(config, source)
    return config


def _check(config: Config, source: str) -> None:
    audio, density, train = config.audio, config.density, config.train

    def require(holds: bool, message: str) -> None:
        if not holds:
            raise UserError(f"{source}: {message}")

    for name, section in to_dict(config).items():
        for key, value in section.items():
            where = f"{source}: {name}.{key}"
            for number in value if isinstance(value, list) else [value]:
                _check_range(key, number, where)
            if value == [] and (name, key) != ("decoder", "prenet_dims"):
                raise UserError(f"{where}: is empty")
    if isinstance(density, FlowConfig):
        unit = density.squeeze * 2 ** (density.num_stages - 1)
        require(
            audio.frame_length % unit == 0,
            f"audio.frame_length: {audio.frame_length} is not a multiple of {unit}, squeeze * 2^(num_stages - 1)",
        )
        require(
            density.squeeze % 2 == 0, f"density.squeeze: {density.squeeze} is odd; couplings split the channels in two"
        )
        require(density.position_dim % 2 == 0, f"density.position_dim: {density.position_dim} is odd")
    if isinstance(density, SubframeFlowConfig):
        require(
            audio.frame_length % density.subframe_length == 0,
            f"audio.frame_length: {audio.frame_length} is not a multiple of {density.subframe_length}, "
            "density.subframe_length",
        )
    if isinstance(density, CompactFlowConfig):
        field, length = "audio.frame_length", audio.frame_length
        if isinstance(density, SubframeFlowConfig):
            field, length = "density.subframe_length", density.subframe_length
        require(length % 2 == 0, f"{field}: {length} is odd; couplings split it in two")
        require(
            density.num_couplings % 2 == 0,
            f"density.num_couplings: {density.num_couplings} is odd; couplings come in pairs",
        )
    for where in ("encoder", "attention"):
        kernel = getattr(getattr(config, where), "kernel_size", 1)
        require(kernel % 2 == 1, f"{where}.kernel_size: {kernel} is even")
    require(len(train.betas) == 2, f"train.betas: {train.betas} is not a pair")
    if isinstance(config.encoder, ConvLSTMConfig):
        dim = config.encoder.hidden_dim
        require(dim % 2 == 0, f"encoder.hidden_dim: {dim} is odd; each LSTM direction has half")


def _check_range(key: str, value: Any, where: str) -> None:
    """Integers are positive and floats not negative, apart from the fields named above."""
    if isinstance(value, (str, bool)):
        return
    if key in _FRACTIONS:
        if not 0 <= value < 1:
            raise UserError(f"{where}: {value} is not in [0, 1)")
    elif key in _POSITIVE or (isinstance(value, int) and key not in _MAY_BE_ZERO):
        if not 0 < value < math.inf:
            raise UserError(f"{where}: {value} is not positive")
    elif not 0 <= value < math.inf:
        raise UserError(f"{where}: {value} is negative" if value < 0 else f"{where}: {value} is not a finite number")


def to_dict(config: Config) -> dict[str, Any]:
    """The config as nested dictionaries of plain values."""
    return dataclasses.asdict(config)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML config and applies `section.field=value` overrides.

    Raises:
        UserError: the file is missing or not YAML, or a field is unknown or wrong.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such config; complete ones are in recipes/train/")
    try:
        values = yaml.safe_load(read_utf8(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    config = from_dict({} if values is None else values, str(path))
    # Overrides apply to the complete config, where every kind is written out.
    return from_dict(apply_overrides(to_dict(config), overrides), str(path))


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`values` with `section.field=value` strings applied; a new `kind` starts from that kind's defaults."""
    values = {name: dict(section) for name, section in values.items()}
    # A kind comes first wherever it stands, as it decides which fields there are.
    for override in sorted(overrides, key=lambda item: not item.partition("=")[0].strip().endswith(".kind")):
        name, separator, text = override.partition("=")
        section, dot, key = name.strip().partition(".")
        if not separator or not dot:
            raise UserError(f"override {override!r}: write section.field=value, e.g. train.max_steps=1000")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"override {override!r}: the value is not YAML") from None
        if key == "kind" and values.get(section, {}).get("kind") != value:
            values[section] = {}
        values.setdefault(section, {})[key] = value
    return values


def dump_config(config: Config) -> str:
    """The complete config as YAML."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def describe() -> str:
    """Every field with its default and its documentation, as commented YAML."""
    lines = []
    for section in dataclasses.fields(Config):
        for cls in _section_classes(section.name):
            lines.append(f"\n# {(cls.__doc__ or '').strip().splitlines()[0]}\n{section.name}:")
            for item in dataclasses.fields(cls):
                default = item.default if item.default is not dataclasses.MISSING else item.default_factory()
                text = yaml.safe_dump(default, default_flow_style=True).splitlines()[0]
                lines.append(f"  {item.name}: {text}".ljust(32) + f"  # {item.metadata['doc']}")
    return "\n".join(lines).strip() + "\n"
