"""Rows as lists, as objects and as columns: what the tabular protocols have in common on the request's side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlmon_sidecar.decode.columns import FLAT_TYPES, MAX_COLUMNS, NESTED
from mlmon_sidecar.decode.json_rows import positional_names
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import RequestRows
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column

MAX_POSITIONAL = 256  # nameless values of a row that are features each; more are one vector (a text, an image)
VECTOR = "features"  # the name of that vector
BASE64 = "b64"  # TensorFlow Serving's and Vertex AI's mark of binary content inside JSON
BASE64_MARK = b'"b64"'  # in a body that has any


def wrong_shape(message: str) -> DecodeError:
    return DecodeError(message, code=DropReason.WRONG_SHAPE)


def expect_rows(count: int, options: DecodeOptions) -> None:
    """Raises ``DecodeError``: ``wrong_shape`` for no row, ``body_too_large`` above ``max_rows``."""
    if count < 1:
        raise wrong_shape("the body has no rows")
    if count > options.max_rows:
        raise DecodeError("too many rows in one request", code=DropReason.BODY_TOO_LARGE)


def from_items(items: object, options: DecodeOptions, document: object = None) -> RequestRows:
    """One row an item: objects, lists or scalars, the kind that most of them are; items of another kind are bad rows.

    Raises:
        DecodeError: ``wrong_shape`` where ``items`` is no list with rows, ``body_too_large`` above ``max_rows``.
    """
    if not isinstance(items, list):
        raise wrong_shape("the rows are not in a list")
    expect_rows(len(items), options)
    kinds = Counter(type(item) if isinstance(item, NESTED) else str for item in items)
    kind = kinds.most_common(1)[0][0]
    if kind is dict:
        if len(kinds) == 1:
            return RequestRows(len(items), records=items, document=document)
        bad = [at for at, item in enumerate(items) if not isinstance(item, dict)]
        records = [item if isinstance(item, dict) else {} for item in items]
        return RequestRows(len(items), records=records, bad=bad, document=document)
    if kind is list:
        return from_lists(items, None, options, document)
    lists = [item if isinstance(item, NESTED) else [item] for item in items]
    return from_lists(lists, None, options, document)


def from_lists(
    rows: Sequence[object], names: Sequence[str] | None, options: DecodeOptions, document: object = None
) -> RequestRows:
    """One row a list. ``names`` are the columns'; None: positional, of the width that most rows have.

    Rows of another width, or that are no lists, are bad. Raises ``DecodeError`` like ``from_items``.
    """
    expect_rows(len(rows), options)
    widths = Counter(len(row) if isinstance(row, list) else -1 for row in rows)
    width = widths.most_common(1)[0][0] if names is None else len(names)
    if width < 1 or width not in widths:
        raise wrong_shape("the rows have no columns, or more or fewer than are named")
    good: Sequence[Sequence[object]] = rows  # type: ignore[assignment]
    bad: Sequence[int] = ()
    if len(widths) > 1:
        bad = [at for at, row in enumerate(rows) if not isinstance(row, list) or len(row) != width]
        filler = [None] * width
        good = [row if isinstance(row, list) and len(row) == width else filler for row in rows]
    if names is None and width > max(MAX_POSITIONAL, len(options.feature_names)):
        records = [{VECTOR: row} for row in good]
        return RequestRows(len(rows), records=records, bad=bad, document=document)
    given = positional_names(width, options.feature_names) if names is None else names
    columns = dict(zip(given, map(list, zip(*good, strict=True)), strict=True))
    return replace(from_columns(columns, len(rows), document), bad=bad, positional=names is None)


def from_columns(columns: Mapping[str, Column], count: int, document: object = None) -> RequestRows:
    """Columns of one length. Where cells are lists or objects they become rows, which the core takes apart."""
    if len(columns) > MAX_COLUMNS:
        raise wrong_shape("too many columns")
    if all(not isinstance(column, list) or is_flat(column) for column in columns.values()):
        return RequestRows(count, columns=columns, document=document)
    rows = zip(*[column if isinstance(column, list) else list(column) for column in columns.values()], strict=True)
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return RequestRows(count, records=records, document=document)


def from_named_lists(columns: Mapping[str, object], options: DecodeOptions, document: object = None) -> RequestRows:
    """An object of columns. A scalar, or a list of one, stands in every row.

    Raises:
        DecodeError: ``wrong_shape`` where lengths differ otherwise, ``body_too_large`` above ``max_rows``.
    """
    if not columns:
        raise wrong_shape("the body has no columns")
    lists = {str(name): values if isinstance(values, list) else [values] for name, values in columns.items()}
    count = max(map(len, lists.values()))
    expect_rows(count, options)
    if any(len(values) not in (1, count) for values in lists.values()):
        raise wrong_shape("columns differ in length")
    return from_columns(
        {name: _squeezed(values if len(values) == count else values * count) for name, values in lists.items()},
        count,
        document,
    )


def is_flat(cells: Sequence[object]) -> bool:
    """Whether there is neither a list nor an object among them."""
    return FLAT_TYPES.issuperset(map(type, cells))


def without_content(item: object) -> object:
    """``{"image": {"b64": "..."}}`` as ``{"image": {"bytes": 3}}``: binary content goes no further than its size."""
    if isinstance(item, dict):
        if BASE64 in item:
            return {"bytes": base64_size(item[BASE64])}
        return {
            name: without_content(value) if isinstance(value, dict) and BASE64 in value else value
            for name, value in item.items()
        }
    return [without_content(value) for value in item] if isinstance(item, list) else item


def base64_size(text: object) -> int:
    """Bytes that a base64 text stands for; nothing is decoded."""
    return len(text) * 3 // 4 - text[-2:].count("=") if isinstance(text, str) else 0


def _squeezed(cells: list[object]) -> list[object]:
    """``[[1], [2]]`` as ``[1, 2]``: a column given as a matrix of one column."""
    if all(isinstance(cell, list) and len(cell) == 1 for cell in cells):
        return [cell[0] for cell in cells if isinstance(cell, list)]
    return cells
