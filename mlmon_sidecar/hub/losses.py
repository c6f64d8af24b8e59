"""What share of each day's predictions was lost before it could be counted or kept. Where it is more than a hundredth,
alarms on quality wait: what was lost may be what was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mlmon_sidecar.hub.outcome_watch import RECENT_DAYS
from mlmon_sidecar.records import Losses, OutcomeCell


class LossMemory(Protocol):
    def losses(self, first_day: int, last_day: int) -> dict[int, Losses]: ...


class LossWatch:
    """Of all models together: what was never read belongs to none. ``document`` is the state as it is kept."""

    def __init__(self, store: LossMemory, document: Sequence[Sequence[float]] | None) -> None:
        self._store = store
        self._judged = [list(entry) for entry in document or ()]  # [day, labels judged, of them lost]

    @property
    def document(self) -> list[list[Any]]:
        return self._judged

    def of_day(self, day: int) -> float:
        """Share of one Unix day that was lost, in [0, 1]."""
        return _shares(self._store.losses(day, day)).get(day, 0.0)

    def of_labels(self, judged_day: int, cells: Sequence[OutcomeCell]) -> float:
        """Mean share lost on the prediction days of the labels that were judged on this day and the six before it;
        judged days in order."""
        days = {cell.day for cell in cells}
        shares = _shares(self._store.losses(min(days), max(days))) if days else {}
        rows = sum(max(0, cell.rows) for cell in cells)
        lost = sum(max(0, cell.rows) * shares.get(cell.day, 0.0) for cell in cells)
        kept = (entry for entry in self._judged if entry[0] > judged_day - RECENT_DAYS)
        self._judged = [*kept, [judged_day, rows, lost]]
        return sum(entry[2] for entry in self._judged) / max(1.0, sum(entry[1] for entry in self._judged))


def _shares(days: Mapping[int, Losses]) -> dict[int, float]:
    """Day to share lost: of exchanges, and of the rows of those that were read."""
    return {
        day: min(1.0, max(0, lost) / max(1, whole, lost) + max(0, rows_lost) / max(1, rows, rows_lost))
        for day, (lost, whole, rows_lost, rows) in days.items()
    }
