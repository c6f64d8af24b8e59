"""A replay as one JSON-able document: its alerts are those of the demo's summary, with why beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any, TypedDict

from mlmon_sidecar.alerts.incidents import WAITING
from mlmon_sidecar.backtest.known import Detection, detections
from mlmon_sidecar.records import Tier

if TYPE_CHECKING:
    from mlmon_sidecar.backtest.known import KnownIncident
    from mlmon_sidecar.backtest.replay import Alert, Replayed

MINUTE_SECONDS = 60


class AlertView(TypedDict):
    tier: str  # "P1", "P2" or "P3"
    rule: str
    features: list[str]
    evidence: float  # 1 is the alarm line
    opened: str  # ISO 8601; the minute, or the last one of the hour, whose rows told
    resolved: str | None
    summary: str
    onset: str | None  # the last minute at which there was no evidence, of the feature where it began first
    moves: list[dict[str, Any]]  # {"at", "kind", "features"}: opened, widened, raised, resolved
    details: Mapping[str, Any]


class KnownView(TypedDict):
    name: str
    onset: str
    features: list[str]
    delay_hours: float | None  # None: no alert told of it
    rows: int | None  # from the onset to the alert
    alert: int | None  # its place in ``alerts``


class BudgetView(TypedDict):
    false_alarm_days: float
    alerts: int
    tiers: dict[str, int]
    found: int | None  # known incidents; None where none are known
    median_delay_hours: float | None
    unmatched: int | None  # alerts about no known incident


class Report(TypedDict):
    model: str
    rows: int
    start: str | None
    end: str | None
    false_alarm_days: float
    skipped: dict[str, int]  # lines, times, labels that could not be used
    notes: list[str]
    alerts: list[AlertView]
    known: list[KnownView]
    unmatched: list[int]  # places in ``alerts``; empty where no incidents are known
    sweep: list[BudgetView]


@dataclass(frozen=True, slots=True)
class Said:
    """What is reported beside the replay itself."""

    model: str
    budgets: Sequence[float]  # one a plan of the replay, the plan's own first
    skipped: Mapping[str, int]
    notes: Sequence[str]


def report(replayed: Replayed, known: Sequence[KnownIncident], said: Said) -> Report:
    alerts = replayed.alerts[0]
    places = {alert.incident.key: at for at, alert in enumerate(alerts)}
    found, unmatched = detections(known, alerts, replayed.timeline)
    ends = replayed.timeline.end
    return {
        "model": said.model,
        "rows": replayed.timeline.total,
        "start": iso(replayed.timeline.start) if len(ends) else None,
        "end": iso(int(ends[-1]) + 1) if len(ends) else None,
        "false_alarm_days": said.budgets[0],
        "skipped": {reason: count for reason, count in said.skipped.items() if count},
        "notes": list(said.notes),
        "alerts": [alert_view(alert) for alert in alerts],
        "known": [_known_view(item, places) for item in found],
        "unmatched": [places[alert.incident.key] for alert in unmatched] if known else [],
        "sweep": [
            _budget_view(days, of_budget, known, replayed)
            for days, of_budget in sorted(zip(said.budgets, replayed.alerts, strict=True), key=lambda pair: pair[0])
        ]
        if len(said.budgets) > 1
        else [],
    }


def alert_view(alert: Alert) -> AlertView:
    incident = alert.incident
    onset = _onset(incident.details)
    return {
        "tier": f"P{int(incident.tier)}",
        "rule": incident.rule,
        "features": list(incident.features),
        "evidence": round(incident.evidence, 3),
        "opened": iso(incident.opened_minute),
        "resolved": None if incident.resolved_minute is None else iso(incident.resolved_minute),
        "summary": incident.summary,
        "onset": None if onset is None else iso(onset),
        "moves": [
            {"at": iso(move.minute), "kind": move.kind, "features": list(move.incident.features)}
            for move in alert.moves
            if move.kind
        ],
        "details": {name: value for name, value in incident.details.items() if name != WAITING},
    }


def iso(minute: int) -> str:
    """A Unix minute as ISO 8601, UTC."""
    return datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC).isoformat()


def _onset(details: Mapping[str, Any]) -> int | None:
    """Checks tell it for the whole incident, or for each unit of it."""
    units = (unit for part in details.values() if isinstance(part, Mapping) for unit in part.values())
    told = [details, *(unit for unit in units if isinstance(unit, Mapping))]
    minutes = [item["onset_minute"] for item in told if item.get("onset_minute", -1) >= 0]
    return min(minutes, default=None)


def _known_view(item: Detection, places: Mapping[str, int]) -> KnownView:
    delay = item.delay_hours
    return {
        "name": item.known.name,
        "onset": datetime.fromtimestamp(item.known.onset_ns / 1e9, UTC).isoformat(),
        "features": sorted(item.known.features),
        "delay_hours": None if delay is None else round(delay, 3),
        "rows": None if item.alert is None else item.rows,
        "alert": None if item.alert is None else places[item.alert.incident.key],
    }


def _budget_view(
    days: float, alerts: Sequence[Alert], known: Sequence[KnownIncident], replayed: Replayed
) -> BudgetView:
    found, unmatched = detections(known, alerts, replayed.timeline)
    delays = [delay for item in found if (delay := item.delay_hours) is not None]
    tiers = Counter(alert.incident.tier for alert in alerts)
    return {
        "false_alarm_days": days,
        "alerts": len(alerts),
        "tiers": {f"P{int(tier)}": tiers[tier] for tier in Tier},
        "found": len(delays) if known else None,
        "median_delay_hours": round(median(delays), 3) if delays else None,
        "unmatched": len(unmatched) if known else None,
    }
