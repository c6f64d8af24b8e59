"""Rows as JSON has them to columns of scalars.

Nested objects and short lists become dotted names: ``{"a": {"b": [7]}}`` is the column ``a.b.0``. Rows of one schema
are taken apart column by column, all rows at once; only rows that differ are taken one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.decode.scalars import UNREADABLE, plain
from mlmon_sidecar.decode.text_features import MAX_ARRAY, is_vector, vector_columns

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column

MAX_DEPTH = 16  # objects inside objects; what lies deeper is left out and counted
MAX_COLUMNS = 4096  # of one row
MAX_CELLS = 4_000_000  # columns x rows of one block: 32 MB of references
FEW_CELLS = 30_000  # a block this small may be as empty as it likes
MOST_EMPTY = 4  # cells of a larger one for each value in it: rows that share no member must not fill the memory
PIECE_CELLS = 2_000  # looked at before others may go on: about a tenth of a millisecond

DEPTH, COLUMNS, LONG_ARRAY, UNREADABLE_VALUE, BAD_ROW = (
    "depth", "columns", "long_array", "unreadable_value", "bad_row",
)  # fmt: skip
"""Keys under which values left out are counted."""
WRONG_WIDTH = "wrong_width"
"""Key under which rows are counted that have more or fewer nameless values than names are expected."""

NESTED = (dict, list)
FLAT_TYPES = frozenset({str, int, float, bool, type(None)})
_FLOATS = frozenset({float})

Row = dict[str, object]
Columns = dict[str, "Column"]
Block = tuple[int, Mapping[str, "Column"]]
"""So many rows, and their columns."""


def blocks_of(records: Sequence[Mapping[str, object]], skipped: Counter[str]) -> Iterator[Block | None]:
    """Columns of the rows in their order: one block where all have the same members, else few enough to stay small.

    None: nothing yet, and a place to let others go on.
    """
    uniform = yield from _uniform(records, skipped)
    if uniform is not None:
        yield len(records), uniform
        return
    rows: list[Row] = []
    names: dict[str, None] = {}
    values = looked_at = 0
    for record in records:
        row = flatten(record, skipped)
        looked_at += len(row)
        if looked_at >= PIECE_CELLS:
            looked_at = 0
            yield None
        wider = names if row.keys() <= names.keys() else names | dict.fromkeys(row)
        values += len(row)
        if rows and too_wide(len(wider), len(rows) + 1, MOST_EMPTY * values):
            yield len(rows), {name: [row.get(name) for row in rows] for name in names}
            rows, wider, values = [], dict.fromkeys(row), len(row)
        names = wider
        rows.append(row)
    if rows:
        yield len(rows), {name: [row.get(name) for row in rows] for name in names}


def too_wide(columns: int, rows: int, worth: int) -> bool:
    """Whether a block is too wide, too large, or larger than what is in it is ``worth``, in cells."""
    return columns > MAX_COLUMNS or columns * rows > min(MAX_CELLS, max(FEW_CELLS, worth))


def flatten(row: Mapping[str, object], skipped: Counter[str]) -> Row:
    """Dotted names to scalars. The same mapping comes back as it is where nothing is nested."""
    if isinstance(row, dict) and len(row) <= MAX_COLUMNS and FLAT_TYPES.issuperset(map(type, row.values())):
        return row
    flat: Row = {}
    for name, value in row.items():
        _flatten_into(flat, str(name), value, 1, skipped)
    return flat


def _uniform(records: Sequence[Mapping[str, object]], skipped: Counter[str]) -> Generator[None, None, Columns | None]:
    """Columns of rows that have the same members down to the last; None for any others. In pieces, as all below."""
    columns: Columns = {}
    left_out: Counter[str] = Counter()
    if not (yield from _take_objects(records, "", columns, left_out, 1)):
        return None
    skipped.update(left_out)
    return columns


def _take_objects(
    rows: Sequence[Mapping[str, object]], prefix: str, columns: Columns, skipped: Counter[str], depth: int
) -> Generator[None, None, bool]:
    """Add the columns of objects; False where they differ, or where only ``flatten`` knows what to leave out."""
    names = tuple(rows[0])
    if not names or set(map(len, rows)) != {len(names)}:
        return False
    pick = itemgetter(*names)
    try:
        cells = list(zip(*map(pick, rows), strict=True)) if len(names) > 1 else [tuple(map(pick, rows))]
    except KeyError:
        return False
    return (yield from _take_columns([prefix + name for name in names], cells, columns, skipped, depth))


def _take_columns(
    names: Sequence[str], cells: Sequence[Sequence[Any]], columns: Columns, skipped: Counter[str], depth: int
) -> Generator[None, None, bool]:
    looked_at = len(names) * len(cells[0])  # to take them apart was half of the work
    for name, column in zip(names, cells, strict=True):
        if looked_at >= PIECE_CELLS:
            looked_at = 0
            yield
        looked_at += len(column)
        kinds = set(map(type, column))
        if kinds <= FLAT_TYPES:  # floats alone are an array from here on: nobody asks again what they are
            columns[name] = np.array(column) if kinds == _FLOATS else list(column)
            if len(columns) > MAX_COLUMNS:
                return False
        elif not (yield from _take_nested(name, column, kinds, columns, skipped, depth)):
            return False
    return True


def _take_nested(
    name: str, column: Sequence[Any], kinds: set[type], columns: Columns, skipped: Counter[str], depth: int
) -> Generator[None, None, bool]:
    if depth >= MAX_DEPTH:
        return False
    if kinds == {dict}:
        return (yield from _take_objects(column, f"{name}.", columns, skipped, depth + 1))
    if kinds != {list}:
        return False
    widths = set(map(len, column))
    if min(widths) > MAX_ARRAY:
        skipped[LONG_ARRAY] += len(column)
        return True
    if len(widths) > 1:
        return False
    cells = list(zip(*column, strict=True))
    names = [f"{name}.{at}" for at in range(len(cells))]
    return not cells or (yield from _take_columns(names, cells, columns, skipped, depth + 1))


def _flatten_into(flat: Row, name: str, value: object, depth: int, skipped: Counter[str]) -> None:
    value = plain(value)
    if isinstance(value, NESTED):
        if depth >= MAX_DEPTH:
            skipped[DEPTH] += 1
        elif isinstance(value, dict):
            for key, inner in value.items():
                _flatten_into(flat, f"{name}.{key}", inner, depth + 1, skipped)
        elif len(value) > MAX_ARRAY:
            if is_vector(value):
                flat.update((part, column[0]) for part, column in vector_columns(name, [value]).items())
            else:
                skipped[LONG_ARRAY] += 1
        else:
            for at, inner in enumerate(value):
                _flatten_into(flat, f"{name}.{at}", inner, depth + 1, skipped)
    elif value is UNREADABLE:
        skipped[UNREADABLE_VALUE] += 1
    elif len(flat) >= MAX_COLUMNS and name not in flat:
        skipped[COLUMNS] += 1
    else:
        flat[name] = value
