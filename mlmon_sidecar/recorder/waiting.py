"""Rows and panes that no hub has taken yet. Bounded: what is beyond is dropped and counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.records import DropReason, KeptRow, Pane
from mlmon_sidecar.telemetry import Telemetry

MAX_ROW_BYTES = 32 * 1024 * 1024  # while no hub answers; beyond it new rows are counted and dropped
MAX_PANES = 4_096  # while no hub answers; beyond it, or the next, the oldest are counted and dropped
MAX_PANE_BYTES = 24 * 1024 * 1024
FLUSH_ROWS = 512  # of one flush: they become bytes in one call that holds the interpreter, a microsecond a row
FLUSH_BYTES = 4 * 1024 * 1024  # of rows in one flush
FLUSH_PANES = 1_024
ROW_BYTES = 320  # ids, times and figures of one kept row


class _Bundle:
    """The rows of one flush."""

    __slots__ = ("rows", "size")

    def __init__(self) -> None:
        self.rows: list[KeptRow] = []
        self.size = 0  # bytes


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

    def keep(self, rows: Sequence[KeptRow]) -> None:
        sizes = [
            ROW_BYTES + len(features) + len(alias or "") + len(predicted or "") + len(segment)
            for _, _, _, segment, _, _, predicted, _, alias, _, _, features in rows
        ]
        total, bundle = sum(sizes), self._bundles[-1] if self._bundles else None
        if (
            bundle is not None
            and len(bundle.rows) + len(rows) <= FLUSH_ROWS
            and bundle.size + total <= FLUSH_BYTES
            and self.row_bytes + total < MAX_ROW_BYTES
        ):
            bundle.rows += rows
            bundle.size += total
            self.row_bytes += total
            kept = len(rows)
        else:
            kept = self._keep_each(rows, sizes)
        self._telemetry.add(names.ROWS_KEPT, kept)

    def _keep_each(self, rows: Sequence[KeptRow], sizes: Sequence[int]) -> int:
        """How many of them there was room for."""
        for index, (row, size) in enumerate(zip(rows, sizes, strict=True)):
            if self.row_bytes >= MAX_ROW_BYTES:
                self._telemetry.rows_dropped(len(rows) - index, DropReason.HUB_UNREACHABLE)
                return index
            bundle = self._bundles[-1] if self._bundles else None
            if bundle is None or len(bundle.rows) >= FLUSH_ROWS or bundle.size + size > FLUSH_BYTES:
                bundle = _Bundle()
                self._bundles.append(bundle)
            bundle.rows.append(row)
            bundle.size += size
            self.row_bytes += size
        return len(rows)

    def add(self, panes: Sequence[Pane]) -> None:
        self._panes += panes

    def take(self) -> tuple[tuple[Pane, ...], tuple[KeptRow, ...], bool]:
        """What goes into one flush, and whether there is more."""
        rows: tuple[KeptRow, ...] = ()
        if self._bundles:
            bundle = self._bundles.popleft()
            rows = tuple(bundle.rows)
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
