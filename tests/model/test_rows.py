from __future__ import annotations

import torch

from wavetts.model.attention import AttentionState, Keys
from wavetts.model.decoder import DecoderState
from wavetts.model.rows import Rows


def tree(number: int, tokens: int):
    """A row of everything that generation keeps, all of its values `number`."""

    def full(*shape):
        return torch.full((1, *shape), float(number))

    keys = Keys(full(tokens, 4), torch.ones(1, tokens, dtype=torch.bool), full(tokens, 5), full(4))
    # As many components as another row has tokens: their second dimensions are told apart by name.
    state = DecoderState(
        (full(3), full(3)), full(4), AttentionState(full(tokens), full(tokens), full(2)), [(full(6), full(6))]
    )
    return keys, full(1), (state, full(7))


def flat(value):
    if isinstance(value, torch.Tensor):
        return [value]
    parts = vars(value).values() if hasattr(value, "__dict__") else value
    return [tensor for part in parts for tensor in flat(part)]


def check(rows: Rows, numbers: list[int], tokens: list[int]):
    assert rows.tokens == tokens
    keys, options, (state, frame) = rows.values
    assert keys.memory.shape == (len(numbers), max(tokens), 4)
    assert keys.mask.sum(1).tolist() == tokens
    assert state.attention.weights.shape == (len(numbers), max(tokens))
    assert state.attention.position.shape == (len(numbers), 2)
    assert all(tensor.is_contiguous() for tensor in flat(state.lstms))
    for row, (number, count) in enumerate(zip(numbers, tokens, strict=True)):
        assert (keys.memory[row, :count] == number).all()
        assert not keys.memory[row, count:].any()
        assert not state.attention.cumulative[row, count:].any()
        assert (state.lstms[0][1][row] == number).all()
        assert (frame[row] == number).all()
        assert float(options[row]) == number


def test_rows_come_and_go():
    rows = Rows()
    for number, tokens in ((1, 2), (2, 5), (3, 1)):
        rows.append(tree(number, tokens), tokens)
    check(rows, [1, 2, 3], [2, 5, 1])
    # The longest leaves: what is per token is narrower.
    rows.keep([0, 2])
    check(rows, [1, 3], [2, 1])
    rows.append(tree(4, 2), 2)
    rows.keep([1, 2])
    check(rows, [3, 4], [1, 2])
    rows.keep([])
    assert rows.values is None
    rows.append(tree(5, 3), 3)
    check(rows, [5], [3])


def test_a_row_that_joins_moves_no_other():
    rows = Rows()
    rows.append(tree(1, 6), 6)
    place = rows.values[0].memory.data_ptr()
    for number in (2, 3, 4):
        rows.append(tree(number, 6 - number), 6 - number)
        assert rows.values[0].memory.data_ptr() == place
    rows.append(tree(5, 6), 6)
    check(rows, [1, 2, 3, 4, 5], [6, 4, 3, 2, 6])


def test_a_row_taken_out_is_a_copy_of_its_own_width():
    rows = Rows()
    rows.append(tree(1, 2), 2)
    rows.append(tree(2, 5), 5)
    row = rows.take(0)
    rows.write(2, tree(9, 5)[2])
    assert row[0].memory.shape == (1, 2, 4)
    for ours, theirs in zip(flat(row), flat(tree(1, 2)), strict=True):
        assert torch.equal(ours, theirs)
    assert (rows.values[2][1] == 9).all()
    assert (rows.values[1] == torch.tensor([[1.0], [2.0]])).all()
