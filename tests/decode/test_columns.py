"""Rows taken apart all at once are what they are one by one."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode import columns
from mlmon_sidecar.decode.columns import MAX_ARRAY, MAX_COLUMNS, MAX_DEPTH, PIECE_CELLS, Block, blocks_of, flatten

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text("aé", max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Values of the same form."""
    if isinstance(value, dict):
        return st.fixed_dictionaries({name: _like(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return st.tuples(*map(_like, value)).map(list)
    return SCALARS


ROWS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)
ALIKE = ROWS.flatmap(lambda row: st.lists(_like(row), min_size=1, max_size=5))


def blocks(rows: list[dict[str, Any]], skipped: Counter[str]) -> list[Block]:
    """Without the places where others may go on."""
    return [block for block in blocks_of(rows, skipped) if block is not None]


def whole(rows: list[dict[str, Any]], skipped: Counter[str]) -> list[dict[str, Any]]:
    """The rows again; a member that a row lacks is None."""
    found = []
    for count, block in blocks(rows, skipped):
        columns = {name: np.asarray(column, object).tolist() for name, column in block.items()}
        assert {len(column) for column in columns.values()} <= {count}
        found += [{name: column[at] for name, column in columns.items()} for at in range(count)]
    return found


def expected(rows: list[dict[str, Any]], skipped: Counter[str]) -> list[dict[str, Any]]:
    flat = [flatten(row, skipped) for row in rows]
    names = {name for row in flat for name in row}
    return [{name: row.get(name) for name in names} for row in flat]


@given(st.lists(ROWS, min_size=1, max_size=5) | ALIKE)
def test_any_rows(rows: list[dict[str, Any]]) -> None:
    left, right = Counter[str](), Counter[str]()
    assert repr(sort(whole(rows, left))) == repr(sort(expected(rows, right)))
    assert left == right


def sort(rows: list[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    return [sorted(row.items(), key=lambda item: item[0]) for row in rows]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"d": value}
    return value


@pytest.mark.parametrize(
    "row",
    [
        {"a": 1, "long": [0] * (MAX_ARRAY + 1), "short": [0] * MAX_ARRAY},
        {"deep": deep(MAX_DEPTH + 3), "b": 1},
        {"deep": deep(MAX_DEPTH - 1)},
        {f"c{at}": at for at in range(MAX_COLUMNS + 5)},
        {"wide": {f"c{at}": [at, at] for at in range(MAX_COLUMNS // 2 + 5)}},
        {},
        {"a": {}, "b": []},
    ],
    ids=["array", "depth", "just not too deep", "columns", "nested columns", "nothing", "empty"],
)
def test_caps_are_the_same(row: dict[str, Any]) -> None:
    left, right = Counter[str](), Counter[str]()
    assert whole([row, row], left) == expected([row, row], right)
    assert left == right


def test_nested_rows_of_one_form_are_never_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "flatten", None)
    rows = [{"a": 1, "who": {"age": at, "tags": ["x", {"y": at}]}} for at in range(3)]
    assert [(count, dict(block)) for count, block in blocks(rows, Counter())] == [
        (3, {"a": [1, 1, 1], "who.age": [0, 1, 2], "who.tags.0": ["x"] * 3, "who.tags.1.y": [0, 1, 2]})
    ]


def test_one_row_that_differs_costs_the_others_nothing() -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "b": 2}, {"b": 3, "c": {"d": 4}}, {"a": 5, "b": 6}]
    ((count, block),) = blocks(rows, Counter())
    assert (count, dict(block)) == (3, {"a": [1, None, 5], "b": [2, 3, 6], "c.d": [None, 4, None]})


def test_rows_that_share_no_member_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "FEW_CELLS", 100)
    rows = [{f"c{at}": at} for at in range(50)]
    found = blocks(rows, Counter())
    assert sum(count for count, _ in found) == 50
    assert all(count * len(block) <= 100 for count, block in found)


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_others_may_go_on_while_many_cells_are_looked_at(differ: bool, nested: bool) -> None:
    row: dict[str, Any] = {f"c{at}": float(at) for at in range(100)}
    rows = [{"inner": dict(row), "outer": 1} if nested else dict(row) for _ in range(400)]
    if differ:
        rows[-1]["another"] = 1
    pieces = sum(block is None for block in blocks_of(rows, Counter()))
    cells = 400 * 100
    assert cells / PIECE_CELLS <= pieces + 1 <= 3 * cells / PIECE_CELLS
