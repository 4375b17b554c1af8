"""Models in one safetensors file that says how to build them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from wavetts.config import Config
from wavetts.config.load import from_dict, to_dict
from wavetts.errors import UserError
from wavetts.files import write_atomic
from wavetts.model.device import own_random_numbers
from wavetts.model.lora import apply_change, find_base, low_rank_change, name_base
from wavetts.model.tacotron import WaveTacotron
from wavetts.text.tokenizer import Tokenizer
from wavetts.version import __version__

MODEL_NAME = "model.safetensors"
BEST_NAME = "best.safetensors"
# 2: densities are nested, and the voice's defaults stand in `synthesis`; older files are read.
FORMAT_VERSION = 2


@dataclass
class LoadedModel:
    """A trained model and what is needed to use it.

    Attributes:
        model: in evaluation mode.
        tokenizer: of the text it reads.
        config: the whole config it was trained with.
        info: figures of its training: step, minutes, corpus hours, held-out bits per sample ...
    """

    model: WaveTacotron
    tokenizer: Tokenizer
    config: Config
    info: dict[str, Any]


def save_model(
    path: Path,
    state_dict: dict[str, Tensor],
    config: Config,
    tokenizer: Tokenizer,
    info: dict[str, Any],
    base: Path | None = None,
) -> None:
    """Writes weights, config, tokenizer and figures as one safetensors file, atomically.

    With `base`, a model file, the weights are what `adapter.low_rank_change` gives.

    Raises:
        UserError: the file cannot be written; an earlier one of that name is intact.
    """
    metadata = {
        "wavetts": json.dumps({"format": FORMAT_VERSION, "version": __version__}),
        "config": json.dumps(to_dict(config)),
        "tokenizer": json.dumps(tokenizer.to_dict(), ensure_ascii=False),
        "info": json.dumps(info),
    }
    if base is not None:
        metadata["base"] = json.dumps(name_base(base))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    write_atomic(Path(path), safetensors.torch.save(tensors, metadata))


def load_model(path: Path, device: torch.device | str = "cpu", voice_folders: Sequence[Path] = ()) -> LoadedModel:
    """Builds the model that `save_model` wrote.

    Args:
        path: the file, or a run folder that holds model.safetensors.
        device: where the weights go.
        voice_folders: where a model that this one builds on is sought, besides beside it.

    Raises:
        UserError: the file is missing, cut off, not one of ours, of a later format, or not of its own config.
    """
    path, tensors, config, tokenizer, info, _ = read_model(path, voice_folders)
    problem = f"{path}: the weights are not those of its own config"
    _check_room(config, tensors, problem)
    with own_random_numbers(torch.device("cpu")):
        model = WaveTacotron(config, len(tokenizer.symbols))
    load_weights(model, tensors, problem)
    return LoadedModel(model.to(device).eval(), tokenizer, config, info)


def export_model(
    path: Path,
    output: Path,
    mantissa_bits: int = 10,
    base: Path | None = None,
    rank: int = 16,
    voice_folders: Sequence[Path] = (),
    synthesis: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Writes a model for passing on: the same file with its matrices in half precision, half the size.

    Single numbers, such as the waveform's scale, stay as they are. `load_model` computes in float32 either way.

    Args:
        path: as for `load_model`.
        output: the file to write.
        mantissa_bits: weights are rounded to so many of half precision's 10; the file is no smaller for fewer, but
            packages and repositories compress it.
        base: a model, as for `load_model`, that this one was trained on from: write only what differs, see `adapter`.
            If it builds on another one itself, that one is built on.
        rank: of each matrix' change from `base`.
        voice_folders: as for `load_model`.
        synthesis: fields of `config.synthesis`, how the voice speaks unless it is asked otherwise, that are to change.

    Returns:
        With `base`, the share of each changed matrix' change that is kept; else nothing.

    Raises:
        UserError: as `load_model` and `save_model` do, a weight is beyond float16's range, there is no such field in
            `synthesis`, or the output is no .safetensors, the model itself, its base, or a model of a run in training.
    """
    output = Path(output)
    if output.suffix != ".safetensors":
        raise UserError(f"{output}: models are written as .safetensors")
    file = read_model(path, voice_folders)
    config, tensors, kept = file.config, file.tensors, {}
    if synthesis:
        values = to_dict(config)
        config = from_dict({**values, "synthesis": {**values["synthesis"], **synthesis}}, str(output))
    if output.resolve() == file.path.resolve():
        raise UserError(f"{output}: the model that is to be exported; write to another file")
    if output.name in (MODEL_NAME, BEST_NAME) and any(output.parent.glob("state-*.pt")):
        raise UserError(f"{output}: belongs to the training run in that folder; write to another file")
    if base is not None:
        ground = read_model(base, voice_folders)
        base = ground.base or ground.path
        if output.resolve() == base.resolve():
            raise UserError(f"{output}: the model that this one is to build on; write to another file")
        weights = _read_file(base)[0] if ground.base else ground.tensors
        tensors, kept = low_rank_change(weights, tensors, rank)
    for name, tensor in tensors.items():
        if tensor.dim() > 0 and tensor.is_floating_point():
            fraction, exponent = torch.frexp(tensor.float())
            steps = 2.0 ** (mantissa_bits + 1)  # the fraction is below 1, its first bit is not stored
            tensors[name] = torch.ldexp((fraction * steps).round() / steps, exponent).half()
            if not tensors[name].isfinite().all():
                raise UserError(f"{path}: {name} does not fit into half precision; share the file as it is")
    save_model(output, tensors, config, file.tokenizer, file.info, base)
    return kept


