"""Model files: weights, config, tokenizer and information about the training in one safetensors file."""

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
        tokenizer: of its symbols.
        config: the config that it was trained with.
        info: figures of its training: "step", "train_minutes", "corpus_hours", held-out "bits_per_sample" and others.
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

    Args:
        path: the file to write.
        state_dict: the weights; with `base` the result of `lora.low_rank_change`.
        config: how to build the model.
        tokenizer: of its symbols.
        info: figures of its training.
        base: the model file that the weights are a change of, or None.

    Raises:
        UserError: the file cannot be written; an earlier file of that name is not changed.
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
    """Loads a model that `save_model` wrote.

    Args:
        path: the file, or a run folder with a model.safetensors.
        device: the device of the weights.
        voice_folders: folders of voices to search for the base of a low-rank change.

    Raises:
        UserError: the file is missing, cut off, not a model of wavetts, of a later format, or does not fit its config.
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
    """Writes a model in half precision, which halves its size, for distribution.

    Scalars, such as the waveform's scale, are not rounded. `load_model` computes in float32 in any case.

    Args:
        path: as for `load_model`.
        output: the file to write.
        mantissa_bits: number of bits of the mantissa that are kept, at most half precision's 10; fewer do not make the
            file smaller, but it compresses better.
        base: the model that this one was trained from, as for `load_model`: write only a low-rank change of it, see
            `lora`. If it is a change of another model itself, that model is the base.
        rank: rank of the change of each matrix.
        voice_folders: as for `load_model`.
        synthesis: new values of fields of `config.synthesis`, the defaults of the voice.

    Returns:
        With `base`, by matrix the share of its change's energy that is kept; else an empty dictionary.

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
    """The contents of a model file."""

    path: Path
    tensors: dict[str, Tensor]  # all weights, with the base's
    config: Config
    tokenizer: Tokenizer
    info: dict[str, Any]
    base: Path | None  # the model file that it is a change of


def read_model(path: Path, voice_folders: Sequence[Path] = ()) -> ModelFile:
    """Reads a model file, and its base if it has one; arguments and errors as for `load_model`."""
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
        check_finite(tensors, f"{path}")
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
    """Tensors and metadata of a file, without those of its base."""
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


def check_finite(tensors: Mapping[str, Tensor], what: str, advice: str = "take the model of an earlier step") -> None:
    """Raises a UserError, one line that begins with `what`, if a weight is infinite or no number."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"{what}: {name} is not finite, the training has diverged; {advice}")


def load_weights(model: WaveTacotron, tensors: dict[str, Tensor], problem: str) -> None:
    """Loads all tensors, or raises a UserError that begins with `problem` and names the tensors that do not fit."""
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
