"""The segments of one model as the status API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlmon_sidecar.hub.view import SegmentView

if TYPE_CHECKING:
    from mlmon_sidecar.hub.evaluator import ModelEvaluator
    from mlmon_sidecar.records import IntVector, Window
    from mlmon_sidecar.statistics.segments import Block


def segment_views(evaluator: ModelEvaluator, window: Window) -> list[SegmentView]:
    """One for each segment, in the layout's order."""
    watch, reference = evaluator.segments, evaluator.plan.reference
    if watch is None or reference is None:
        return []
    evidence: dict[Block, float] = {}
    held: dict[Block, list[str]] = {}
    for unit, value, is_held in watch.figures():
        evidence[unit.block] = max(value, evidence.get(unit.block, 0.0))
        if is_held:
            held.setdefault(unit.block, []).append(unit.name)
    total = evaluator.plan.layout.traffic.rows + 1

    def share(vector: IntVector, block: Block) -> float | None:
        return int(vector[block.start + 1]) / int(vector[total]) if vector[total] else None

    return [
        {
            "dimension": block.dimension,
            "value": block.value,
            "rows": int(window.vector[block.start]),
            "share": share(window.vector, block),
            "reference_share": share(reference.vector, block),
            "evidence": evidence.get(block),
            "held": held.get(block, []),
            "reason": "" if block in evidence else "the baseline has no rows of it",
        }
        for block in evaluator.plan.layout.segment_cells.blocks
    ]
