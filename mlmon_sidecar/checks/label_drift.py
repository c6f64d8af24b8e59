"""Labels name the classes more or less often than on the baseline: the world that is predicted has changed. P3."""

from __future__ import annotations

from mlmon_sidecar.checks.context import CheckContext, LabelView, closed_names
from mlmon_sidecar.checks.wording import percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import LABELS


class LabelDrift:
    """Units are classes; a finding names those that moved."""

    name = "label_drift"
    layer = Layer.OUTCOME

    def ready(self, context: CheckContext) -> str:
        return "" if context.labels is not None else "needs labels of mature days, and a baseline with labels"

    def evaluate(self, context: CheckContext) -> list[Finding]:
        view = context.labels
        if view is None:
            return []
        return [
            self._finding(context.minute, view, alarm.units, max(alarm.evidence))
            for alarm in view.step.alarms
            if alarm.stream == LABELS
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Classes back within their tolerance."""
        return () if context.labels is None else closed_names(context.labels.step, LABELS)

    def _finding(self, minute: int, view: LabelView, units: tuple[str, ...], evidence: float) -> Finding:
        shares = {name: view.shares(name) for name in units}
        clauses = [f"{name!r} from {percent(was)} to {percent(now)}" for name, (was, now) in shares.items()]
        rows = sum(view.after)
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=Tier.P3,
            minute=minute,
            summary=f"classes of {rows:,} labels changed: {together(clauses)}",
            evidence=evidence,
            features=units,
            value=view.distance,
            rows=rows,
            details={"shares": {name: list(pair) for name, pair in shares.items()}, "distance": view.distance},
        )
