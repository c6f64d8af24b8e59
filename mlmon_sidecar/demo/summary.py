"""What the story comes to, as one JSON object. Pure: figures in, figures out; the verdict is the reader's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from mlmon_sidecar.demo.schedule import Calendar, Period, period_of, utc
from mlmon_sidecar.hub.view import CountersView, IncidentView

Daily = Mapping[int, float | None]
"""A day's figure by the scaled Unix seconds of its beginning."""


class Alert(TypedDict):
    tier: str  # "P1", "P2" or "P3"
    rule: str
    features: list[str]
    evidence: float  # 1 is the alarm line
    opened: str  # scaled time, ISO 8601
    resolved: str | None
    period: str  # the phase during which it opened


class Quality(TypedDict):
    period: str
    estimated: float | None
    realised: float | None


class Summary(TypedDict):
    requests: int  # sent by the replay
    captured: int
    dropped: dict[str, int]  # by reason
    alerts: list[Alert]  # in the order they opened
    label_coverage: float  # labelled predictions over requests
    quality: list[Quality]  # accuracy


def summarise(
    requests: int,
    counters: CountersView,
    incidents: Sequence[IncidentView],
    quality: Sequence[Quality],
    labelled: int,
    calendar: Calendar,
    periods: Sequence[Period],
) -> Summary:
    return {
        "requests": requests,
        "captured": counters["captured"],
        "dropped": {reason: count for reason, count in counters["dropped"].items() if count},
        "alerts": [
            alert(incident, calendar, periods) for incident in sorted(incidents, key=lambda item: item["opened_ms"])
        ],
        "label_coverage": round(labelled / requests, 6) if requests else 0.0,
        "quality": list(quality),
    }


def alert(incident: IncidentView, calendar: Calendar, periods: Sequence[Period]) -> Alert:
    resolved = incident["resolved_ms"]
    return {
        "tier": f"P{incident['tier']}",
        "rule": incident["rule"],
        "features": list(incident["features"]),
        "evidence": round(incident["evidence"], 3),
        "opened": utc(incident["opened_ms"] / 1000).isoformat(),
        "resolved": None if resolved is None else utc(resolved / 1000).isoformat(),
        "period": period_of(incident["opened_ms"] / 1000, calendar, periods),
    }


def period_quality(
    calendar: Calendar, periods: Sequence[Period], labelled: Daily, realised: Daily, estimated: Daily
) -> list[Quality]:
    """Accuracy of each period from its days' figures, weighted by the labelled predictions of each day.

    A day's accuracy times its labelled predictions is the number of right ones, a whole number but for rounding; so
    the period's accuracy is exact, not an average of averages.
    """
    result: list[Quality] = []
    for period in periods:
        days = [calendar.midnight(day) for day in range(period.first_day, period.end_day)]
        counts = {day: round(labelled.get(day) or 0) for day in days}
        result.append(
            {
                "period": period.name,
                "estimated": _pooled(counts, estimated, whole=False),
                "realised": _pooled(counts, realised, whole=True),
            }
        )
    return result


def _pooled(counts: Mapping[int, int], ratios: Daily, *, whole: bool) -> float | None:
    """Pooled ratio over the days that have one; None where no day has."""
    right, rows = 0.0, 0
    for day, count in counts.items():
        ratio = ratios.get(day)
        if ratio is not None and count:
            right += round(ratio * count) if whole else ratio * count
            rows += count
    return right / rows if rows else None


def labelled_total(calendar: Calendar, labelled: Daily) -> int:
    """Labelled predictions since day 0."""
    return sum(round(count or 0) for day, count in labelled.items() if day >= calendar.start)
