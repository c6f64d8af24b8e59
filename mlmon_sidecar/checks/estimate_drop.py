"""What scores promise has fallen: a tenth of what lies above chance, and two points. P2, before any label came.

It sees harder inputs, not a changed world, and says so. Where labels have belied the estimate it is silent.
"""

from __future__ import annotations

from mlmon_sidecar.checks.context import CheckContext, incomplete, is_held
from mlmon_sidecar.checks.wording import percent
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.estimate_detector import ESTIMATE_DROP, ESTIMATE_UNIT
from mlmon_sidecar.statistics.indicators import ESTIMATES

MIN_DROP = 0.02


class EstimateDrop:
    name = "estimate_drop"
    layer = Layer.OUTCOME

    def ready(self, context: CheckContext) -> str:
        view = context.estimate
        if view is None:
            return "needs a day of scores, and a baseline with labels beside them"
        return view.suppressed or incomplete(view.dropped)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        view = context.estimate
        if view is None or self.ready(context):
            return []
        drop = view.baseline - view.value
        lost = drop / (view.baseline - view.chance) if view.baseline > view.chance else 0.0
        if lost < ESTIMATE_DROP or drop < MIN_DROP or not is_held(view.step, ESTIMATES, ESTIMATE_UNIT):
            return []
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P2,
                minute=context.minute,
                summary=f"estimated {view.metric} fell from {view.baseline:.3f} to {view.value:.3f} over {view.rows:,} "
                f"predictions, {percent(lost)} of what lies above chance, if scores mean what they meant",
                evidence=view.step.evidence[(ESTIMATES, ESTIMATE_UNIT)],
                features=(view.metric,),
                value=view.value,
                threshold=min(view.baseline - MIN_DROP, view.baseline - ESTIMATE_DROP * (view.baseline - view.chance)),
                rows=view.rows,
                details={"baseline": view.baseline, "chance": view.chance, "lost": lost},
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """The metric, once it is back, or once labels have belied the estimate."""
        view = context.estimate
        if view is None:
            return ()
        back = bool(view.step.closed) and not view.step.held
        return (view.metric,) if back or view.suppressed else ()
