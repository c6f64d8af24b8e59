"""The model has become unsure: (confidence - 1/K) lies more than 15% below the reference's (P2), or half of that (P3).

The smaller drop is the detector's boundary; an alarm needs its evidence and the point estimate past the tier. While
the detector holds the unit the finding is repeated: a confidence that declines day by day is in the report first, and
urgent once it has reached the tier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlmon_sidecar.checks.context import CheckContext, closed_names, is_held, smallest_seen
from mlmon_sidecar.checks.wording import percent
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import CONFIDENCE, CONFIDENCE_SHRINK

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.layout import Layout

DROP = 0.15
UNIT = "confidence"


class ConfidenceDrop:
    name = "confidence_drop"
    layer = Layer.PREDICTION

    def ready(self, context: CheckContext) -> str:
        unready = context.distributions_unready()
        if unready or context.reference is None:
            return unready
        return "" if mean_confidence(context.layout, context.reference.vector) else "no confidences in the baseline"

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if context.reference is None or context.step is None or not is_held(context.step, CONFIDENCE, UNIT):
            return []
        window = context.window(context.layout.outputs.rows)
        if self.ready(context) or window is None:
            return []
        before = mean_confidence(context.layout, context.reference.vector)
        after = mean_confidence(context.layout, window.vector)
        chance = 1 / max(2, len(context.layout.prediction.classes))
        if before is None or after is None or before <= chance:
            return []
        drop = (before - after) / (before - chance)
        if drop <= CONFIDENCE_SHRINK:
            return []
        tier, threshold = (Tier.P2, DROP) if drop > DROP else (Tier.P3, CONFIDENCE_SHRINK)
        fall = f"mean confidence fell from {before:.2f} to {after:.2f}"
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=tier,
                minute=context.minute,
                summary=f"{fall}, {percent(drop)} of what lies above chance",
                evidence=context.step.evidence[(CONFIDENCE, UNIT)],
                features=(UNIT,),
                value=drop,
                threshold=threshold,
                rows=int(window.vector[context.layout.outputs.confidence].sum()),
                details={"reference": before, "current": after, "chance": chance}
                | smallest_seen(context, CONFIDENCE, UNIT),
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        return closed_names(context.step, CONFIDENCE)


def mean_confidence(layout: Layout, vector: IntVector) -> float | None:
    """In [0, 1]; None without confidences."""
    rows = int(vector[layout.outputs.confidence].sum())
    return int(vector[layout.outputs.confidence_ppm]) / 1e6 / rows if rows else None
