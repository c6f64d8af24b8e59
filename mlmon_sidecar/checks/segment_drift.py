"""A part of the traffic has changed while the whole has not, or the parts have other shares than they had. P3.

A segment whose column drifts in the whole traffic is not told beside it: there the finding on the column says how much
of the change lies within segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.checks.context import CheckContext, HeldSegment, closed_names
from mlmon_sidecar.checks.wording import percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import MIX, SEGMENT_NULLS, SEGMENT_PREDICTIONS
from mlmon_sidecar.statistics.mix import share_words
from mlmon_sidecar.statistics.segment_indicators import WHOLE

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.edetector import Alarm


class SegmentDrift:
    """Names are ``country=DE: income``, and a dimension's own where its mix has changed."""

    name = "segment_drift"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        return context.distributions_unready() or (
            "" if context.layout.segments.dimensions else "no segments in the baseline"
        )

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if self.ready(context) or context.step is None:
            return []
        mixes = [self._mix(context, alarm) for alarm in context.step.alarms if alarm.stream == MIX]
        new = self._untold(context)
        return [*mixes, self._finding(context, new)] if new else mixes

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Units back within their tolerance."""
        closed = () if context.segments is None else context.segments.closed
        return (*closed_names(context.step, MIX), *closed)

    @staticmethod
    def _untold(context: CheckContext) -> list[HeldSegment]:
        """Held, in no open incident, and not a part of what the whole traffic does; the strongest first."""
        if context.segments is None or context.step is None:
            return []
        whole = set(context.step.held)
        held = [
            each
            for (stream, _), each in context.segments.held.items()
            if each.unit.name not in context.segments.told and (WHOLE[stream], each.unit.column) not in whole
        ]
        return sorted(held, key=lambda each: (-each.evidence, each.unit.name))

    def _finding(self, context: CheckContext, held: Sequence[HeldSegment]) -> Finding:
        told = {each.unit.name: _told(context, each) for each in held}
        moved = [abs(item["current"] - item["reference"]) for item in told.values() if "current" in item]
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=Tier.P3,
            minute=context.minute,
            summary=together([item.pop("clause") for item in told.values()]),
            evidence=max(each.evidence for each in held),
            features=tuple(told),
            value=max(moved, default=None),
            rows=max(int(item["rows"]) for item in told.values()),
            details={"segments": told},
        )

    def _mix(self, context: CheckContext, alarm: Alarm) -> Finding:
        told = {name: _told_mix(context, name) for name in alarm.units}
        for onset, item in zip(alarm.onset, told.values(), strict=True):
            item["onset_minute"] = onset
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=Tier.P3,
            minute=context.minute,
            summary=together([item.pop("clause") for item in told.values()]),
            evidence=max(alarm.evidence),
            features=alarm.units,
            rows=max(int(item["rows"]) for item in told.values()),
            details={"mix": told},
        )


def _told(context: CheckContext, held: HeldSegment) -> dict[str, Any]:
    """What moved in one segment, in words and numbers."""
    unit, block = held.unit, held.unit.block
    told: dict[str, Any] = {
        "clause": f"{unit.name} changed", "dimension": block.dimension, "value": block.value, "feature": unit.column,
        "evidence": held.evidence, "onset_minute": held.onset, "rows": 0,
    }  # fmt: skip
    window = context.window(block.start)
    if window is None or context.reference is None:
        return told
    found = _moved(context, held, window.vector)
    told["rows"] = int(window.vector[block.start])
    if found is not None:
        share, old, new = found
        told |= {"share": share, "reference": old, "current": new}
        told["clause"] = f"in {unit.segment} {share} went from {percent(old)} to {percent(new)}"
    return told


def _moved(context: CheckContext, held: HeldSegment, after: Any) -> tuple[str, float, float] | None:
    """The share that moved most, as (words, before, after)."""
    assert context.reference is not None
    unit, layout, before = held.unit, context.layout, context.reference.vector
    cells, block = layout.segment_cells, held.unit.block
    if unit.stream == SEGMENT_NULLS:
        whole = layout.cells[unit.column]
        gone = [cells.cell(block, cell + 1) for cell in (whole.null, whole.invalid)]
        old, new = (float(v[gone].sum() / max(1, int(v[block.start + 1]))) for v in (before, after))
        return f"missing {unit.column}", old, new
    if unit.stream == SEGMENT_PREDICTIONS:
        source = layout.outputs.score_alarm if unit.column == "score" else layout.outputs.class_weight
        span = cells.span(block, source)
        return _outputs(context, unit.column, before[span], after[span])
    span = cells.span(block, layout.cells[unit.column].alarm)
    found = share_words(layout, unit.column, before[span], after[span])
    return found and (f"{unit.column} {found[0]}", found[1], found[2])


def _outputs(context: CheckContext, column: str, before: Any, after: Any) -> tuple[str, float, float] | None:
    if not before.any() or not after.any():
        return None
    space = context.layout.prediction
    old, new = before / before.sum(), after / after.sum()
    if column == "score":
        old, new = np.cumsum(old)[:-1], np.cumsum(new)[:-1]
        names = [f"score <= {space.score_edges[at]:g}" for at in space.score_alarm]
    else:
        names = [*(f"class {name!r}" for name in space.classes), "any other class"]
    at = int(np.abs(new - old).argmax())
    return names[at], float(old[at]), float(new[at])


def _told_mix(context: CheckContext, name: str) -> dict[str, Any]:
    total, blocks = context.layout.traffic.rows + 1, context.layout.segment_cells.of(name)
    window = context.window(total - 1)
    if window is None or context.reference is None:
        return {"clause": f"the mix of {name} changed", "rows": 0}
    sides = context.reference.vector, window.vector
    shares = {b.value: tuple(int(v[b.start + 1]) / max(1, int(v[total])) for v in sides) for b in blocks}
    most = max(shares, key=lambda value: abs(shares[value][1] - shares[value][0]))
    old, new = shares[most]
    return {
        "clause": f"{name}={most} went from {percent(old)} to {percent(new)} of the traffic",
        "shares": {value: list(pair) for value, pair in shares.items()},
        "rows": int(window.vector[total - 1]),
    }
