"""Adding to cells, against a loop over every row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.aggregate.tally import Tally

SIZE, GROUPS = 12, 3


def tally_of(rows: int, seed: int) -> Tally:
    """Each row has a weight of its own, so that a weight taken from another row shows."""
    rng = np.random.default_rng(seed)
    return Tally(rng.integers(0, GROUPS, rows), GROUPS, 1_000 + 7 ** np.arange(rows) % 1_013, SIZE)


def by_hand(tally: Tally, cell: Any, amount: Any, where: Any, shape: tuple[int, ...]) -> np.ndarray:
    cells = np.zeros((GROUPS, SIZE), np.int64)
    cell, amount, where = (np.broadcast_to(value, shape) for value in (cell, amount, where))
    for at in np.ndindex(*shape):
        if where[at]:
            cells[tally.group[at[-1]], cell[at]] += amount[at]
    return cells


@given(
    st.integers(1, 40), st.integers(0, 2**32), st.sampled_from([None, 1, 4]), st.sampled_from(["one", "rows", "all"]),
    st.sampled_from(["none", "some", "every"]),
)  # fmt: skip
def test_add_counts_every_row_in_its_group_and_cell(
    rows: int, seed: int, columns: int | None, amounts: str, masked: str
) -> None:
    tally, rng = tally_of(rows, seed), np.random.default_rng(seed)
    shape = (rows,) if columns is None else (columns, rows)
    cell = rng.integers(0, SIZE, shape)
    amount: Any = {"one": 3, "rows": tally.weight, "all": rng.integers(1, 99, shape)}[amounts]
    where = {"none": None, "some": rng.random(shape) < 0.5, "every": np.ones(shape, bool)}[masked]
    tally.add(cell, amount, where)
    assert np.array_equal(tally.cells, by_hand(tally, cell, amount, True if where is None else where, shape))


def test_one_weight_a_row_serves_every_column() -> None:
    """numpy's add.at reads past amounts that have fewer dimensions than the index."""
    for seed in range(20):
        tally = tally_of(500, seed)
        cell = np.random.default_rng(seed).integers(0, SIZE, (6, 500))
        tally.add(cell, tally.weight)
        assert tally.cells.sum() == 6 * tally.weight.sum()
        assert np.array_equal(tally.cells, by_hand(tally, cell, tally.weight, True, (6, 500)))


@pytest.mark.parametrize("cell", [4, np.arange(50) % (SIZE - 1), np.arange(200).reshape(4, 50) % (SIZE - 1)])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_row_and_its_weight_lie_beside_each_other(cell: Any, share: float) -> None:
    tally = tally_of(50, 1)
    where = np.random.default_rng(2).random(np.shape(cell) or (50,)) < share
    tally.add_with_weight(cell, where)
    rows = by_hand(tally, cell, 1, where, where.shape)
    assert np.array_equal(tally.cells, rows + by_hand(tally, np.asarray(cell) + 1, tally.weight, where, where.shape))
