"""How a model's service answers in an ordinary week: how fast, how often with an error, how much is asked and when.

Learned from a week of the service's own sealed traffic, for the data a baseline is built from knows neither durations
nor errors, and has the volume of a sample. Watched by the same detector as everything else:

- latency: the shares of requests at or below each duration edge, downwards (slower);
- errors: the share of requests that ended in a server error, upwards;
- volume: requests x against the expected e, as the share x / (x + e) around 1/2. For Poisson counts the detector's
  likelihood ratio keeps an expectation of at most 1: with u = (q - q0) / (1 - q0) it is
  ``exp(e (u + ln(1 - u))) <= 1``. Counts that scatter more than Poisson's are divided by their ``deff``.

Floors in Cohen's h: .20 for latency and errors, .50 for volume, which is a third or the threefold of what is expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet, angle_of
from mlmon_sidecar.statistics.indicators import PRIOR_TAU, SERVICE, STREAM_WEIGHT, VOLUME, Slack
from mlmon_sidecar.statistics.layout import DURATION_EDGES

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector
    from mlmon_sidecar.statistics.layout import Layout

LATENCY, ERRORS, REQUESTS = "latency", "errors", "requests"
SERVICE_H, VOLUME_H = 0.20, 0.50
WEEK_HOURS = 7 * 24
SPAN_HOURS = 160  # of a week must lie between its first and last request: a service may sleep at night
LEAST_HOURS, LEAST_REQUESTS = 24, 1000  # with fewer nothing is known
OUTAGES = 2  # silences of a week that may have been faults
IDLE_SHARE = 0.05  # of the mean: hours that expect less say nothing about volume

BINS = len(DURATION_EDGES) + 1
ERROR, TOTAL, ASKED, ASKED_OR_EXPECTED = BINS, BINS + 1, BINS + 2, BINS + 3
"""Cells of a step's vector, behind the duration bins."""

