"""Kept rows as log records."""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.records import Event, KeptRow


def prediction_event(row: KeptRow, generation: Sequence[tuple[str, str | int | float | bool]] = ()) -> Event:
    """One kept row as a log record: no payload beyond what the store keeps, and what a ``generation`` adds."""
    attributes: list[tuple[str, str | int | float | bool]] = [
        ("mlmon.prediction.id", row.prediction_id),
        ("mlmon.model.name", row.model),
        ("mlmon.model.version", row.version),
    ]
    for name, value in (
        ("mlmon.prediction.score", row.score),
        ("mlmon.class", row.predicted),
        ("mlmon.prediction.confidence", row.confidence),
    ):
        if value is not None:
            attributes.append((name, value))
    said = row.predicted if row.predicted is not None else row.score
    return Event(
        name="mlmon.prediction",
        body=f"{row.model} {row.version} predicted {said}",
        at_ns=row.event_ns,
        attributes=(*attributes, *generation),
        trace_id=int(row.trace_id or "0", 16),
        span_id=int(row.span_id or "0", 16),
    )
