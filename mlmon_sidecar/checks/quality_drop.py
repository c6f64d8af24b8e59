"""Answers have become worse, as labels tell: 20% (P1), 10% (P2) or 5% (P3) of what lay above chance is lost.

Needs both: the detector of that tier has alarmed, and the point estimate is past the tier. Repeated while it holds.
"""

from __future__ import annotations

from mlmon_sidecar.checks.context import CheckContext, incomplete, is_held
from mlmon_sidecar.checks.wording import percent
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import QUALITY
from mlmon_sidecar.statistics.quality_detector import TIER_DROP

MIN_LABELS = 30  # fewer give no point estimate worth a tier
TIERS = {"p1": Tier.P1, "p2": Tier.P2, "p3": Tier.P3}  # most urgent first


class QualityDrop:
    name = "quality_drop"
    layer = Layer.OUTCOME

    def ready(self, context: CheckContext) -> str:
        view = context.quality
        if view is None:
            return "needs labels"
        if view.baseline <= view.chance:
            return "the baseline is no better than chance"
        return incomplete(view.dropped) if view.rows >= MIN_LABELS else f"warming up {view.rows}/{MIN_LABELS} labels"

    def evaluate(self, context: CheckContext) -> list[Finding]:
        view = context.quality
        if view is None or self.ready(context):
            return []
        lost = (view.baseline - view.value) / (view.baseline - view.chance)
        figure = view.metric if view.tolerance is None else f"share of errors within {view.tolerance:.3g}"
        fall = f"{figure} fell from {view.baseline:.3f} to {view.value:.3f} over {view.rows:,} labels"
        for unit, tier in TIERS.items():
            if lost >= TIER_DROP[unit] and is_held(view.step, QUALITY, unit):
                return [
                    Finding(
                        rule=self.name,
                        layer=self.layer,
                        tier=tier,
                        minute=context.minute,
                        summary=f"{fall}, {percent(lost)} of what lies above chance",
                        evidence=view.step.evidence[(QUALITY, unit)],
                        features=(view.metric,),
                        value=view.value,
                        threshold=view.chance + (view.baseline - view.chance) * (1 - TIER_DROP[unit]),
                        rows=view.rows,
                        details={
                            "baseline": view.baseline,
                            "chance": view.chance,
                            "lost": lost,
                            "min_detectable_lost": min(TIER_DROP.values()),
                        },
                    )
                ]
        return []

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """The metric, once the last tier that was held has been regained."""
        view = context.quality
        if view is None or not view.step.closed or any(stream == QUALITY for stream, _ in view.step.held):
            return ()
        return (view.metric,)
