"""Values as JSON has them, whatever library they came from."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID

import numpy as np

UNREADABLE: Final = object()
"""Stands for a value of a type that has no JSON form."""

_PLAIN = frozenset({str, bool, float, type(None), dict, list})
_MISSING_TYPES = frozenset({"NAType", "NaTType"})  # pandas' own nulls, known by name so that pandas is not imported
_INT_LIMIT = 1 << 63


def plain(value: object) -> object:
    """A JSON scalar, dict or list; None for the nulls of dataframes; ``UNREADABLE`` for anything else.

    Integers beyond 64 bits become floats, infinite where they do not fit: counted as invalid, never an error.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, int):
        return _bounded(int(value)) if not isinstance(value, bool) else value
    return _converted(value)


def _converted(value: object) -> object:  # every branch is one foreign type
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return str(value)
    if type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, (float, Decimal)):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (tuple, np.ndarray)):
        return list(value)
    return UNREADABLE


def _bounded(value: int) -> int | float:
    if -_INT_LIMIT <= value < 2 * _INT_LIMIT:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
