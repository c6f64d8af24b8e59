"""Steps and ramps of features that drift: told with the alarm where they are clear by then, else when they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.feature_drift import SHAPE, told_shape, with_shape
from mlmon_sidecar.statistics.indicators import FEATURES, key_of, slack_of
from mlmon_sidecar.statistics.onset_shape import Shape, hourly_effects, shape_of

if TYPE_CHECKING:
    from mlmon_sidecar.alerts.incidents import IncidentBook, Transition
    from mlmon_sidecar.hub.windows import Windows
    from mlmon_sidecar.statistics.indicator_set import IndicatorSet
    from mlmon_sidecar.statistics.reference import Reference

RULE = "feature_drift"
LOOKED_MINUTES = 7 * 24 * 60  # after the opening; what is not clear by then stays without a shape


def shapes(
    indicators: IndicatorSet, reference: Reference, windows: Windows, onsets: Iterable[tuple[str, int]]
) -> dict[str, Shape]:
    """Of features, by name, with the last minute without evidence; those that are clear."""
    found: dict[str, Shape] = {}
    for name, onset in onsets:
        unit = indicators.index.get((FEATURES, name))
        if unit is None:
            continue
        tau = slack_of(reference, key_of(FEATURES, name)).tau
        shape = shape_of(*hourly_effects(indicators, unit, tau, windows.by_hour, onset))
        if shape is not None:
            found[name] = shape
    return found


def look_again(
    book: IncidentBook, indicators: IndicatorSet, reference: Reference, windows: Windows, minute: int
) -> list[Transition]:
    """Open incidents with features whose shape has become clear."""
    moves = []
    for incident in book.open:
        told: Mapping[str, Mapping[str, Any]] = incident.details.get("features", {})
        if incident.rule != RULE or minute - incident.opened_minute > LOOKED_MINUTES:
            continue
        unclear = [(name, said["onset_minute"]) for name, said in told.items() if SHAPE not in said]
        clear = shapes(indicators, reference, windows, unclear)
        if clear:
            features = {**told, **{name: {**told[name], **told_shape(shape)} for name, shape in clear.items()}}
            moves.append(book.explain(incident, with_shape(incident.summary, clear), {"features": features}, minute))
    return moves
