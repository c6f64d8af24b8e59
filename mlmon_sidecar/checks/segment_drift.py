"""A part of the traffic has changed while the whole has not, or the parts have other shares than they had. P3.

P2 where a part is answered nearly one thing: its score or classes have moved, and a quarter or less is left of their
effective number beyond one (as ``near_collapse`` counts it). That is told again while it holds, so that a drift which
becomes a collapse is raised.

A segment whose column drifts in the whole traffic is not told beside it: there the finding on the column says how much
of the change lies within segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.checks.context import FIGURE_ROWS, CheckContext, HeldSegment, closed_names
from mlmon_sidecar.checks.near_collapse import LEFT
from mlmon_sidecar.checks.wording import percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import (
    CONFIDENCE,
    CONFIDENCE_SHRINK,
    MIX,
    SEGMENT_NULLS,
    SEGMENT_PREDICTIONS,
)
from mlmon_sidecar.statistics.layout import CONFIDENCE_ALARM, CONFIDENCE_EDGES
from mlmon_sidecar.statistics.mix import share_words

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.edetector import Alarm

Told = dict[str, Any]  # "clause", and figures by name


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
        held = self._own(context)
        collapsed = {each.unit.name: lost for each in held if (lost := _lost_variety(context, each)) is not None}
        stuck = [each for each in held if each.unit.name in collapsed]
        new = [each for each in held if each.unit.name not in collapsed and not _is_told(context, each)]
        findings = [self._finding(context, part, tier, collapsed)
                    for part, tier in ((stuck, Tier.P2), (new, Tier.P3)) if part]  # fmt: skip
        return [*mixes, *findings]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Units back within their tolerance."""
        closed = () if context.segments is None else context.segments.closed
        return (*closed_names(context.step, MIX), *closed)

    @staticmethod
    def _own(context: CheckContext) -> list[HeldSegment]:
        """Held, and not a part of what the whole traffic does; the strongest first. Confidence only where it fell."""
        if context.segments is None or context.step is None:
            return []
        whole = set(context.step.held)
        held = [
            each
            for each in context.segments.held.values()
            if each.unit.whole not in whole and (each.unit.column != CONFIDENCE or _drop(context, each) is not None)
        ]
        return sorted(held, key=lambda each: (-each.evidence, each.unit.name))

    def _finding(
        self, context: CheckContext, held: Sequence[HeldSegment], tier: Tier, collapsed: Mapping[str, Told]
    ) -> Finding:
        told = {each.unit.name: _told(context, each) | collapsed.get(each.unit.name, {}) for each in held}
        moved = [abs(item["current"] - item["reference"]) for item in told.values() if "current" in item]
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=tier,
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


def _is_told(context: CheckContext, held: HeldSegment) -> bool:
    """Whether an open incident names it."""
    return context.segments is not None and held.unit.name in context.segments.told


def _lost_variety(context: CheckContext, held: HeldSegment) -> Told | None:
    """Of a segment that is answered nearly one thing; None for any other."""
    unit, window = held.unit, context.window(held.unit.block.start)
    if unit.stream != SEGMENT_PREDICTIONS or unit.column == CONFIDENCE or window is None or context.reference is None:
        return None
    span = context.layout.segment_cells.span(unit.block, _source(context, unit.column))
    before, after = context.reference.vector[span], window.vector[span]
    if int(window.vector[unit.block.start]) < FIGURE_ROWS or not before.any() or not after.any():
        return None
    spread = _effective(before) - 1
    if spread <= 0 or _effective(after) - 1 >= LEFT * spread:
        return None
    top = int(after.argmax())
    share = float(after[top] / after.sum())
    what = "lie in one bin of the score" if unit.column == "score" else f"are {_class_names(context)[top]}"
    return {"clause": f"in {unit.segment} {percent(share)} of answers {what}", "top_share": share}


def _drop(context: CheckContext, held: HeldSegment) -> tuple[float, float] | None:
    """Mean confidence before and after where it fell by more than ``confidence_drop`` allows of the whole, else None.

    Of a segment only the detector's bins are counted: each row stands in the middle of its own.
    """
    window = context.window(held.unit.block.start)
    if window is None or context.reference is None:
        return None
    span = context.layout.segment_cells.span(held.unit.block, context.layout.outputs.confidence_alarm)
    before, after = _middle(context.reference.vector[span]), _middle(window.vector[span])
    chance = 1 / max(2, len(context.layout.prediction.classes))
    if before is None or after is None or before - after <= CONFIDENCE_SHRINK * (before - chance):
        return None
    return before, after


def _middle(counts: IntVector) -> float | None:
    edges = [0.0, *(CONFIDENCE_EDGES[at] for at in CONFIDENCE_ALARM), 1.0]
    middles = (np.array(edges[1:]) + np.array(edges[:-1])) / 2
    return float(middles @ counts / counts.sum()) if counts.any() else None


def _effective(counts: IntVector) -> float:
    """Hill's effective number of cells, ``1 / sum p^2``."""
    return float(1 / ((counts / counts.sum()) ** 2).sum())


def _source(context: CheckContext, column: str) -> slice:
    """Cells of the whole traffic that score or class are watched by."""
    outputs = context.layout.outputs
    return outputs.score_alarm if column == "score" else outputs.class_weight


def _class_names(context: CheckContext) -> list[str]:
    return [*(f"class {name!r}" for name in context.layout.prediction.classes), "any other class"]


def _told(context: CheckContext, held: HeldSegment) -> Told:
    """What moved in one segment, in words and numbers."""
    unit, block = held.unit, held.unit.block
    told: Told = {
        "clause": f"{unit.name} changed", "dimension": block.dimension, "value": block.value, "feature": unit.column,
        "evidence": held.evidence, "onset_minute": held.onset, "rows": 0,
    }  # fmt: skip
    window = context.window(block.start)
    if window is None or context.reference is None:
        return told
    fallen = _drop(context, held) if unit.column == CONFIDENCE else None
    if fallen is not None:
        old, new = fallen
        told |= {"rows": int(window.vector[block.start]), "share": "mean confidence", "reference": old, "current": new}
        return told | {"clause": f"in {unit.segment} mean confidence fell from about {old:.2f} to {new:.2f}"}
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
        span = cells.span(block, _source(context, unit.column))
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
        names = _class_names(context)
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
