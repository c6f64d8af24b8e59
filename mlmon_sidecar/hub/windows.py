"""Sums of sealed panes over the last hour, day and week, for figures and explanations. The detector has no window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import Sample, Window
from mlmon_sidecar.statistics.samples import limit, merge_samples, smallest

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

HOURS_KEPT = 7 * 24
RECENT_HOURS = {"1h": 1, "3h": 3, "6h": 6, "12h": 12, "24h": 24}


class Windows:
    """Hour vectors of the newest week with data. Late panes are welcome."""

    def __init__(self, model: str, size: int) -> None:
        self._model = model
        self._size = size
        self._hours: dict[int, IntVector] = {}
        self._samples: dict[int, Mapping[str, tuple[Sample, ...]]] = {}

    def add(self, minute: int, vector: IntVector, samples: Mapping[str, tuple[Sample, ...]]) -> None:
        """``vector``: (size,) counts to add to that minute and its hour."""
        hour = minute // 60
        known = self._hours.get(hour)
        if known is None:
            self._hours[hour] = vector.copy()
        else:
            known += vector
        self._samples[hour] = merge_samples(self._samples.get(hour, {}), samples)
        self._forget(max(self._hours))

    @property
    def by_hour(self) -> Mapping[int, IntVector]:
        """Unix hour to its (size,) counts."""
        return self._hours

    def hours(self, end_minute: int, hours: int, *, samples: bool = True) -> Window:
        """The ``hours`` whole hours up to the one ``end_minute`` lies in, that one included."""
        last = end_minute // 60
        chosen = [hour for hour in range(last - hours + 1, last + 1) if hour in self._hours]
        return Window(
            model=self._model,
            start_minute=(last - hours + 1) * 60,
            end_minute=(last + 1) * 60,
            vector=self._sum(self._hours[hour] for hour in chosen),
            samples=reduce(merge_samples, (self._samples[hour] for hour in chosen), {}) if samples else {},
        )

    def sample(self, end_minute: int, hours: int, name: str) -> tuple[Sample, ...]:
        """The members of one sample over those hours."""
        last = end_minute // 60
        chosen = [hour for hour in self._hours if last - hours < hour <= last]
        return smallest((m for hour in chosen for m in self._samples[hour].get(name, ())), limit(name))

    def _sum(self, vectors: Iterable[IntVector]) -> IntVector:
        total = np.zeros(self._size, np.int64)
        for vector in vectors:
            total += vector
        return total

    def _forget(self, newest: int) -> None:
        for hour in [h for h in self._hours if h <= newest - HOURS_KEPT]:
            del self._hours[hour]
            del self._samples[hour]


class RecentWindows(Mapping[str, Window]):
    """Windows up to a minute, shortest first, summed when they are looked at: most minutes nobody looks."""

    def __init__(self, windows: Windows, minute: int) -> None:
        self._windows = windows
        self._minute = minute

    def __getitem__(self, name: str) -> Window:
        return self._windows.hours(self._minute, RECENT_HOURS[name], samples=False)

    def __iter__(self) -> Iterator[str]:
        return iter(RECENT_HOURS)

    def __len__(self) -> int:
        return len(RECENT_HOURS)


class RecentSamples(Mapping[str, tuple[Sample, ...]]):
    """Samples of the day up to a minute, by name; empty where there is none of that name."""

    def __init__(self, windows: Windows, minute: int) -> None:
        self._windows = windows
        self._minute = minute

    def __getitem__(self, name: str) -> tuple[Sample, ...]:
        return self._windows.sample(self._minute, RECENT_HOURS["24h"], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._windows.hours(self._minute, RECENT_HOURS["24h"]).samples)

    def __len__(self) -> int:
        return len(self._windows.hours(self._minute, RECENT_HOURS["24h"]).samples)
