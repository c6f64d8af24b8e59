"""A cumulative histogram of plain integers: an OpenTelemetry one costs ten times as much for each value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import add

from mlmon_sidecar.records import Distribution

PAUSE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # s


class Histogram:
    """One writer; any thread may read, and then perhaps misses the newest value.

    >>> histogram = Histogram((1.0, 2.0))
    >>> histogram.observe(2.0)
    >>> histogram.distribution("n").counts
    (0, 1, 0)
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds  # ascending; a bucket holds its upper bound
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self._counts[bisect_left(self._bounds, value)] += times
        self._total += value * times

    def observe_counted(self, counts: Sequence[int], total: float) -> None:
        """Many values: how many are in each bucket, and their sum."""
        self._counts = list(map(add, self._counts, counts))
        self._total += total

    def distribution(self, name: str, attributes: tuple[tuple[str, str], ...] = ()) -> Distribution:
        return Distribution(name, self._bounds, tuple(self._counts), self._total, attributes)
