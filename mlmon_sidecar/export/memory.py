"""What the collector has of each series: starts of cumulative sums, and differences for delta temporality."""

from __future__ import annotations

from typing import NamedTuple

from mlmon_sidecar.export.budget import Attributes
from mlmon_sidecar.export.figures import Buckets, Value

Series = tuple[str, Attributes]


class Span(NamedTuple):
    """A value and the time it covers, which ends now."""

    start_ns: int
    value: Value


class Memory:
    """Remembers what was taken. Nothing is remembered of an export until ``taken`` says it succeeded.

    So increments of a failed export ride in the next one; one whose answer got lost may be counted twice in delta
    temporality, never missed.
    """

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns  # where every series begins
        self._last_ns = start_ns  # of the last export taken
        self._taken: dict[Series, Span] = {}
        self._offered: dict[Series, Span] = {}

    def cumulative(self, series: Series, value: Value) -> Span:
        """The value since the series began. A series that fell began again after the last export."""
        before = self._taken.get(series)
        start_ns = before.start_ns if before else self._start_ns
        if before and _fell(before.value, value):
            start_ns = self._last_ns
        self._offered[series] = span = Span(start_ns, value)
        return span

    def delta(self, series: Series, value: Value) -> Span:
        """What came since the last export that was taken."""
        before = self._taken.get(series)
        self._offered[series] = Span(self._start_ns, value)
        since = value if before is None or _fell(before.value, value) else _minus(value, before.value)
        return Span(self._last_ns, since)

    def taken(self, at_ns: int) -> None:
        """The export built last, at ``at_ns``, was taken by the collector."""
        self._taken |= self._offered
        self._offered = {}
        self._last_ns = at_ns


def _fell(before: Value, now: Value) -> bool:
    if isinstance(before, Buckets) and isinstance(now, Buckets):
        return before.bounds != now.bounds or any(b > n for b, n in zip(before.counts, now.counts, strict=True))
    assert not isinstance(before, Buckets) and not isinstance(now, Buckets)
    return before > now


def _minus(now: Value, before: Value) -> Value:
    if isinstance(before, Buckets) and isinstance(now, Buckets):
        counts = tuple(n - b for n, b in zip(now.counts, before.counts, strict=True))
        return Buckets(now.bounds, counts, now.total - before.total, now.exemplars)
    assert not isinstance(before, Buckets) and not isinstance(now, Buckets)
    return now - before
