"""Answers to ``query``: JSON bytes in the shapes of ``view.py``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import orjson

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.errors import MlmonError
from mlmon_sidecar.hub.model_view import incident_view, model_view
from mlmon_sidecar.hub.outcome_view import daily_outcomes
from mlmon_sidecar.hub.view import CountersView, HubView, IncidentsView, RecorderView, SeriesView, StatusView
from mlmon_sidecar.outcomes.metric import METRICS
from mlmon_sidecar.outcomes.tolerance import WITHIN_TOLERANCE

if TYPE_CHECKING:
    from mlmon_sidecar.hub.hub import Hub

DAY_MS = 86_400_000
FINE_MINUTES = 12 * 60  # a longer curve is drawn by the hour
MAX_POINTS = 8 * 24 * 60  # a week of minutes and some; the newest ones
LATEST_MS = 1 << 53  # later is no time, and no store's integer
SUMMED = frozenset({"requests", "errors"})
PER_MINUTE = frozenset({"requests", "errors", "p95_ms"})
GONE_MS = 600_000  # a recorder silent for longer was killed: what it lost is counted, and nobody waits for it
DAILY = frozenset({*METRICS, WITHIN_TOLERANCE, "coverage", "labelled"})
PRIVACY = "payload content exported: none"


def answer(hub: Hub, path: str, params: Mapping[str, str]) -> bytes:
    """``series`` or ``incidents``. Raises ``MlmonError``: ``unknown_query`` for anything else, ``bad_query`` for their
    parameters."""
    handler = _ANSWERS.get(path)
    if handler is None:
        raise MlmonError(
            f"there is no query {path!r}", code="unknown_query", hint=f"Known: status, {', '.join(_ANSWERS)}."
        )
    return orjson.dumps(handler(hub, params), option=orjson.OPT_SERIALIZE_NUMPY)


def status(hub: Hub) -> StatusView:
    """The whole picture. Evaluations must stand still meanwhile."""
    now = hub.clock.unix_ns()
    return {
        "generated_at_ms": now // 1_000_000,
        "clock_scale": hub.options.clock_scale,
        "hub": hub_view(hub),
        "models": [
            model_view(
                evaluator,
                hub.store,
                now,
                hub.troubles.sentence(name),
                None if hub.learning is None else hub.learning.reason(name),
                hub.pulls.get(name),
            )
            for name, evaluator in ((each.plan.name, each) for each in hub.evaluators())
        ],
        "incidents": incidents(hub, {})["incidents"],
        "counters": counters(hub),
        "export": hub.export_outcome(),  # type: ignore[typeddict-item]  # Assembled by the runtime in this shape.
        "privacy": PRIVACY,
    }


def incidents(hub: Hub, params: Mapping[str, str]) -> IncidentsView:
    return {"incidents": [incident_view(incident) for incident in hub.store.incidents(params.get("model"))]}


def series(hub: Hub, params: Mapping[str, str]) -> SeriesView:
    """One curve since ``since`` (Unix ms). Per-minute curves longer than half a day are drawn by the hour."""
    model, name, label, since = _series_parameters(params)
    if name in DAILY:
        first, last = since // 1440, hub.clock.unix_ns() // 1_000_000 // DAY_MS + 1
        days = daily_outcomes(hub.store, model, name, first, last, hub.outcome_metric(model, name))
        return {"name": name, "label": label, "t": [day * DAY_MS for day, _ in days], "v": [v for _, v in days]}
    points = [(p.at_minute, p.value) for p in hub.store.series(model, name, label, since, MAX_POINTS)]
    if name in SUMMED and points:
        points = _every_minute(points, hub.sealed_through(model))
    if name in PER_MINUTE and points and points[-1][0] - points[0][0] > FINE_MINUTES:
        points = _hourly(points)
    return {"name": name, "label": label, "t": [minute * 60_000 for minute, _ in points], "v": [v for _, v in points]}


def _series_parameters(params: Mapping[str, str]) -> tuple[str, str, str, int]:
    """Model, name, label, and since which Unix minute."""
    try:
        since = min(int(params.get("since", "0")), LATEST_MS)
        return params["model"], params["name"], params.get("label", ""), since // 60_000
    except (KeyError, ValueError) as error:
        raise MlmonError(
            "a series query lacks a parameter, or has a wrong one",
            code="bad_query",
            hint="It needs model and name, and since in Unix milliseconds as digits.",
        ) from error


def _every_minute(points: list[tuple[int, float]], through: int) -> list[tuple[int, float]]:
    """A minute without a point is one in which nothing happened: a line drawn across it would say otherwise."""
    known = dict(points)
    first, last = points[0][0], max(points[-1][0], through)
    return [(minute, known.get(minute, 0.0)) for minute in range(max(first, last - MAX_POINTS), last + 1)]


def _hourly(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """By the hour, still per minute: the mean over the minutes there are. The hour that goes on has fewer of them."""
    hours: dict[int, list[float]] = {}
    for minute, value in points:
        hours.setdefault(minute // 60, []).append(value)
    return [(hour * 60, sum(values) / len(values)) for hour, values in sorted(hours.items())]


def hub_view(hub: Hub) -> HubView:
    recorders: list[RecorderView] = []
    for row in hub.store.recorders():
        if row.closed or hub.recorders.ms_ago(row.recorder_id) > GONE_MS:
            continue
        host, _, pid = row.origin.rpartition(":")
        recorders.append(
            {
                "id": row.recorder_id,
                "pid": int(pid) if pid.isdigit() else 0,
                "host": host,
                "last_seq": row.last_seq,
                "lost": row.lost,
                "seen_ms_ago": hub.recorders.ms_ago(row.recorder_id),
            }
        )
    return {
        "role": hub.options.role,
        "pid": os.getpid(),
        "store": hub.options.store_name,
        "schema": hub.store.schema_version,
        "problem": hub.troubles.sentence(""),
        "recorders": recorders,
    }


def counters(hub: Hub) -> CountersView:
    """``captured + dropped == requests``, but for what is still in a recorder's queue."""
    counts = hub.store.counters()
    dropped = {
        name.removeprefix(names.DROPPED_PREFIX): count
        for name, count in counts.items()
        if name.startswith(names.DROPPED_PREFIX)
    }
    return {
        "requests": counts.get(names.ACCEPTED, 0),
        "captured": counts.get(names.DECODED, 0),
        "dropped": dropped,
        "rows": counts.get(names.ROWS, 0),
        "stored": hub.store.stored_rows(),
    }


def baselines(hub: Hub, params: Mapping[str, str]) -> dict[str, object]:
    """What the store holds, newest first, and what counts: by model, its id and its first Unix minute."""
    return {
        "baselines": [held._asdict() for held in hub.baselines.listed(params.get("model"))],
        "active": {name: [held.baseline, held.from_minute] for name, held in hub.baselines.active.items()},
    }


def baseline(hub: Hub, params: Mapping[str, str]) -> dict[str, str]:
    return {"document": hub.baselines.document(params.get("model", ""), params.get("baseline", ""))}


_ANSWERS: Mapping[str, Callable[[Hub, Mapping[str, str]], object]] = {
    "baseline": baseline,
    "baselines": baselines,
    "incidents": incidents,
    "series": series,
}
