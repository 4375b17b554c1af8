"""The couplings of a flow in the kernel's format."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import POINTER, c_float, c_int64, c_void_p
from typing import ClassVar

import torch

from wavetts.model.density.transforms import Permutation
from wavetts.runtime.bindings import Linear, Structure


class Couplings(Structure):
    """Pairs of affine couplings of halves by residual networks, a permutation before each pair."""

    _fields_: ClassVar = [
        ("length", c_int64),
        ("count", c_int64),
        ("num_layers", c_int64),
        ("bound", c_float),
        ("networks", POINTER(Linear)),
        ("backward", POINTER(Linear)),
        ("orders", c_void_p),
    ]

    @classmethod
    def pack(
        cls,
        networks: Sequence[Sequence[Linear]],
        backward: Sequence[Sequence[Linear]] | None,
        bound: float,
        permutations: Sequence[Permutation],
    ) -> Couplings:
        """Packs a flow's couplings.

        Args:
            networks: of each coupling, in the order from data to noise: input, layers, output.
            backward: the same matrices transposed, without biases, of a flow whose score is wanted.
            bound: of the log-scales.
            permutations: of `length` values, one for each two couplings.
        """
        assert len(networks) == 2 * len(permutations)
        if not networks:
            return cls()
        orders = torch.stack([permutation.inverse_order for permutation in permutations])
        couplings = cls(length=orders.shape[1], count=len(networks), num_layers=len(networks[0]) - 2, bound=bound)
        couplings.point(orders=orders)
        # The array has copies of the structures, which keep no tensor alive.
        couplings.parts = [linear for network in (*networks, *(backward or [])) for linear in network]
        couplings.networks = _array(networks)
        if backward is not None:
            couplings.backward = _array(backward)
        return couplings


def _array(networks: Sequence[Sequence[Linear]]) -> object:
    linears = [linear for network in networks for linear in network]
    return (Linear * len(linears))(*linears)
