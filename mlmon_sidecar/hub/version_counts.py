"""What each version of a model counted: its open hour, and the days before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.profile import SLOTS, slot_of

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.layout import Layout

DAYS_KEPT = 7  # the open hour's day among them
DAY_HOURS = 24


@dataclass(slots=True)
class _Day:
    """One version's."""

    vector: IntVector
    slots: FloatVector  # (48,) rows by hour of day and kind of day


class VersionCounts:
    """Versions with rows in the last ``DAYS_KEPT`` days. All of it is in the model's panes and can be read back."""

    def __init__(self, layout: Layout, through: int) -> None:
        """``through``: hours up to this one are closed; later ones are the open hour."""
        self._layout, self.through = layout, through
        self.open: dict[str, IntVector] = {}
        self._days: dict[str, dict[int, _Day]] = {}
        self._last: dict[str, int] = {}

    def add(self, minute: int, parts: Mapping[str, IntVector]) -> None:
        """``parts``: version to its (layout.size,) counts."""
        hour = minute // 60
        for version, vector in parts.items():
            if hour <= self.through:
                self._to_day(version, hour, vector)
            elif version in self.open:
                self.open[version] += vector
            else:
                self.open[version] = vector.copy()

    @property
    def open_hour(self) -> int:
        return self.through + 1

    def close(self) -> Mapping[str, IntVector]:
        """The open hour is over; what it held."""
        hour, closed, self.open = self.open_hour, self.open, {}
        self.through = hour
        for version, vector in closed.items():
            self._to_day(version, hour, vector)
        first = hour // DAY_HOURS - DAYS_KEPT + 1
        for version, days in list(self._days.items()):
            for day in [day for day in days if day < first]:
                del days[day]
            if not days:
                del self._days[version], self._last[version]
        return closed

    def known(self) -> list[str]:
        return sorted(self._days)

    def first_day(self, version: str) -> int:
        """Unix day, of those kept."""
        return min(self._days[version])

    def last_hour(self, version: str) -> int:
        """Newest closed hour with rows; -1: none is known."""
        return self._last.get(version, -1)

    def total(self, version: str, days: int = DAYS_KEPT) -> IntVector:
        """(layout.size,) counts of the newest ``days`` days, today's closed hours among them."""
        total = np.zeros(self._layout.size, np.int64)
        first = self.through // DAY_HOURS - days + 1
        for day, counted in self._days.get(version, {}).items():
            if day >= first:
                total += counted.vector
        return total

    def slots(self, version: str) -> FloatVector:
        """(48,) rows of the kept days."""
        total: FloatVector = sum((day.slots for day in self._days.get(version, {}).values()), np.zeros(SLOTS))
        return total

    def rows(self, version: str, days: int = DAYS_KEPT) -> int:
        return int(self.total(version, days)[self._layout.traffic.rows])

    def _to_day(self, version: str, hour: int, vector: IntVector) -> None:
        rows = int(vector[self._layout.traffic.rows])
        if rows == 0:
            return  # requests that became no prediction do not tell their version
        day = self._days.setdefault(version, {}).setdefault(
            hour // DAY_HOURS, _Day(np.zeros(self._layout.size, np.int64), np.zeros(SLOTS))
        )
        day.vector += vector
        day.slots[slot_of(hour)] += rows
        self._last[version] = max(hour, self._last.get(version, -1))
