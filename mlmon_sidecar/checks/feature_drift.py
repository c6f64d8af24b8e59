"""The distribution of a feature has left its tolerance. P3; P2 when more than three groups of features do within a day.

A group is what says the same in the reference (``Reference.groups``): a length in metres and in feet is one thing that
moves. Groups of little importance stay P3 however many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.context import CheckContext, closed_names, smallest_seen
from mlmon_sidecar.checks.wording import by_segment, change, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.figures import FeatureFigures, feature_figures
from mlmon_sidecar.statistics.indicators import FEATURES, feature_weights
from mlmon_sidecar.statistics.layout import NumericFeature
from mlmon_sidecar.statistics.mix import Split, split_change

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.edetector import Alarm
    from mlmon_sidecar.statistics.onset_shape import Shape

MANY_GROUPS = 3  # more than this many within a day are more urgent,
MUCH_WEIGHT = 0.05  # if their features have this part of all importance

SHAPE = "shape"
_SHAPE_WORDS = {"step": "in one step", "ramp": "gradually"}


class FeatureDrift:
    """One finding names every feature that crossed in this minute."""

    name = "feature_drift"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        return context.distributions_unready()

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if self.ready(context) or context.step is None:
            return []
        return [self._finding(context, alarm) for alarm in context.step.alarms if alarm.stream == FEATURES]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Features back within their tolerance."""
        return closed_names(context.step, FEATURES)

    def _finding(self, context: CheckContext, alarm: Alarm) -> Finding:
        open_now = context.open_features | set(alarm.units)
        figures = [compared(context, name) for name in alarm.units]
        splits = [_splits(context, name) for name in alarm.units]
        clauses = [
            (change(*pair) if pair else f"{name} changed") + by_segment(split) + _company(context, name, alarm.units)
            for name, pair, split in zip(alarm.units, figures, splits, strict=True)
        ]
        groups = sorted({_group(context, name) for name in open_now})
        distances = [pair[1].distance for pair in figures if pair and pair[1].distance is not None]
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=_tier(context, groups, open_now),
            minute=context.minute,
            summary=with_shape(together(clauses), context.shapes),
            evidence=max(alarm.evidence),
            features=alarm.units,
            value=max(distances, default=None),
            rows=max((pair[1].rows for pair in figures if pair), default=0),
            details={
                "features": _details(context, alarm, figures, splits),
                "open_features": sorted(open_now),
                "groups": [list(group) for group in groups],
            },
        )


def with_shape(summary: str, shapes: Mapping[str, Shape]) -> str:
    """The clauses of these features, each with the shape of its change."""
    clauses = summary.split("; ")
    for name, shape in shapes.items():
        words = ", " + _SHAPE_WORDS[shape.kind]
        clauses = [c + words if c.startswith(f"{name} ") and not c.endswith(words) else c for c in clauses]
    return "; ".join(clauses)


def told_shape(shape: Shape) -> dict[str, Any]:
    """Its kind, when it began, and by how many nats it is likelier than the other kind."""
    return {SHAPE: shape.kind, "shape_nats": round(shape.nats, 2), "shape_from_minute": shape.since_hour * 60}


def _group(context: CheckContext, name: str) -> tuple[str, ...]:
    return (name,) if context.reference is None else context.reference.group_of(name)


def _tier(context: CheckContext, groups: Sequence[tuple[str, ...]], moved: Iterable[str]) -> Tier:
    if context.reference is None or len(groups) <= MANY_GROUPS:
        return Tier.P3
    weights = feature_weights(context.layout, context.reference)
    return Tier.P2 if sum(weights.get(name, 0.0) for name in moved) >= MUCH_WEIGHT else Tier.P3


def _company(context: CheckContext, name: str, units: Sequence[str]) -> str:
    """Which stronger feature of its group has said it already."""
    group = _group(context, name)
    first = next(unit for unit in units if unit in group)
    return "" if first == name else f", as {first} did: they say the same"


def compared(context: CheckContext, name: str) -> tuple[FeatureFigures, FeatureFigures] | None:
    """Figures of the reference and of the present window; None where there is neither."""
    window = context.window(context.layout.traffic.rows)
    if context.reference is None or window is None:
        return None
    before = context.reference.vector
    return (
        feature_figures(context.layout, name, before, before),
        feature_figures(context.layout, name, before, window.vector),
    )


def _details(
    context: CheckContext,
    alarm: Alarm,
    figures: list[tuple[FeatureFigures, FeatureFigures] | None],
    splits: list[list[Split]],
) -> dict[str, dict[str, Any]]:
    """All that is needed to draw it: both distributions, evidence, onset, and how small a shift could be seen."""
    told: dict[str, dict[str, Any]] = {}
    for name, evidence, onset, pair in zip(alarm.units, alarm.evidence, alarm.onset, figures, strict=True):
        told[name] = {"evidence": evidence, "onset_minute": onset}
        if name in context.shapes:
            told[name] |= told_shape(context.shapes[name])
        told[name] |= smallest_seen(context, FEATURES, name)
        if pair:
            told[name] |= {"reference": asdict(pair[0]), "current": asdict(pair[1])}
            told[name] |= _drawn(context, name)
    for name, split in zip(alarm.units, splits, strict=True):
        if split:
            told[name]["segments"] = {each.dimension: asdict(each) for each in split}
    return told


def _splits(context: CheckContext, name: str) -> list[Split]:
    """The change by each dimension: another mix of segments, or change within them."""
    window = context.window(context.layout.traffic.rows)
    if context.reference is None or window is None:
        return []
    return split_change(context.layout, name, context.reference.vector, window.vector)


def _drawn(context: CheckContext, name: str) -> dict[str, Any]:
    """Counts of both sides in the layout's bins, and the edges of a numeric feature's."""
    window = context.window(context.layout.traffic.rows)
    assert context.reference is not None
    assert window is not None
    feature, bins = context.layout.feature(name), context.layout.cells[name].bins
    edges = {"edges": list(feature.edges)} if isinstance(feature, NumericFeature) else {}
    return edges | {
        "reference_bins": context.reference.vector[bins].tolist(),
        "current_bins": window.vector[bins].tolist(),
        "window_minutes": [window.start_minute, window.end_minute],
    }
