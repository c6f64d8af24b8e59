"""Incidents as people and log pipelines read them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

from mlmon_sidecar.records import MINUTE_NS, Event, HeldBaseline, Incident, LabelledCompletion, Severity, Tier


def sentence(incident: Incident, transition: str) -> str:
    """``P1 opened: fraud collapse: predictions are identical since 14:32 (evidence 1.8)``."""
    return (
        f"mlmon: P{int(incident.tier)} {transition}: {incident.model}: {incident.summary} "
        f"[{incident.rule}, evidence {incident.evidence:.2f}]"
    )


def log_level(incident: Incident, transition: str) -> int:
    if transition == "resolved":
        return logging.INFO
    return logging.ERROR if incident.tier is Tier.P1 else logging.WARNING


def alert_event(incident: Incident, transition: str, minute: int) -> Event:
    """The ``mlmon.alert`` log record; ``mlmon.alert.key`` is the dedup key."""
    resolved = transition == "resolved"
    urgent = Severity.ERROR if incident.tier is Tier.P1 else Severity.WARN
    return Event(
        name="mlmon.alert",
        body=incident.summary,
        at_ns=minute * MINUTE_NS,
        severity=Severity.INFO if resolved else urgent,
        attributes=(
            ("mlmon.model.name", incident.model),
            ("mlmon.alert.rule", incident.rule),
            ("mlmon.alert.layer", incident.layer.value),
            ("mlmon.alert.tier", f"P{int(incident.tier)}"),
            ("mlmon.alert.transition", transition),
            ("mlmon.alert.key", incident.key),
            ("mlmon.alert.evidence", incident.evidence),
            ("mlmon.alert.features", ",".join(incident.features)),
            ("mlmon.alert.onset", incident.opened_minute * 60),
        ),
    )


def baseline_event(held: HeldBaseline, at_ns: int) -> Event:
    """The ``mlmon.baseline`` log record: one was proposed, counts from a minute on, or was rejected."""
    return Event(
        name="mlmon.baseline",
        body=f"baseline {held.baseline} of {held.model}, {held.rows} rows of {held.source or 'a file'}: {held.state}",
        at_ns=at_ns,
        attributes=(
            ("mlmon.model.name", held.model),
            ("mlmon.baseline.id", held.baseline),
            ("mlmon.baseline.state", held.state.value),
            ("mlmon.baseline.origin", held.origin),
            ("mlmon.baseline.rows", held.rows),
        ),
    )


def label_events(labelled: LabelledCompletion) -> Iterator[Event]:
    """What is told of a label that joined its prediction."""
    if labelled.response_id:
        yield _evaluation(labelled)
    if labelled.prediction_id and labelled.trace_id:
        yield _outcome(labelled)


def _outcome(labelled: LabelledCompletion) -> Event:
    """The ``mlmon.outcome`` log record: in the trace of the prediction, however long ago that was."""
    predicted = () if labelled.predicted is None else (("mlmon.class", labelled.predicted),)
    said = "" if labelled.predicted is None else f"predicted {labelled.predicted}, "
    return Event(
        name="mlmon.outcome",
        body=f"{labelled.model} {labelled.version}: {said}was {labelled.label}",
        at_ns=labelled.observed_ns,
        attributes=(
            ("mlmon.model.name", labelled.model),
            ("mlmon.model.version", labelled.version),
            ("mlmon.prediction.id", labelled.prediction_id),
            *predicted,
            ("mlmon.outcome.label", labelled.label),
            ("mlmon.outcome.source", labelled.source),
        ),
        trace_id=int(labelled.trace_id, 16),
        span_id=int(labelled.span_id or "0", 16),
    )


def _evaluation(completion: LabelledCompletion) -> Event:
    """The ``gen_ai.evaluation.result`` log record, under the answer's own trace.

    https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/
    """
    score = _number(completion.label)
    said: tuple[str, str | float] = (
        ("gen_ai.evaluation.score.label", completion.label)
        if score is None
        else ("gen_ai.evaluation.score.value", score)
    )
    name = completion.source or "feedback"
    return Event(
        name="gen_ai.evaluation.result",
        body=f"{name} of {completion.response_id}: {completion.label}",
        at_ns=completion.observed_ns,
        attributes=(
            ("gen_ai.evaluation.name", name),
            said,
            ("gen_ai.response.id", completion.response_id),
            ("mlmon.model.name", completion.model),
            ("mlmon.model.version", completion.version),
        ),
        trace_id=int(completion.trace_id or "0", 16),
        span_id=int(completion.span_id or "0", 16),
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def transition_attributes(incident: Incident, transition: str) -> tuple[tuple[str, str], ...]:
    """Of the counter of transitions."""
    return (
        ("mlmon.model.name", incident.model),
        ("mlmon.alert.rule", incident.rule),
        ("mlmon.alert.layer", incident.layer.value),
        ("mlmon.alert.transition", transition),
    )
