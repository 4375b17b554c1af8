"""Devices, precision of their matrix products, threads and random generators."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

import torch

from wavetts.errors import UserError


def choose_device(name: str) -> torch.device:
    """The device with a name; "auto" is the GPU if there is one.

    Raises:
        UserError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r}: unknown; use auto, cpu, cuda or cuda:N") from None
    # De-emphasis and the held-out sums need float64, which Apple's and Intel's devices do not have.
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device {name!r}: only cpu and cuda are supported; use cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name!r}: torch sees no GPU; use cpu, or install torch for your GPU and driver")
    return device


@contextmanager
def float32_products(precision: str | None) -> Generator[None]:
    """A context in which float32 matrix products have a precision.

    Args:
        precision: "highest", which an autocorrelation needs to be positive definite; "high": TensorFloat-32 on GPUs
            that have it; None changes nothing.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision or before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def torch_threads(count: int) -> Generator[None]:
    """A context in which torch uses this number of CPU threads; 0 changes nothing."""
    before = torch.get_num_threads()
    # To set the number that there is already takes time, too.
    changes = count not in (0, before)
    if changes:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if changes:
            torch.set_num_threads(before)


def own_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """A context that restores the state of torch's global generators at its end."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
