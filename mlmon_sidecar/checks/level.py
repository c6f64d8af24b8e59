"""Windows for checks that hold or do not hold, as long as they hold: no detector, but only what chance cannot do.

A run of rows that the reference would show with probability ``p ** requests`` counts when that is less than
``exp(-16)``: the same line as for collapse. Rows that came in one request are one piece of evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.checks.context import CheckContext

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector, Window
    from mlmon_sidecar.statistics.layout import Layout

IMPROBABLE_NATS = 16.0
MORE_THAN_ROWS = 100


_SPANS: dict[str, IntVector] = {}  # by layout hash; a process knows a handful
_MANY_LAYOUTS = 64


def value_counts(layout: Layout, vector: IntVector) -> tuple[IntVector, IntVector]:
    """(features,) rows with a usable value, and rows in the fullest bin, in the order of ``layout.cells``.

    In one go: a thousand features are looked at every minute.
    """
    if not layout.features:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if layout.hash not in _SPANS:
        if len(_SPANS) >= _MANY_LAYOUTS:
            _SPANS.clear()
        ends = [(cells.bins.start, cells.bins.stop) for cells in layout.cells.values()]
        _SPANS[layout.hash] = np.array(ends, dtype=np.int64).reshape(-1)
    spans = _SPANS[layout.hash]
    rows, fullest = np.add.reduceat(vector, spans)[::2], np.maximum.reduceat(vector, spans)[::2]
    return rows, fullest


def level_windows(context: CheckContext) -> Iterator[Window]:
    """The fewest newest panes with a hundred predictions, then the hour; those with more than enough rows only."""
    if context.newest is not None and context.newest.vector[context.layout.traffic.rows] >= MORE_THAN_ROWS:
        yield context.newest
    hour = context.recent.get("1h")
    if hour is not None and hour.vector[context.layout.traffic.rows] >= MORE_THAN_ROWS:
        yield hour


def warming_up(context: CheckContext) -> str:
    """Why there is no such window yet; "" when there is."""
    if next(level_windows(context), None) is not None:
        return ""
    cell = context.layout.traffic.rows
    rows = max((int(window.vector[cell]) for window in context.recent.values()), default=0)
    return f"warming up {min(rows, MORE_THAN_ROWS - 1)}/{MORE_THAN_ROWS} rows"


def nats(share: float, requests: float) -> float:
    """How improbable it is that ``requests`` all do what a ``share`` of the reference's did. Infinite at share 0.

    >>> round(nats(0.9, 152), 1)
    16.0
    """
    return requests * -math.log(share) if share > 0 else math.inf
