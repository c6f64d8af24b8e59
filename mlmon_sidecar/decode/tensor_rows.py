"""Tensors to the rows of a request, and to the values of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.decode.columns import MAX_CELLS
from mlmon_sidecar.decode.json_rows import positional_names
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import RequestRows
from mlmon_sidecar.decode.tabular import MAX_POSITIONAL, expect_cells, expect_rows, wrong_shape
from mlmon_sidecar.decode.tensors import Tensor
from mlmon_sidecar.decode.text_features import MAX_ARRAY
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column


def rows_of_tensors(tensors: Sequence[Tensor], options: DecodeOptions) -> RequestRows:
    """One tensor that is a matrix is positional features; otherwise every tensor is a column, or several, by its name.

    A tensor of one row beside others stands in every row. One with many cells a row (an image, an embedding) stays one
    vector, for the core to sum up.

    Raises:
        DecodeError: ``wrong_shape`` where rows differ in number, ``body_too_large`` above ``max_rows``.
    """
    count = max((tensor.rows for tensor in tensors), default=0)
    expect_rows(count, options)
    if any(tensor.rows not in (1, count) for tensor in tensors):
        raise wrong_shape("tensors differ in their number of rows")
    columns: dict[str, Column]
    bad = frozenset().union(*[tensor.bad if tensor.rows == count else range(count) for tensor in tensors if tensor.bad])
    if len(tensors) == 1 and _is_matrix(tensors[0], options):
        names = positional_names(tensors[0].width, options.feature_names)
        columns = dict(zip(names, _columns(tensors[0]), strict=True))
        return RequestRows(count, columns, positional=True, width=len(names), bad=bad)
    expect_cells(sum(tensor.width for tensor in tensors if tensor.width <= MAX_ARRAY), 1)
    if sum(tensor.width for tensor in tensors if tensor.rows < count) * count > MAX_CELLS:
        raise wrong_shape("a tensor that stands in every row is too large")
    columns = {}
    vectors: dict[str, Sequence[object]] = {}
    for tensor in tensors:
        name = f"{tensor.name}.bytes" if tensor.sizes else tensor.name
        if tensor.width > MAX_ARRAY:
            vectors[name] = _list(_spread(_lists(tensor), count))
        elif tensor.width == 1:
            columns[name] = _spread(tensor.cells, count)
        else:
            cells = [_spread(column, count) for column in _columns(tensor)]
            columns |= {f"{name}.{at}": column for at, column in enumerate(cells)}
    if not vectors:
        return RequestRows(count, columns, bad=bad)
    whole = {name: _list(column) for name, column in columns.items()} | vectors
    records = [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]
    return RequestRows(count, records=records, bad=bad)


def items_of(tensor: Tensor, rows: int) -> list[object]:
    """One value a row: a scalar, or the vector of a wider row.

    Raises:
        DecodeError: ``row_mismatch`` where the tensor has another number of rows.
    """
    if tensor.rows == rows:
        return _list(tensor.cells) if tensor.width == 1 else _lists(tensor)
    if rows == 1:
        return [_list(tensor.cells)]
    raise DecodeError("rows and predictions differ in number", code=DropReason.ROW_MISMATCH)


def _is_matrix(tensor: Tensor, options: DecodeOptions) -> bool:
    """Whether each of its columns is a feature."""
    widest = max(MAX_POSITIONAL, len(options.feature_names))
    return len(tensor.shape) == 2 and 1 < tensor.width <= widest and not tensor.sizes


def _columns(tensor: Tensor) -> list[Column]:
    if isinstance(tensor.cells, np.ndarray):
        return list(np.ascontiguousarray(tensor.cells.reshape(tensor.rows, tensor.width).T))
    return [tensor.cells[at :: tensor.width] for at in range(tensor.width)]


def _lists(tensor: Tensor) -> list[object]:
    cells, width = _list(tensor.cells), tensor.width
    return [cells[at : at + width] for at in range(0, len(cells), width)]


def _spread(column: Column, count: int) -> Column:
    if len(column) == count:
        return column
    if isinstance(column, np.ndarray):
        return column[np.zeros(count, dtype=np.intp)]
    return list(column) * count


def _list(column: Column) -> list[object]:
    return column.tolist() if isinstance(column, np.ndarray) else list(column)
