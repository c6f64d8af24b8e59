"""A categorical feature brings values the reference never saw, far more often than its rare ones let expect. P3.

How often a healthy row brings an unseen value is Good-Turing's estimate: as often as reference rows brought one that
stayed alone (Good, "The population frequencies of species", Biometrika 40, 1953). The share may grow by half, and by
0.002 at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlmon_sidecar.checks.context import CheckContext, closed_names, smallest_seen
from mlmon_sidecar.checks.feature_drift import compared
from mlmon_sidecar.checks.wording import percent, together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import NEW
from mlmon_sidecar.statistics.samples import NEW_PREFIX

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.edetector import Alarm

SHOWN_VALUES = 3


class NewCategories:
    """Needs no week of baseline: what was never seen is new on any day. Values are told as redaction lets them."""

    name = "new_categories"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        if context.reference is None or context.step is None:
            return "no baseline"
        return "" if any(True for _ in context.layout.categorical()) else "no categorical features"

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if context.step is None:
            return []
        return [self._finding(context, alarm) for alarm in context.step.alarms if alarm.stream == NEW]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Features whose share of unseen values is back below its boundary."""
        return closed_names(context.step, NEW)

    def _finding(self, context: CheckContext, alarm: Alarm) -> Finding:
        figures = {name: compared(context, name) for name in alarm.units}
        shares = {name: (pair[1].unseen or 0.0) if pair else 0.0 for name, pair in figures.items()}
        expected = {
            name: context.reference.new_rate.get(name, 0.0) if context.reference else 0.0 for name in alarm.units
        }
        values = {name: [s.value for s in context.samples.get(NEW_PREFIX + name, ())] for name in alarm.units}
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=Tier.P3,
            minute=context.minute,
            summary=together([_clause(name, shares[name], values[name]) for name in alarm.units]),
            evidence=max(alarm.evidence),
            features=alarm.units,
            value=max(shares.values()),
            threshold=expected[alarm.units[0]],
            rows=max((pair[1].rows for pair in figures.values() if pair), default=0),
            details={
                "features": {
                    name: {
                        "reference": expected[name],
                        "current": shares[name],
                        "values": values[name],
                        "onset_minute": onset,
                        **smallest_seen(context, NEW, name),
                    }
                    for name, onset in zip(alarm.units, alarm.onset, strict=True)
                }
            },
        )


def _clause(name: str, share: float, values: list[str]) -> str:
    told = f"{name} has values never seen before in {percent(share)} of rows"
    return f"{told}: {', '.join(map(repr, values[:SHOWN_VALUES]))}" if values else told
