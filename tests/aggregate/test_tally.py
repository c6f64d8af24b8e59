"""Adding to cells, against a loop over every row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.aggregate.tally import Tally

SIZE, GROUPS = 12, 3


def tally_of(rows: int, seed: int, groups: int = GROUPS) -> Tally:
    """Each row has a weight of its own, so that a weight taken from another row shows."""
    rng = np.random.default_rng(seed)
    return Tally(rng.integers(0, groups, rows), groups, 1_000 + 7 ** np.arange(rows) % 1_013, SIZE, lines=9)


def by_hand(tally: Tally, cell: Any, amount: Any, where: Any = True) -> np.ndarray:
    cells = np.zeros((tally.groups, SIZE), np.int64)
    shape = np.broadcast_shapes(np.shape(cell), np.shape(amount), np.shape(where))
    cell, amount, where = (np.broadcast_to(value, shape) for value in (cell, amount, where))
    for at in np.ndindex(*shape):
        if where[at]:
            cells[tally.group[at[-1]], cell[at]] += amount[at]
    return cells


@given(st.integers(1, 40), st.integers(0, 2**32), st.sampled_from([1, GROUPS]), st.lists(st.integers(1, 4), max_size=2))
def test_every_line_is_added_in_its_rows_group(rows: int, seed: int, groups: int, blocks: list[int]) -> None:
    tally, rng = tally_of(rows, seed, groups), np.random.default_rng(seed)
    expected = np.zeros((groups, SIZE), np.int64)
    for count in blocks:
        cell, amount = tally.lines(count)
        cell[...] = rng.integers(0, SIZE, (count, rows))
        amount[...] = rng.integers(-5, 99, (count, rows))
        expected += by_hand(tally, cell.copy(), amount)
    assert np.array_equal(tally.cells, expected)
    assert np.array_equal(tally.cells, expected), "asking again adds nothing"


def test_lines_after_a_look_are_added_too() -> None:
    tally = tally_of(30, seed=1)
    expected = np.zeros((GROUPS, SIZE), np.int64)
    for number in range(3):
        cell, amount = tally.lines(1)
        cell[...], amount[...] = number, tally.weight
        expected += by_hand(tally, number, tally.weight)
        assert np.array_equal(tally.cells, expected)


@pytest.mark.parametrize(
    "cell", [4, np.arange(50) % (SIZE - 1), np.arange(4).reshape(4, 1), np.arange(200).reshape(4, 50) % 11]
)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_row_and_its_weight_lie_beside_each_other(cell: Any, share: float) -> None:
    tally = tally_of(50, 1)
    where = np.random.default_rng(2).random((4, 50) if np.ndim(cell) == 2 else 50) < share
    tally.add_with_weight(cell, where)
    rows = by_hand(tally, cell, 1, where)
    assert np.array_equal(tally.cells, rows + by_hand(tally, np.asarray(cell) + 1, tally.weight, where))


@pytest.mark.parametrize("groups", [1, GROUPS])
def test_groups_name_their_rows(groups: int) -> None:
    tally = tally_of(20, 3, groups)
    found = {number: np.arange(20)[rows].tolist() for number, rows in tally.by_group()}
    assert found == {number: np.flatnonzero(tally.group == number).tolist() for number in set(tally.group.tolist())}
