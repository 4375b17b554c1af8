"""Models that differ from another one by a low-rank change of each matrix (Hu et al. 2021, LoRA): training, storing.

A voice that was trained on from another is a few hundred kilobytes that way. What is saved of a run, and what is loaded
from either file, is an ordinary model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from wavetts.errors import UserError

# The change of the matrix NAME is NAME.up @ NAME.down.
UP, DOWN = ".up", ".down"


class LowRankChange(nn.Module):
    """A weight (O, ...) of I = numel / O inputs, and a trainable change of rank r, none at the start.

    Args:
        weight: the weight that is built on.
        rank: r.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        inputs = weight[0].numel()
        self.up = nn.Parameter(weight.new_zeros(len(weight), rank))
        self.down = nn.Parameter(torch.randn(rank, inputs).to(weight) / inputs**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its change."""
        return weight + (self.up @ self.down).view_as(weight)


def train_low_rank(model: nn.Module, rank: int) -> None:
    """Freezes a model's matrices and filters and gives each a trainable change of low rank, in place.

    What would not be smaller for it (biases, gains, small matrices) is trained as it is.

    Args:
        model: any.
        rank: r.
    """
    for module in list(model.modules()):
        for name, weight in list(module.named_parameters(recurse=False)):
            if _is_smaller(weight, rank):
                weight.requires_grad_(False)
                parametrize.register_parametrization(module, name, LowRankChange(weight, rank))
        if isinstance(module, nn.RNNBase):
            # It keeps a list of its weights, which knows nothing of their changes.
            module.register_forward_pre_hook(_refresh_weights)


def _refresh_weights(module: nn.RNNBase, inputs: object) -> None:
    module._flat_weights = [getattr(module, name) for name in cast("list[str]", module._flat_weights_names)]


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """The `state_dict` of the model without `train_low_rank`, with the changes in the weights."""
    state = {name: tensor for name, tensor in model.state_dict().items() if "parametrizations." not in name}
    for path, module in model.named_modules():
        for name in getattr(module, "parametrizations", {}):
            state[f"{path}.{name}"] = getattr(module, name)
    return state


def has_changes(model: nn.Module) -> bool:
    """Whether `train_low_rank` was here."""
    return any(isinstance(module, LowRankChange) for module in model.modules())


def _is_smaller(weight: Tensor, rank: int) -> bool:
    """Whether a change of this rank has fewer values than the weight."""
    return weight.dim() >= 2 and rank * (len(weight) + weight[0].numel()) < weight.numel()


def low_rank_change(
    base: dict[str, Tensor], tensors: dict[str, Tensor], rank: int
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """What turns `base` into `tensors`, or nearly so.

    Matrices and filters get the best change of their rank (Eckart and Young 1936); what would not be smaller for it, or
    has another shape in `base`, is stored whole, and what has not changed not at all.

    Args:
        base: the weights of the model that is built on.
        tensors: the weights wanted.
        rank: r, of a change.

    Returns:
        What `apply_change` takes, float32: (O, r) and (r, I) for a matrix (O, I). And for each such matrix the share of
        its change's energy that is kept.
    """
    stored: dict[str, Tensor] = {}
    kept: dict[str, float] = {}
    for name, tensor in tensors.items():
        old = base.get(name)
        if old is not None and old.shape == tensor.shape and old.equal(tensor.to(old.dtype)):
            continue
        if old is None or old.shape != tensor.shape or not _is_smaller(tensor, rank):
            stored[name] = tensor
            continue
        change = (tensor.double() - old.double()).flatten(1)
        left, values, right = torch.linalg.svd(change, full_matrices=False)
        root = values[:rank].sqrt()
        stored[name + UP] = (left[:, :rank] * root).float()
        stored[name + DOWN] = (root[:, None] * right[:rank]).float()
        kept[name] = float(values[:rank].square().sum() / values.square().sum())
    return stored, kept


def apply_change(base: dict[str, Tensor], stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that `low_rank_change` was given, float32 where they changed."""
    tensors = dict(base)
    for name, tensor in stored.items():
        if name.endswith(UP):
            name = name.removesuffix(UP)
            change = tensor.float() @ stored[name + DOWN].float()
            tensors[name] = base[name].float() + change.view_as(base[name])
        elif not name.endswith(DOWN):
            tensors[name] = tensor
    return tensors


def name_base(path: Path) -> dict[str, str]:
    """What a model says of the one that it builds on: folder and file name, and what must be in it."""
    path = path.resolve()
    return {"file": f"{path.parent.name}/{path.name}", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def find_base(path: Path, reference: dict[str, str], voice_folders: Sequence[Path] = ()) -> Path:
    """The file that a model builds on: beside it, in a folder beside it or its own, or in one of the voice folders.

    Args:
        path: of the model.
        reference: of `name_base`.
        voice_folders: folders whose subfolders hold models.

    Raises:
        UserError: there is none with the right contents.
    """
    file = Path(reference["file"])
    path = path.resolve()
    folder = path.parent
    places = [folder / file.name, folder / file, folder.parent / file, *(parent / file for parent in voice_folders)]
    found = [place for place in places if place.is_file() and place != path]
    for place in found:
        if hashlib.sha256(place.read_bytes()).hexdigest() == reference["sha256"]:
            return place
    among = "".join(f" nor in {parent}" for parent in voice_folders)
    problem = f"{found[0]} is another one" if found else f"it is not beside it{among}"
    raise UserError(f"{path}: builds on the model {file}, and {problem}; copy the one that it was made from there")
