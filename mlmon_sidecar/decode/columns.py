"""Rows as JSON has them to columns of scalars.

Nested objects and short lists become dotted names: ``{"a": {"b": [7]}}`` is the column ``a.b.0``. Rows of one schema
are taken apart column by column, all rows at once; only rows that differ are taken one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from mlmon_sidecar.decode.scalars import UNREADABLE, plain

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column

MAX_DEPTH = 16  # objects inside objects; what lies deeper is left out and counted
MAX_COLUMNS = 4096  # of one row
MAX_ARRAY = 64  # elements of a list inside a row; a longer one is an embedding or a text, not 65 features
MAX_CELLS = 4_000_000  # columns x rows of one block: 32 MB of references

DEPTH, COLUMNS, LONG_ARRAY, UNREADABLE_VALUE, BAD_ROW = (
    "depth", "columns", "long_array", "unreadable_value", "bad_row",
)  # fmt: skip
"""Keys under which values left out are counted."""

NESTED = (dict, list)
FLAT_TYPES = frozenset({str, int, float, bool, type(None)})

Row = dict[str, object]
Columns = dict[str, "Column"]
Block = tuple[int, Mapping[str, "Column"]]
"""So many rows, and their columns."""


def blocks_of(records: Sequence[Mapping[str, object]], skipped: Counter[str]) -> Iterator[Block]:
    """Columns of the rows in their order: one block where all have the same members, else few enough to stay small."""
    uniform = _uniform(records, skipped)
    if uniform is not None:
        yield len(records), uniform
        return
    rows: list[Row] = []
    names: dict[str, None] = {}
    for record in records:
        row = flatten(record, skipped)
        if row.keys() - names.keys():
            wider = names | dict.fromkeys(row)
            if rows and too_wide(len(wider), len(rows) + 1):
                yield len(rows), {name: [row.get(name) for row in rows] for name in names}
                rows, wider = [], dict.fromkeys(row)
            names = wider
        rows.append(row)
    if rows:
        yield len(rows), {name: [row.get(name) for row in rows] for name in names}


def too_wide(columns: int, rows: int) -> bool:
    return columns > MAX_COLUMNS or columns * rows > MAX_CELLS


def flatten(row: Mapping[str, object], skipped: Counter[str]) -> Row:
    """Dotted names to scalars. The same mapping comes back as it is where nothing is nested."""
    if isinstance(row, dict) and len(row) <= MAX_COLUMNS and FLAT_TYPES.issuperset(map(type, row.values())):
        return row
    flat: Row = {}
    for name, value in row.items():
        _flatten_into(flat, str(name), value, 1, skipped)
    return flat


def _uniform(records: Sequence[Mapping[str, object]], skipped: Counter[str]) -> Columns | None:
    """Columns of flat rows that have the same members; None for any others."""
    names = tuple(records[0])
    if not 0 < len(names) <= MAX_COLUMNS or set(map(len, records)) != {len(names)}:
        return None
    pick = itemgetter(*names)
    try:
        cells = [tuple(map(pick, records))] if len(names) == 1 else list(zip(*map(pick, records), strict=True))
    except KeyError:
        return None
    if not all(FLAT_TYPES.issuperset(map(type, column)) for column in cells):
        return None
    return dict(zip(names, map(list, cells), strict=True))


def _flatten_into(flat: Row, name: str, value: object, depth: int, skipped: Counter[str]) -> None:
    value = plain(value)
    if isinstance(value, NESTED):
        if depth >= MAX_DEPTH:
            skipped[DEPTH] += 1
        elif isinstance(value, dict):
            for key, inner in value.items():
                _flatten_into(flat, f"{name}.{key}", inner, depth + 1, skipped)
        elif len(value) > MAX_ARRAY:
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
