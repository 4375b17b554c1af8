"""Training states for resuming, and initialisation from another model."""

from __future__ import annotations

import dataclasses
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wavetts.config import Config, DensityConfig
from wavetts.config.load import from_dict
from wavetts.errors import UserError
from wavetts.files import write_atomic
from wavetts.model.checkpoint import check_finite, config_differences, load_weights, read_model
from wavetts.model.density.energy.tilt import onto_tilts
from wavetts.model.tacotron import WaveTacotron
from wavetts.text.tokenizer import Tokenizer

STATES_KEPT = 2


def merge_tokenizers(old: Tokenizer, new: Tokenizer, path: Path) -> Tokenizer:
    """A tokenizer with the old one's symbols at their old indices, followed by the new one's other symbols.

    Raises:
        UserError: one reads phonemes and the other characters.
    """
    if old.input != new.input:
        raise UserError(
            f"{path}: it reads {old.input}, the config says text.input={new.input}; set text.input={old.input}"
        )
    added = tuple(symbol for symbol in new.symbols if symbol not in old.symbols)
    return dataclasses.replace(new, symbols=old.symbols + added)


def check_front_end(tokenizer: Tokenizer, info: dict[str, Any], data_dir: Path) -> None:
    """Warns if a run goes on with transcripts that another version of the text front end made.

    Args:
        tokenizer: of the run's state.
        info: of the preprocessed corpus (info.json).
        data_dir: its folder.
    """
    corpus = info.get("front_end_version", "")
    if tokenizer.front_end_version != corpus:
        warnings.warn(
            f"{data_dir}: version {corpus or '1'} of the text front end made its transcripts, the run began with those "
            f"of version {tokenizer.front_end_version or '1'}: some texts are said in other words",
            stacklevel=2,
        )


def start_from(
    path: Path, config: Config, tokenizer: Tokenizer, voice_folders: Sequence[Path] = ()
) -> tuple[WaveTacotron, Tokenizer]:
    """Builds the model of a new run from the weights of another model.

    Symbols of the old table keep their embeddings; those of new symbols are initialised. The scale of the waveform is
    the old model's. A density of another kind is initialised, and encoder and decoder are kept. If the density is, or
    holds, a tilt, the old model's is what it tilts.

    Args:
        path: the old model, as for `load_model`.
        config: the config of the new run.
        tokenizer: the tokenizer of the new run's training data.
        voice_folders: as for `load_model`.

    Returns:
        The model, and its tokenizer (`merge_tokenizers`).

    Raises:
        UserError: as `load_model`; or shapes differ, with the names of the tensors and the config fields that differ.
    """
    path, tensors, old_config, old_tokenizer, *_ = read_model(path, voice_folders)
    tokenizer = merge_tokenizers(old_tokenizer, tokenizer, path)
    model = WaveTacotron(config, len(tokenizer.symbols))
    # Only the embedding depends on the number of symbols.
    name = "encoder.embedding.weight"
    fresh = model.state_dict()[name]
    if tensors[name].shape[1] == fresh.shape[1]:
        tensors[name] = torch.cat([tensors[name], fresh[len(tensors[name]) :]])
    old_kinds, kinds = _kinds(old_config.density), _kinds(config.density)
    if config.density.tilts and "tilt" not in old_kinds:
        if old_kinds != [kind for kind in kinds if kind != "tilt"]:
            raise UserError(f"{path}: its density is {' of '.join(old_kinds)}, not what {' of '.join(kinds)} tilts")
        tensors = onto_tilts(model, tensors)
    elif old_kinds != kinds:
        warnings.warn(
            f"{path}: its density is {' of '.join(old_kinds)}; the {' of '.join(kinds)} of this run starts anew",
            stacklevel=2,
        )
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("density.")}
        tensors |= {name: tensor for name, tensor in model.state_dict().items() if name.startswith("density.")}
    fields = [
        line
        for line in config_differences(old_config, config)
        if not line.startswith(("train.", "text.", "synthesis."))
    ]
    load_weights(model, tensors, f"{path}: does not fit the config ({'; '.join(fields) or 'same fields'})")
    return model, tokenizer


def _kinds(density: DensityConfig) -> list[str]:
    """The kind of a density, of the one that it holds, and so on."""
    inner = getattr(density, "inner", None)
    return [density.kind, *(_kinds(inner) if inner is not None else [])]


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes a training state of tensors and plain values, atomically.

    Raises:
        UserError: the file cannot be written; an earlier one of that name is intact.
    """
    # Serialised in memory, so that a full disk is an OSError of ours and not an assertion of torch's writer.
    data = io.BytesIO()
    torch.save(state, data)
    write_atomic(Path(path), data.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Reads a training state onto the CPU; nothing in the file is executed.

    Raises:
        UserError: the file is missing, cut off or not a training state.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such training state") from None
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ... for damaged files
        raise UserError(f"{path}: cut off, damaged or not a training state ({type(error).__name__})") from None
    if not isinstance(state, dict) or "step" not in state:
        raise UserError(f"{path}: not a training state")
    check_finite({**state.get("model", {}), **state.get("average", {})}, str(path))
    return state


def state_path(run_dir: Path, step: int) -> Path:
    """The file of the state after `step` steps."""
    return Path(run_dir) / f"state-{step:08d}.pt"


def list_states(run_dir: Path) -> list[Path]:
    """The run's states, oldest first."""
    return sorted(Path(run_dir).glob("state-????????.pt"))


def newest_state(run_dir: Path) -> dict[str, Any]:
    """The newest readable state of a run; damaged ones are skipped with a warning.

    Raises:
        UserError: there is none.
    """
    paths = list_states(run_dir)
    for path in reversed(paths):
        try:
            return load_state(path)
        except UserError as error:
            if path != paths[0]:
                warnings.warn(f"{error}; trying the state before it", stacklevel=2)
    if paths:
        raise UserError(f"{paths[0]}: damaged, as all states of this run are; start another with its model's weights")
    raise UserError(f"{run_dir}: no training state to resume from; start a new run there")


def check_config(state: dict[str, Any], config: Config, run_dir: Path) -> None:
    """Raises a UserError that names the fields, but those of training and synthesis, that are not those of a state."""
    lines = config_differences(from_dict(state["config"], str(run_dir)), config)
    changed = [line for line in lines if not line.startswith(("train.", "synthesis."))]
    if changed:
        raise UserError(
            f"{run_dir}: only train.* of a resumed run may change, but {'; '.join(changed)}; start a new run"
        )


def restore(state: dict[str, Any], average: torch.nn.Module, optimizer: torch.optim.Optimizer, run_dir: Path) -> None:
    """Loads a state's average and moments. Rates, betas and decay stay those of the config, which may have changed.

    Raises:
        UserError: an earlier version averaged low-rank changes by factors, or sorted the parameters otherwise.
    """
    groups = optimizer.state_dict()["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    fits = state["average"].keys() == average.state_dict().keys() and all(
        moments["exp_avg"].shape == parameters[index].shape for index, moments in state["optimizer"].items()
    )
    if not fits:
        raise UserError(f"{run_dir}: its states are of an earlier version of wavetts; start a new run with its model")
    average.load_state_dict(state["average"])
    optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})


def prune_states(run_dir: Path) -> None:
    """Removes all states but the newest `STATES_KEPT`."""
    for path in list_states(run_dir)[:-STATES_KEPT]:
        path.unlink(missing_ok=True)
