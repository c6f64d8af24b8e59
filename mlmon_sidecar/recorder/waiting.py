"""Rows and panes that no hub has taken yet. Bounded: what is beyond is dropped and counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.records import DropReason, KeptRow, KeptRows, Pane
from mlmon_sidecar.telemetry import Telemetry

MAX_ROW_BYTES = 32 * 1024 * 1024  # while no hub answers; beyond it new rows are counted and dropped
MAX_PANES = 4_096  # while no hub answers; beyond it, or the next, the oldest are counted and dropped
MAX_PANE_BYTES = 24 * 1024 * 1024
FLUSH_ROWS = 512  # of one flush: they become bytes in one call that holds the interpreter, a microsecond a row
FLUSH_BYTES = 4 * 1024 * 1024  # of rows in one flush
FLUSH_PANES = 1_024
ROW_BYTES = 320  # ids, times and figures of one kept row
_TEXTS = ("features", "alias", "predicted", "segment")


class _Bundle:
    """The rows of one flush."""

    __slots__ = ("columns", "size")

    def __init__(self) -> None:
        self.columns: tuple[list[Any], ...] = tuple([] for _ in KeptRow._fields)
        self.size = 0  # bytes

    def __len__(self) -> int:
        return len(self.columns[0])

    def add(self, rows: KeptRows, size: int) -> None:
        for column, more in zip(self.columns, rows.columns, strict=True):
            column += more
        self.size += size


class Waiting:
    """Not safe for threads: the recorder's lock is held."""

    def __init__(self, layout_sizes: Mapping[str, int], telemetry: Telemetry) -> None:
        self._layout_sizes = dict(layout_sizes)  # cells of each model's layout
        self._telemetry = telemetry
        self._bundles: deque[_Bundle] = deque()
        self.row_bytes = 0
        self._panes: list[Pane] = []

    @property
    def panes(self) -> int:
        return len(self._panes)

    def keep(self, rows: KeptRows) -> None:
        kept = 0
        while kept < len(rows) and self.row_bytes < MAX_ROW_BYTES:
            kept += self._keep_some(rows[kept:] if kept else rows)
        self._telemetry.rows_dropped(len(rows) - kept, DropReason.HUB_UNREACHABLE)
        self._telemetry.add(names.ROWS_KEPT, kept)

    def _keep_some(self, rows: KeptRows) -> int:
        """The first of the rows into one bundle, as many as have room there: at least one, mostly all."""
        if not self._bundles or len(self._bundles[-1]) >= FLUSH_ROWS:
            self._bundles.append(_Bundle())
        room = FLUSH_ROWS - len(self._bundles[-1])
        some = rows if len(rows) <= room else rows[:room]
        size = rows_bytes(some)
        while len(some) > 1 and self._exceeds(size):
            some = some[: len(some) // 2]
            size = rows_bytes(some)
        if len(self._bundles[-1]) and self._bundles[-1].size + size > FLUSH_BYTES:
            self._bundles.append(_Bundle())
        self._bundles[-1].add(some, size)
        self.row_bytes += size
        return len(some)

    def _exceeds(self, size: int) -> bool:
        return self._bundles[-1].size + size > FLUSH_BYTES or self.row_bytes + size > MAX_ROW_BYTES

    def add(self, panes: Sequence[Pane]) -> None:
        self._panes += panes

    def take(self) -> tuple[tuple[Pane, ...], KeptRows, bool]:
        """What goes into one flush, and whether there is more."""
        rows = KeptRows()
        if self._bundles:
            bundle = self._bundles.popleft()
            rows = KeptRows(bundle.columns)
            self.row_bytes -= bundle.size
        panes, self._panes = tuple(self._panes[:FLUSH_PANES]), self._panes[FLUSH_PANES:]
        return panes, rows, bool(self._bundles or self._panes)

    def resize(self, model: str, size: int) -> None:
        """Cells of the model's layout from here on."""
        self._layout_sizes[model] = size

    def pane_limit(self, model: str) -> int:
        """Panes that may wait where all were as large as this model's."""
        return max(2, min(MAX_PANES, MAX_PANE_BYTES // (8 * self._layout_sizes[model])))

    @property
    def least_pane_limit(self) -> int:
        return min(map(self.pane_limit, self._layout_sizes), default=0)

    def forget_oldest_panes(self) -> None:
        """Half of the bound goes at once: taken out, the panes of a minute no longer add up."""
        self._panes.sort(key=lambda pane: pane.key.minute)
        surplus = len(self._panes) - self.least_pane_limit // 2
        self._telemetry.add(names.PANES_DROPPED_PREFIX + DropReason.HUB_UNREACHABLE, surplus)
        del self._panes[:surplus]


def rows_bytes(rows: KeptRows) -> int:
    """What kept rows cost here, and about what they cost on their way."""
    return ROW_BYTES * len(rows) + sum(sum(map(len, filter(None, rows.column(name)))) for name in _TEXTS)
