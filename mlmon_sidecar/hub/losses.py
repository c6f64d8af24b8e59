"""What share of each day's predictions was lost before it could be counted or kept. Where it is more than a hundredth,
alarms on quality wait: what was lost may be what was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.hub.outcome_watch import RECENT_DAYS
from mlmon_sidecar.records import DropReason, OutcomeCell

DAYS_KEPT = 400  # more than the longest horizon there is any use in
NO_LOSS = frozenset({DropReason.NOT_A_PREDICTION, DropReason.APPLICATION_ERROR})  # there was no prediction


class LossWatch:
    """Of all models together: what was never read belongs to none. ``document`` is the state as it is kept."""

    def __init__(self, document: Mapping[str, Any] | None) -> None:
        known = document or {}
        self._seen: list[int] | None = known.get("seen")  # the counts at the end of the last day
        self._days: dict[int, float] = {int(day): share for day, share in known.get("days", {}).items()}
        self._judged: list[list[float]] = [list(entry) for entry in known.get("judged", ())]

    @property
    def document(self) -> Mapping[str, Any]:
        return {"seen": self._seen, "days": {str(d): share for d, share in self._days.items()}, "judged": self._judged}

    @property
    def begun(self) -> bool:
        """Whether it is known what was counted before the present day."""
        return self._seen is not None

    def begin(self, counters: Mapping[str, int]) -> None:
        self._seen = _counts(counters)

    def end_day(self, day: int, counters: Mapping[str, int]) -> None:
        """A Unix day is over, by the counters (``Store.counters``) of now."""
        now = _counts(counters)
        lost, whole, rows_lost, rows = (b - a for a, b in zip(self._seen or now, now, strict=True))
        self._seen = now
        share = lost / max(1, whole, lost) + rows_lost / max(1, rows, rows_lost)
        if share > 0:
            self._days[day] = min(1.0, share)
        self._days = {at: kept for at, kept in self._days.items() if at > day - DAYS_KEPT}

    def of_day(self, day: int) -> float:
        """Share lost, in [0, 1]."""
        return self._days.get(day, 0.0)

    def of_labels(self, judged_day: int, cells: Sequence[OutcomeCell]) -> float:
        """Mean share lost on the prediction days of the labels that were judged on this day and the six before it;
        judged days in order."""
        rows = sum(max(0, cell.rows) for cell in cells)
        lost = sum(max(0, cell.rows) * self.of_day(cell.day) for cell in cells)
        kept = (entry for entry in self._judged if entry[0] > judged_day - RECENT_DAYS)
        self._judged = [*kept, [judged_day, rows, lost]]
        return sum(entry[2] for entry in self._judged) / max(1.0, sum(entry[1] for entry in self._judged))


def _counts(counters: Mapping[str, int]) -> list[int]:
    """[exchanges lost, exchanges that were predictions, rows lost, rows], ever."""
    dropped = {k: n for k, n in counters.items() if k.startswith(names.DROPPED_PREFIX)}
    none = sum(dropped.pop(names.DROPPED_PREFIX + reason, 0) for reason in NO_LOSS)
    rows_lost = sum(n for k, n in counters.items() if k.startswith(names.ROWS_DROPPED_PREFIX))
    whole = counters.get(names.ACCEPTED, 0) - none
    return [sum(dropped.values()), whole, rows_lost, counters.get(names.ROWS, 0)]
