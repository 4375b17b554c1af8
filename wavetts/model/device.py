"""Which device a model is on."""

from __future__ import annotations

import torch

from wavetts.errors import UserError


def choose_device(name: str) -> torch.device:
    """The device of a name; "auto" is the GPU if there is one.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r}: unknown; use auto, cpu, cuda or cuda:N") from None
    # Apple's and Intel's have no float64, which de-emphasis and the held-out sums are in.
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device {name!r}: only cpu and cuda are supported; use cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name!r}: torch sees no GPU; use cpu, or install torch for your GPU and driver")
    return device
