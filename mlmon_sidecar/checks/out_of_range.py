"""A numeric feature lies beyond the reference's range far more often than one value in a thousand. P3.

The range ends at the 0.1% and 99.9% quantiles of the reference, so some healthy values lie outside; the share on
either side may grow by half, and by 0.01 at least. A feature whose whole distribution has moved is told by
``feature_drift`` alone: that it also left its range is a figure there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.context import CheckContext, closed_names, is_held, smallest_seen
from mlmon_sidecar.checks.wording import number, percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import FEATURES, RANGE
from mlmon_sidecar.statistics.layout import NumericCells, NumericFeature

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.edetector import Alarm
    from mlmon_sidecar.statistics.layout import Layout


class OutOfRange:
    """Needs no week of baseline: the ends of a range do not follow the day of the week."""

    name = "out_of_range"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        if context.reference is None or context.step is None:
            return "no baseline"
        return "" if any(True for _ in context.layout.numeric()) else "no numeric features"

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if context.step is None or context.reference is None:
            return []
        return [
            finding
            for alarm in context.step.alarms
            if alarm.stream == RANGE
            for finding in self._findings(context, alarm)
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Features whose values lie within the range again."""
        return closed_names(context.step, RANGE)

    def _findings(self, context: CheckContext, alarm: Alarm) -> list[Finding]:
        drift_told = not context.distributions_unready()
        told: dict[str, dict[str, Any]] = {}
        evidence = []
        for name, strength, onset in zip(alarm.units, alarm.evidence, alarm.onset, strict=True):
            if drift_told and is_held(context.step, FEATURES, name):
                continue
            told[name] = _details(context, name) | {"onset_minute": onset} | smallest_seen(context, RANGE, name)
            evidence.append(strength)
        if not told:
            return []
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P3,
                minute=context.minute,
                summary=together([_clause(name, details) for name, details in told.items()]),
                evidence=max(evidence),
                features=tuple(told),
                value=max(details["below"][1] + details["above"][1] for details in told.values()),
                rows=max(details["rows"] for details in told.values()),
                details={"features": told},
            )
        ]


def outside(layout: Layout, name: str, vector: IntVector) -> tuple[float, float]:
    """Shares of usable values below the minimum and above the maximum; 0 without values."""
    cells = layout.cells[name]
    assert isinstance(cells, NumericCells)
    rows = int(vector[cells.bins].sum())
    return (int(vector[cells.below]) / rows, int(vector[cells.above]) / rows) if rows else (0.0, 0.0)


def _details(context: CheckContext, name: str) -> dict[str, Any]:
    feature, cells = context.layout.feature(name), context.layout.cells[name]
    assert isinstance(feature, NumericFeature)
    window = context.window(context.layout.traffic.rows)
    before = (0.0, 0.0) if context.reference is None else outside(context.layout, name, context.reference.vector)
    after = before if window is None else outside(context.layout, name, window.vector)
    return {
        "minimum": feature.minimum,
        "maximum": feature.maximum,
        "below": (before[0], after[0]),  # reference, current
        "above": (before[1], after[1]),
        "rows": 0 if window is None else int(window.vector[cells.bins].sum()),
    }


def _clause(name: str, details: dict[str, Any]) -> str:
    side = max(("below", "above"), key=lambda one: details[one][1] - details[one][0])
    end = number(details["minimum" if side == "below" else "maximum"])
    old, new = details[side]
    return f"{name} lies {side} {end} in {percent(new)} of rows, was {percent(old)}"
