"""A feature is missing or unusable far more often than in the reference. P2."""

from __future__ import annotations

from mlmon_sidecar.checks.context import CheckContext, closed_names, smallest_seen
from mlmon_sidecar.checks.feature_drift import compared
from mlmon_sidecar.checks.wording import percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import NULLS


class NullRate:
    """Null, not finite, or of another type. Needs no week of baseline: a missing value is missing on any day."""

    name = "null_rate"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        return "no baseline" if context.reference is None or context.step is None else ""

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if context.step is None:
            return []
        findings = []
        for alarm in context.step.alarms:
            if alarm.stream != NULLS:
                continue
            shares = {name: self._shares(context, name) for name in alarm.units}
            clauses = [
                f"{name} is missing in {percent(new)} of rows, was {percent(old)}"
                for name, (old, new) in shares.items()
            ]
            findings.append(
                Finding(
                    rule=self.name,
                    layer=self.layer,
                    tier=Tier.P2,
                    minute=context.minute,
                    summary=together(clauses),
                    evidence=max(alarm.evidence),
                    features=alarm.units,
                    value=max(new for _, new in shares.values()),
                    threshold=shares[alarm.units[0]][0],
                    rows=self._rows(context),
                    details={
                        "features": {
                            name: {"reference": old, "current": new, "onset_minute": onset}
                            | smallest_seen(context, NULLS, name)
                            for (name, (old, new)), onset in zip(shares.items(), alarm.onset, strict=True)
                        }
                    },
                )
            )
        return findings

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Features whose null share is back below its boundary."""
        return closed_names(context.step, NULLS)

    @staticmethod
    def _shares(context: CheckContext, name: str) -> tuple[float, float]:
        pair = compared(context, name)
        return (pair[0].missing or 0.0, pair[1].missing or 0.0) if pair else (0.0, 0.0)

    @staticmethod
    def _rows(context: CheckContext) -> int:
        window = context.window(context.layout.traffic.rows)
        return int(window.vector[context.layout.traffic.rows]) if window else 0
