"""A histogram that is known by its buckets, as single values: what an instrument of OpenTelemetry wants to be told.

Each value lies in its own bucket, all of them at the same relative place, and that place is the one where they add up
to the known sum. So an instrument with the same boundaries arrives at the same counts and the same sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from mlmon_sidecar.export.figures import Buckets


def since(before: Buckets | None, now: Buckets) -> Buckets:
    """What came to a cumulative histogram; all of it where it began anew."""
    if before is None or any(old > new for old, new in zip(before.counts, now.counts, strict=True)):
        return now
    counts = tuple(new - old for old, new in zip(before.counts, now.counts, strict=True))
    return Buckets(now.bounds, counts, now.total - before.total)


def values(buckets: Buckets) -> Iterator[tuple[float, int]]:
    """(value, how often), one a bucket that is not empty. Bounds and values are not negative.

    >>> list(values(Buckets((1.0, 3.0), (0, 2, 0), 4.5)))
    [(2.25, 2)]
    """
    lows = (0.0, *buckets.bounds)
    least = sum(low * count for low, count in zip(lows, buckets.counts, strict=True))
    rest = max(0.0, buckets.total - least)
    last = lows[-1] + rest  # as high as a value above all bounds can be
    spans = [*pairwise(lows), (lows[-1], last)]
    most = sum((high - low) * count for (low, high), count in zip(spans, buckets.counts, strict=True))
    place = min(1.0, rest / most) if most else 0.0
    for (low, high), count in zip(spans, buckets.counts, strict=True):
        if count:
            yield low + place * (high - low), count
