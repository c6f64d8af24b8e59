"""Columns of Python values to one float matrix and what each value is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import FloatVector

    Codes = NDArray[np.int8]

VALID, NULL, INVALID = 0, 1, 2
_NUMBERS = frozenset({int, float, bool})
_NUMBERS_AND_NULL = _NUMBERS | {type(None)}


def to_matrix(columns: Sequence[Sequence[object]], rows: int) -> tuple[FloatVector, Codes]:
    """Values (columns, rows) float64, 0.0 where not valid, and codes (columns, rows): VALID, NULL or INVALID.

    None is NULL. Booleans count as 0 and 1. NaN, infinities, integers beyond a double, texts and all else are
    INVALID.
    """
    values = np.zeros((len(columns), rows))
    codes = np.zeros((len(columns), rows), dtype=np.int8)
    if not columns or not rows:
        return values, codes
    flat = list(chain.from_iterable(columns))
    if _NUMBERS_AND_NULL.issuperset(map(type, flat)) and _fill(values.reshape(-1), codes.reshape(-1), flat):
        return values, codes
    for at, column in enumerate(columns):
        kinds = set(map(type, column))
        if not (kinds <= _NUMBERS_AND_NULL and _fill(values[at], codes[at], column)):
            _fill_slowly(values[at], codes[at], column)
    return values, codes


def _fill(values: FloatVector, codes: Codes, column: Sequence[object]) -> bool:
    """Numbers and None only. False: an integer does not fit a double, and nothing was written."""
    try:
        values[:] = np.array(column, dtype=np.float64)  # None becomes NaN
    except OverflowError:
        return False
    bad = ~np.isfinite(values)
    if bad.any():
        where = np.flatnonzero(bad)
        codes[where] = [NULL if column[at] is None else INVALID for at in where.tolist()]
        values[where] = 0.0
    return True


def _fill_slowly(values: FloatVector, codes: Codes, column: Sequence[object]) -> None:
    for at, value in enumerate(column):
        if value is None:
            codes[at] = NULL
            continue
        number = _number(value)
        codes[at] = VALID if np.isfinite(number) else INVALID
        values[at] = number if np.isfinite(number) else 0.0


def _number(value: object) -> float:
    if not isinstance(value, (int, float)):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf
