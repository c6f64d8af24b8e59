"""Rows as lists, as objects and as columns: what the tabular protocols have in common on the request's side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlmon_sidecar.decode.columns import FLAT_TYPES, MAX_CELLS, MAX_COLUMNS, MAX_DEPTH, NESTED
from mlmon_sidecar.decode.json_rows import rows_of
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import RequestRows
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

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
    lists = [item if isinstance(item, NESTED) else [item] for item in items]
    if isinstance(lists[0], list) and _is_vector(lists[0], options):
        records = [{VECTOR: flat(row)} if isinstance(row, list) else {} for row in lists]
        bad = [at for at, row in enumerate(lists) if not isinstance(row, list)]
        return RequestRows(len(items), records=records, bad=bad, document=document)
    return rows_of(lists, document, options)


def from_lists(rows: object, names: Sequence[str], options: DecodeOptions, document: object = None) -> RequestRows:
    """One row a list, under ``names``. Rows of another width, or that are no lists, are bad.

    Raises ``DecodeError`` like ``from_items``.
    """
    if not isinstance(rows, list):
        raise wrong_shape("the rows are not in a list")
    expect_rows(len(rows), options)
    width = len(names)
    bad = frozenset(at for at, row in enumerate(rows) if not isinstance(row, list) or len(row) != width)
    if 2 * len(bad) >= len(rows):
        raise wrong_shape("most rows have more or fewer cells than there are names")
    if bad:
        filler = [None] * width
        rows = [filler if at in bad else row for at, row in enumerate(rows)]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return replace(from_columns(columns, len(rows), document), bad=bad)


def expect_cells(columns: int, count: int) -> None:
    """Raises ``DecodeError`` (``wrong_shape``) where values that stand in every row would fill the memory."""
    if columns > MAX_COLUMNS or columns * count > MAX_CELLS:
        raise wrong_shape("too many columns")


def from_columns(columns: Mapping[str, list[object]], count: int, document: object = None) -> RequestRows:
    """Columns of one length. Where cells are lists or objects they become rows, which the core takes apart."""
    expect_cells(len(columns), count)
    if all(map(is_flat, columns.values())):
        return RequestRows(count, columns=columns, document=document)
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
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
    expect_cells(len(lists), count)
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


def flat(value: list[object]) -> list[object]:
    """The elements of lists inside lists."""
    for _ in range(MAX_DEPTH):
        if not any(isinstance(item, list) for item in value):
            break
        value = [inner for item in value for inner in (item if isinstance(item, list) else [item])]
    return value


def without_content(item: object, depth: int = MAX_DEPTH) -> object:
    """``{"image": {"b64": "..."}}`` as ``{"image": {"bytes": 3}}``: binary content goes no further than its size."""
    if isinstance(item, dict):
        if BASE64 in item:
            return {"bytes": base64_size(item[BASE64])}
        return {name: without_content(value, depth - 1) for name, value in item.items()} if depth else None
    if isinstance(item, list):
        return [without_content(value, depth - 1) for value in item] if depth else None
    return item


def base64_size(text: object) -> int:
    """Bytes that a base64 text stands for; nothing is decoded."""
    return len(text) * 3 // 4 - text[-2:].count("=") if isinstance(text, str) else 0


def _is_vector(row: list[object], options: DecodeOptions) -> bool:
    """Whether a row is an image, an embedding or the like: too many numbers for a feature each."""
    widest = max(MAX_POSITIONAL, len(options.feature_names))
    return len(row) > widest or (isinstance(row[0] if row else None, list) and len(flat(row)) > widest)


def _squeezed(cells: list[object]) -> list[object]:
    """``[[1], [2]]`` as ``[1, 2]``: a column given as a matrix of one column."""
    if all(isinstance(cell, list) and len(cell) == 1 for cell in cells):
        return [cell[0] for cell in cells if isinstance(cell, list)]
    return cells
