"""Columns of Python values to one float matrix and what each value is."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector

    Codes = NDArray[np.int8]
    Column = Sequence[object] | FloatVector

VALID, NULL, INVALID = 0, 1, 2
_NUMBERS_AND_NULL = frozenset({int, float, bool, type(None)})


def to_matrix(columns: Sequence[Column], rows: int) -> tuple[FloatVector, Codes | None]:
    """Values (columns, rows) float64, 0.0 where not valid, and codes (columns, rows): VALID, NULL or INVALID.

    Codes are None where every value is valid. A column is a list, or a float64 array without nulls. None is NULL.
    Booleans count as 0 and 1. NaN, infinities, integers beyond a double, texts and all else are INVALID.
    """
    values = _all_numbers(columns, rows)
    if values is None:
        return _one_by_one(columns, rows)
    finite = np.isfinite(values)
    if finite.all():
        return values, None
    codes = np.where(finite, np.int8(VALID), np.int8(INVALID))
    return np.where(finite, values, 0.0), codes


def _all_numbers(columns: Sequence[Column], rows: int) -> FloatVector | None:
    """(columns, rows), or None where a list holds anything but numbers."""
    shape = (len(columns), rows)
    if np.ndarray not in set(map(type, columns)):
        flat = _numbers(chain.from_iterable(columns), len(columns) * rows)
        return None if flat is None else flat.reshape(shape)
    parts: list[FloatVector] = []
    for column in columns:
        part = column if isinstance(column, np.ndarray) else _numbers(column, rows)
        if part is None:
            return None
        parts.append(part)
    return np.concatenate(parts).reshape(shape)


def _numbers(values: Iterable[object], count: int) -> FloatVector | None:
    """(count,) of numbers; None where one is none, or does not fit a double.

    ``struct`` takes numbers alone, where numpy would read the text "1.5" as one, and is several times as fast.
    """
    try:
        return np.frombuffer(struct.pack(f"{count}d", *values))
    except (struct.error, TypeError, OverflowError):
        return None


def _one_by_one(columns: Sequence[Column], rows: int) -> tuple[FloatVector, Codes]:
    values = np.zeros((len(columns), rows))
    codes = np.zeros((len(columns), rows), dtype=np.int8)
    for at, column in enumerate(columns):
        numbers = column if isinstance(column, np.ndarray) else _numbers(column, rows)
        if numbers is not None:
            values[at] = numbers
        elif not (_NUMBERS_AND_NULL.issuperset(map(type, column)) and _fill(values[at], codes[at], column)):
            _fill_slowly(values[at], codes[at], column)
    bad = ~np.isfinite(values)
    if bad.any():
        codes[bad & (codes == VALID)] = INVALID
        values[bad] = 0.0
    return values, codes


def _fill(values: FloatVector, codes: Codes, column: Column) -> bool:
    """Numbers and None only. False: an integer does not fit a double, and nothing was written."""
    try:
        values[:] = np.array(column, dtype=np.float64)  # None becomes NaN
    except OverflowError:
        return False
    for at in np.flatnonzero(np.isnan(values)).tolist():
        if column[at] is None:
            codes[at] = NULL
    return True


def _fill_slowly(values: FloatVector, codes: Codes, column: Column) -> None:
    for at, value in enumerate(column):
        if value is None:
            codes[at] = NULL
        else:
            values[at] = _number(value)


def _number(value: object) -> float:
    if not isinstance(value, (int, float)):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf
