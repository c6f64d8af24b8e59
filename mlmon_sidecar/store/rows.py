"""Rows of tables that every store has, from and to what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from mlmon_sidecar.records import Incident, Layer, Pane, PaneKey, Tier
from mlmon_sidecar.statistics.samples import merge_samples

INCIDENT_COLUMNS = """key, model, rule, layer, tier, opened_minute, resolved_minute, summary, evidence, features,
    details, provisional"""


def summed_into(minute: int, panes: Iterable[Pane]) -> list[Pane]:
    """One pane a version, segment and layout. A roll-up is a sum."""
    sums: dict[PaneKey, Pane] = {}
    for pane in panes:
        key = pane.key._replace(minute=minute)
        known = sums.get(key)
        if known is None:
            sums[key] = Pane(key, pane.vector, pane.samples)
        else:
            sums[key] = Pane(key, known.vector + pane.vector, merge_samples(known.samples, pane.samples))
    return list(sums.values())


def incident_row(incident: Incident) -> tuple[Any, ...]:
    return (
        incident.key,
        incident.model,
        incident.rule,
        incident.layer,
        int(incident.tier),
        incident.opened_minute,
        incident.resolved_minute,
        incident.summary,
        incident.evidence,
        json_text(list(incident.features)),
        json_text(dict(incident.details)),
        incident.provisional,
    )


def incident_of(row: tuple[Any, ...]) -> Incident:
    return Incident(
        key=row[0],
        model=row[1],
        rule=row[2],
        layer=Layer(row[3]),
        tier=Tier(row[4]),
        opened_minute=row[5],
        resolved_minute=row[6],
        summary=row[7],
        evidence=row[8],
        features=tuple(orjson.loads(row[9])),
        details=orjson.loads(row[10]),
        provisional=bool(row[11]),
    )


def json_text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_SORT_KEYS).decode()
