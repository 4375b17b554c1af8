"""Low-rank changes of a model (LoRA, Hu et al. 2021): training them, and storing models as changes of others.

A voice that was trained from another one takes a few hundred kilobytes that way. The model files of a training run, and
the models that are loaded from changes, are ordinary ones.
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
    """A parametrisation: a weight (O, ...) with I = numel / O inputs plus a trainable change of rank r, initially zero.

    Args:
        weight: the weight that is changed.
        rank: r.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        inputs = weight[0].numel()
        self.up = nn.Parameter(weight.new_zeros(len(weight), rank))
        self.down = nn.Parameter(torch.randn(rank, inputs).to(weight) / inputs**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight plus its change."""
        return weight + (self.up @ self.down).view_as(weight)


def train_low_rank(model: nn.Module, rank: int) -> None:
    """Freezes the matrices and filters of a model and gives each a trainable change of low rank, in place.

    Parameters for which the change would not be smaller (biases, gains, small matrices) are trained themselves.

    Args:
        model: any module.
        rank: r.
    """
    for module in list(model.modules()):
        for name, weight in list(module.named_parameters(recurse=False)):
            if _is_smaller(weight, rank):
                weight.requires_grad_(False)
                parametrize.register_parametrization(module, name, LowRankChange(weight, rank))
        if isinstance(module, nn.RNNBase):
            # It keeps a list of its weights, which would not contain their changes.
            module.register_forward_pre_hook(_refresh_weights)


def _refresh_weights(module: nn.RNNBase, inputs: object) -> None:
    module._flat_weights = [getattr(module, name) for name in cast("list[str]", module._flat_weights_names)]


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """The `state_dict` of the same model without `train_low_rank`, with the changes added to the weights."""
    state = {name: tensor for name, tensor in model.state_dict().items() if "parametrizations." not in name}
    for path, module in model.named_modules():
        for name in getattr(module, "parametrizations", {}):
            state[f"{path}.{name}"] = getattr(module, name)
    return state


def has_changes(model: nn.Module) -> bool:
    """Whether `train_low_rank` was applied to the model."""
    return any(isinstance(module, LowRankChange) for module in model.modules())


def _is_smaller(weight: Tensor, rank: int) -> bool:
    """Whether a change of this rank has fewer values than the weight itself."""
    return weight.dim() >= 2 and rank * (len(weight) + weight[0].numel()) < weight.numel()


def low_rank_change(
    base: dict[str, Tensor], tensors: dict[str, Tensor], rank: int
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The low-rank approximation of the difference of two models.

    The change of a matrix or filter is its best approximation of rank r (Eckart and Young 1936). Tensors that would not
    be smaller that way, or have another shape in `base`, are stored whole; unchanged ones are not stored.

    Args:
        base: the weights of the model that the change is relative to.
        tensors: the weights of the model to store.
        rank: r.

    Returns:
        The argument `stored` of `apply_change`, float32: NAME.up (O, r) and NAME.down (r, I) for a matrix (O, I). And
        by matrix the share of the energy of its change that is kept.
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
    """The weights of a model from its base and its change; changed matrices are float32."""
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
    """A reference to a base model: {"file": folder and file name, "sha256": hash of its contents}."""
    path = path.resolve()
    return {"file": f"{path.parent.name}/{path.name}", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def find_base(path: Path, reference: dict[str, str], voice_folders: Sequence[Path] = ()) -> Path:
    """Finds the base of a model: in its folder, in a sibling of the file or of its folder, or in a voice folder.

    Args:
        path: of the model.
        reference: the result of `name_base`.
        voice_folders: folders whose subfolders hold models.

    Raises:
        UserError: there is no file of that name with the right contents.
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
