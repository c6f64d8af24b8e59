"""The request's side of a JSON exchange: a body as flat rows.

One object is one row; a list of objects is rows; ``{"features": ...}`` and ``{"instances": [...]}`` are opened.
Nested objects and short lists become dotted names: ``{"a": {"b": [7]}}`` is the column ``a.b.0``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.scalars import UNREADABLE, plain
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

MAX_DEPTH = 16  # objects inside objects; what lies deeper is left out and counted
MAX_COLUMNS = 4096  # of one row
MAX_ARRAY = 64  # elements of a list inside a row; a longer one is an embedding or a text, not 65 features

DEPTH, COLUMNS, LONG_ARRAY, UNREADABLE_VALUE = "depth", "columns", "long_array", "unreadable_value"
"""Keys under which values left out are counted."""

_NESTED = (dict, list)
_FLAT_TYPES = frozenset({str, int, float, bool, type(None)})

Row = dict[str, object]


def request_rows(document: object, options: DecodeOptions, skipped: Counter[str]) -> list[Row]:
    """Flat rows of a request; at least one.

    Raises:
        DecodeError: code ``wrong_shape``, or ``body_too_large`` above ``max_rows``.
    """
    found = document if options.features is None else options.features.find(document)
    if options.features is None and isinstance(found, Mapping):
        found = _opened(found)
    rows = _as_rows(found)
    if not rows:
        raise DecodeError("the body has no rows", code=DropReason.WRONG_SHAPE, hint="Set models.<name>.features.")
    if len(rows) > options.max_rows:
        raise DecodeError("too many rows in one request", code=DropReason.BODY_TOO_LARGE)
    return [_flat_row(row, options.feature_names, skipped) for row in rows]


def flatten(row: Mapping[str, object], skipped: Counter[str]) -> Row:
    """Dotted names to scalars. The same mapping comes back as it is where nothing is nested."""
    if isinstance(row, dict) and len(row) <= MAX_COLUMNS and _FLAT_TYPES.issuperset(map(type, row.values())):
        return row
    flat: Row = {}
    for name, value in row.items():
        _flatten_into(flat, str(name), value, 1, skipped)
    return flat


def _opened(body: Mapping[str, object]) -> object:
    instances, features = body.get("instances"), body.get("features")
    if isinstance(instances, list):
        return [[item] if not isinstance(item, _NESTED) else item for item in instances]
    return features if isinstance(features, _NESTED) else body


def _as_rows(found: object) -> Sequence[object]:
    if isinstance(found, Mapping):
        return [found]
    if not isinstance(found, list):
        return []
    kinds = {dict if isinstance(item, Mapping) else list if isinstance(item, list) else None for item in found}
    if kinds == {None}:
        return [found]  # one positional row
    if len(kinds) == 1:
        return found
    raise DecodeError("rows of different kinds in one body", code=DropReason.WRONG_SHAPE)


def _flat_row(row: object, names: Sequence[str], skipped: Counter[str]) -> Row:
    if isinstance(row, Mapping):
        return flatten(row, skipped)
    assert isinstance(row, list)
    return flatten({names[at] if at < len(names) else f"feature_{at}": value for at, value in enumerate(row)}, skipped)


def _flatten_into(flat: Row, name: str, value: object, depth: int, skipped: Counter[str]) -> None:
    value = plain(value)
    if isinstance(value, _NESTED):
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
