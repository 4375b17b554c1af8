"""Which device a model is on, and how exactly it multiplies there."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

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


@contextmanager
def float32_products(tf32: bool) -> Generator[None]:
    """Within it, float32 products of GPUs may be TensorFloat-32; afterwards they are what they were."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def torch_threads(count: int) -> Generator[None]:
    """Lets torch compute with so many CPU threads inside, and with as many as before afterwards; 0 changes nothing."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count:
            torch.set_num_threads(before)


def own_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """A context in which torch's global generators may be seeded and drawn from: they are as before afterwards."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