UNIT = 1024  # of one request: expected requests are fractions


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """An ordinary week.

    Attributes:
        learned_hour: Unix hour up to which it was learned.
        expected: (48,) requests an hour by hour of day (UTC), weekdays before weekends.
        durations: (BINS,) requests.
        requests, errors: in all; errors are the server's.
        volume_deff: how much more than Poisson's the hours scatter around ``expected``, 1 or more.
        error_deff: the same for errors.
        silent_nats: requests that an ordinary silence of that week let expect, over their scatter.
    """

    learned_hour: int
    expected: tuple[float, ...]
    durations: tuple[int, ...]
    requests: int
    errors: int
    volume_deff: float = 1.0
    error_deff: float = 1.0
    silent_nats: float = 0.0

    def to_document(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ServiceReference:
        """Raises ``KeyError`` or ``TypeError`` for anything else than ``to_document`` gave."""
        lists = {name: tuple(document[name]) for name in ("expected", "durations")}
        return cls(**{**document, **lists})

    def expected_between(self, start: int, end: int) -> float:
        """Requests in the minutes ``start <= minute < end``."""
        total, minute = 0.0, start
        while minute < end:
            until = min(end, (minute // 60 + 1) * 60)
            total += self.expected[slot_of(minute // 60)] * (until - minute) / 60
            minute = until
        return total

    def is_idle(self, hour: int) -> bool:
        """Whether so little is expected in this hour that its volume says nothing."""
        return self.expected[slot_of(hour)] <= IDLE_SHARE * sum(self.expected) / len(self.expected)


def slot_of(hour: int) -> int:
    """In [0, 48): hour of day (UTC), and 24 more on Saturdays and Sundays. Unix day 0 was a Thursday.

    >>> slot_of(5), slot_of(48 + 5)
    (5, 29)
    """
    return hour % 24 + (24 if (hour // 24 + 3) % 7 >= 5 else 0)


def learn_service(
    layout: Layout, hours: Mapping[int, IntVector], now_hour: int, gaps: Sequence[tuple[int, int]] = ()
) -> ServiceReference | None:
    """From the vectors of the hours before ``now_hour``; None while they do not make a week.

    Args:
        gaps: (first, end) minutes in which nothing came. The third longest, in what was expected meanwhile, is what
            is ordinary: two may have been outages.
    """
    cells = layout.traffic
    first = now_hour - WEEK_HOURS
    known = {hour: vector for hour, vector in hours.items() if first <= hour < now_hour and vector[cells.requests]}
    if len(known) < LEAST_HOURS or now_hour - min(known) < SPAN_HOURS:
        return None
    first = min(known)  # what was before the first request is not known to have been nothing
    asked, errors = np.zeros(now_hour - first), np.zeros(now_hour - first)
    durations: IntVector = np.zeros(BINS, np.int64)
    for hour, vector in known.items():
        asked[hour - first], errors[hour - first] = vector[cells.requests], vector[cells.server_error]
        durations += vector[cells.duration]
    requests = int(asked.sum())
    if requests < LEAST_REQUESTS:
        return None
    slots = np.array([slot_of(hour) for hour in range(first, now_hour)])
    expected = _factorial(asked, slots)
    learned = ServiceReference(
        learned_hour=now_hour,
        expected=tuple(float(value) for value in expected),
        durations=tuple(map(int, durations)),
        requests=requests,
        errors=int(errors.sum()),
        volume_deff=_scatter(asked, expected[slots]),
        error_deff=_scatter(errors, asked * errors.sum() / requests),
    )
    silent = sorted(learned.expected_between(max(a, first * 60), b) for a, b in gaps if b > first * 60)
    ordinary = silent[-OUTAGES - 1] if len(silent) > OUTAGES else 0.0
    return replace(learned, silent_nats=ordinary / learned.volume_deff)


def service_indicators(reference: ServiceReference) -> IndicatorSet:
    """Units "latency" and "errors" of the stream "service", "requests" of the stream "volume"."""
    builder = IndicatorBuilder(UNIT, STREAM_WEIGHT)
    total = sum(reference.durations)
    builder.unit(SERVICE, LATENCY, 1.0)
    if total:
        h = SERVICE_H + Slack(1.0, PRIOR_TAU).h(total)
        for k in range(1, BINS):
            share = sum(reference.durations[:k]) / total
            builder.downward(list(range(k)), list(range(BINS)), share, angle_of(share) - h / 2, h)
    builder.unit(SERVICE, ERRORS, 1.0)
    share = reference.errors / reference.requests
    # Errors are rare and come in bursts: those are in their scatter, not in a wander.
    h = SERVICE_H + Slack(reference.error_deff, 0.0).h(reference.requests)
    builder.upward([ERROR], [TOTAL], share, angle_of(share) + h / 2, reference.error_deff)
    builder.unit(VOLUME, REQUESTS, 1.0)
    h = VOLUME_H + Slack(reference.volume_deff, 0.0).h(reference.requests)
    builder.two_sided([ASKED], [ASKED_OR_EXPECTED], 0.5, h, reference.volume_deff)
    return builder.build()


def service_counts(layout: Layout, vector: IntVector) -> IntVector:
    """(BINS + 4,) how the requests of a pane were answered, without volume."""
    cells = layout.traffic
    counted = np.zeros(BINS + 4, np.int64)
    counted[:BINS] = vector[cells.duration] * UNIT
    counted[ERROR], counted[TOTAL] = vector[cells.server_error] * UNIT, vector[cells.requests] * UNIT
    return counted


def volume_counts(requests: int, expected: float) -> IntVector:
    """(BINS + 4,) how many came and how many were expected, nothing else."""
    counted = np.zeros(BINS + 4, np.int64)
    counted[ASKED] = requests * UNIT
    counted[ASKED_OR_EXPECTED] = requests * UNIT + round(expected * UNIT)
    return counted


def _factorial(asked: FloatVector, slots: IntVector) -> FloatVector:
    """(48,) an hour's mean times what its kind of day is more or less than the mean day."""
    mean = asked.mean()
    of_hour = np.array([asked[slots % 24 == hour].mean() for hour in range(24)])
    of_day = np.array([asked[slots // 24 == kind].mean() for kind in (0, 1)]) / mean
    expected: FloatVector = np.concatenate([of_hour * of_day[0], of_hour * of_day[1]])
    return expected


def _scatter(counts: FloatVector, expected: FloatVector) -> float:
    """``sum (x - e)^2 / sum e``: 1 for Poisson counts; never below 1."""
    total = float(expected.sum())
    return max(1.0, float(((counts - expected) ** 2).sum()) / total) if total else 1.0