class ModelFile(NamedTuple):
    """What a model file holds."""

    path: Path
    tensors: dict[str, Tensor]  # all weights, those of its base applied
    config: Config
    tokenizer: Tokenizer
    info: dict[str, Any]
    base: Path | None  # the file that it builds on


def read_model(path: Path, voice_folders: Sequence[Path] = ()) -> ModelFile:
    """Reads a model's file, the weights of its base applied; arguments and errors as of `load_model`."""
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_NAME
        if not path.is_file():
            raise UserError(f"{path.parent}: no {MODEL_NAME} in it; give a model file or the folder of a training run")
    if not path.is_file():
        raise UserError(f"{path}: no such model")
    tensors, metadata = _read_file(path)
    try:
        header = json.loads(metadata["wavetts"])
        if header["format"] > FORMAT_VERSION:
            raise UserError(f"{path}: written by wavetts {header['version']}, which is newer; update wavetts")
        base = None
        if "base" in metadata:
            base = find_base(path, json.loads(metadata["base"]), voice_folders)
            tensors = apply_change(_read_file(base)[0], tensors)
        config = from_dict(json.loads(metadata["config"]), str(path))
        tokenizer = _read_tokenizer(json.loads(metadata["tokenizer"]), path)
        return ModelFile(path, tensors, config, tokenizer, json.loads(metadata["info"]), base)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: its metadata is damaged ({error!r})") from None


def _read_tokenizer(values: Any, path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_dict(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata, as they are in the file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: cut off or not a safetensors file ({error}); copy or train it again") from None
    if "wavetts" not in metadata:
        raise UserError(f"{path}: a safetensors file, but not a model of wavetts")
    return tensors, metadata


def _check_room(config: Config, tensors: dict[str, Tensor], problem: str) -> None:
    """Raises a UserError if a config asks for far more than a file holds, before that is allocated."""
    stored = sum(tensor.numel() for tensor in tensors.values())
    values = to_dict(config)
    for section in ("audio", "encoder", "attention", "decoder", "density"):
        for key, value in values[section].items():
            # Each is a dimension of a weight.
            if isinstance(value, int) and key != "sample_rate" and value > stored:
                raise UserError(f"{problem}: {section}.{key} is {value}, and all weights together are {stored} numbers")


def load_weights(model: WaveTacotron, tensors: dict[str, Tensor], problem: str) -> None:
    """Loads all tensors or raises a UserError of `problem` and the tensors that do not fit."""
    own = model.state_dict()
    wrong = [
        f"{name} {list(tensors[name].shape)} for {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    wrong += [f"{name} missing" for name in own if name not in tensors]
    wrong += [f"{name} unknown" for name in tensors if name not in own]
    if wrong:
        raise UserError(f"{problem}: {'; '.join(wrong[:4])}{f'; {len(wrong) - 4} more' if len(wrong) > 4 else ''}")
    model.load_state_dict(tensors)


def config_differences(old: Config, new: Config) -> list[str]:
    """Fields that differ, as "section.field: OLD there, NEW here"."""
    lines = []
    before, after = dict(_flat(to_dict(old))), dict(_flat(to_dict(new)))
    sections = list(dict.fromkeys(name.partition(".")[0] for name in after))
    for name in sorted(dict.fromkeys([*before, *after]), key=lambda name: sections.index(name.partition(".")[0])):
        if before.get(name) != after.get(name):
            lines.append(f"{name}: {before.get(name, 'nothing')} there, {after.get(name, 'nothing')} here")
    return lines


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Fields of nested sections, as ("section.inner.field", value)."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
