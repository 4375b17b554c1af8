"""Tensors with one row per utterance, in nested containers; rows are added and removed without copying the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# Fields of `attention.Keys` and `attention.AttentionState` whose second dimension is the tokens, I.
PER_TOKEN = frozenset({"memory", "mask", "projected", "weights", "cumulative"})
_FEWEST = 4  # rows that memory is allocated for at least


class Rows:
    """A tree of tensors (B, ...): tuples, lists and dataclasses of any depth, all tensors with the same B.

    Memory is allocated for more than B rows, and doubled when it is full. Tensors with a value per token (`PER_TOKEN`)
    are as wide as the longest text of the B rows, and zero beyond the end of the others.

    Attributes:
        values: the tree; None without rows.
        tokens: I of each row.
    """

    def __init__(self) -> None:
        """Starts without rows."""
        self.values: Any = None
        self.tokens: list[int] = []
        self._place: Any = None  # the whole tree, unused rows among them
        self._written: set[int] = set()  # items of the tree whose values are not in their place
        self._capacity = self._width = 0

    def append(self, row: Any, tokens: int) -> None:
        """Adds a row, a tree of tensors (1, ...), with this number of tokens."""
        self._settle()
        count = len(self.tokens)
        if count == self._capacity or tokens > self._width:
            capacity = self._capacity if count < self._capacity else max(_FEWEST, 2 * count)
            self._resize(row if self._place is None else self._place, capacity, max(tokens, self._width))
        self.tokens = [*self.tokens, tokens]
        map_tensors(_write_row(count), self._place, row)
        self._set_values()

    def write(self, part: int, tree: Any) -> None:
        """Replaces an item of the tree, which is a tuple, in all rows; it is copied when rows come or go, not before.

        The tree is of contiguous tensors, and not changed afterwards.
        """
        self.values = (*self.values[:part], tree, *self.values[part + 1 :])
        self._written.add(part)

    def _settle(self) -> None:
        """Copies what was written to its place."""
        for part in self._written:
            map_tensors(lambda place, new, _: place[: len(new)].copy_(new), self._place[part], self.values[part])
        self._written.clear()

    def take(self, row: int) -> Any:
        """A copy of a row: a tree of tensors (1, ...), as wide as its own tokens."""
        tokens = self.tokens[row]

        def cut(values: Tensor, per_token: bool) -> Tensor:
            values = values[row : row + 1]
            return (values[:, :tokens] if per_token else values).clone()

        return map_tensors(cut, self.values)

    def keep(self, rows: Sequence[int]) -> None:
        """Removes all rows but these (ascending); tensors per token become narrower if the longest row has left."""
        if len(rows) == len(self.tokens):
            return
        if not rows:
            self.__init__()
            return
        self._settle()
        first = next((new for new, old in enumerate(rows) if new != old), len(rows))
        index = torch.tensor(rows[first:], dtype=torch.long)

        def close(values: Tensor, _: bool) -> Tensor:
            if len(index):
                values[first : len(rows)] = values[index.to(values.device)]
            return values

        map_tensors(close, self._place)
        self.tokens = [self.tokens[row] for row in rows]
        if max(self.tokens) < self._width:
            self._resize(self._place, self._capacity, max(self.tokens))
        self._set_values()

    def _resize(self, like: Any, capacity: int, width: int) -> None:
        """Allocates memory for this number of rows and tokens and moves the rows there."""
        count = len(self.tokens)

        def make(values: Tensor, per_token: bool) -> Tensor:
            shape = (capacity, width, *values.shape[2:]) if per_token else (capacity, *values.shape[1:])
            place = values.new_zeros(shape)
            if count:
                narrow = (slice(count), slice(min(width, values.shape[1]))) if per_token else (slice(count),)
                place[narrow] = values[narrow]
            return place

        self._place = map_tensors(make, like)
        self._capacity, self._width = capacity, width

    def _set_values(self) -> None:
        self.values = map_tensors(lambda values, _: values[: len(self.tokens)], self._place)


def _write_row(row: int) -> Callable[[Tensor, Tensor, bool], Tensor]:
    def write(place: Tensor, new: Tensor, per_token: bool) -> Tensor:
        if per_token:
            place[row].zero_()
            place[row, : new.shape[1]] = new[0]
        else:
            place[row] = new[0]
        return place

    return write


def map_tensors(function: Callable[..., Tensor], *trees: Any, name: str = "") -> Any:
    """Applies function(tensor of each tree, whether it is per token) to trees of the same structure; returns a tree."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees, name in PER_TOKEN)
    if dataclasses.is_dataclass(first):
        names = [item.name for item in dataclasses.fields(first)]
        branches = [[getattr(tree, item) for tree in trees] for item in names]
    else:
        names = getattr(first, "_fields", [name] * len(first))
        branches = list(zip(*trees, strict=True))
    parts = [map_tensors(function, *each, name=item) for item, each in zip(names, branches, strict=True)]
    return type(first)(parts) if type(first) in (tuple, list) else type(first)(*parts)
