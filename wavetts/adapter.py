"""Models stored as what they differ by from another one: a low-rank change of each matrix (Hu et al. 2021, LoRA).

A voice that was trained on from another is a few hundred kilobytes that way. It is a matter of files alone: what is
loaded is an ordinary model.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from wavetts.catalog import BUNDLED, user_folder
from wavetts.errors import UserError

# The change of the matrix NAME is NAME.up @ NAME.down.
UP, DOWN = ".up", ".down"


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
        rows = len(tensor) if tensor.dim() else 1
        columns = tensor.numel() // max(rows, 1)
        if old is None or old.shape != tensor.shape or rank * (rows + columns) >= tensor.numel():
            stored[name] = tensor
            continue
        left, values, right = torch.linalg.svd((tensor.double() - old.double()).view(rows, -1), full_matrices=False)
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


def find_base(path: Path, reference: dict[str, str]) -> Path:
    """The file that a model builds on: beside it, in a folder beside its own, or among the voices.

    Args:
        path: of the model.
        reference: of `name_base`.

    Raises:
        UserError: there is none with the right contents.
    """
    file = Path(reference["file"])
    path = path.resolve()
    places = [path.with_name(file.name), path.parent.parent / file, user_folder() / file, BUNDLED / file]
    found = [place for place in places if place.is_file() and place != path]
    for place in found:
        if hashlib.sha256(place.read_bytes()).hexdigest() == reference["sha256"]:
            return place
    problem = f"{found[0]} is another one" if found else f"it is neither beside it nor in {user_folder()}"
    raise UserError(f"{path}: builds on the model {file}, and {problem}; copy the one that it was made from there")
