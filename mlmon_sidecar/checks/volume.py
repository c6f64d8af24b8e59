"""Far more or far fewer requests than the hour's profile expects: beyond about the threefold, or a third. P3.

The profile is that of the week the service was learned from: hour of day times kind of day. Judged by whole hours;
those without a request count, those in which hardly anything is expected do not.
"""

from __future__ import annotations

from mlmon_sidecar.checks.context import CheckContext, smallest_seen
from mlmon_sidecar.checks.service import ended, raised, service_unready, window_since
from mlmon_sidecar.checks.wording import number
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import VOLUME
from mlmon_sidecar.statistics.service import REQUESTS


class Volume:
    name = "volume"
    layer = Layer.INFRASTRUCTURE

    def ready(self, context: CheckContext) -> str:
        return service_unready(context)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        alarm = raised(context, VOLUME, REQUESTS)
        if alarm is None or context.service is None:
            return []
        window = window_since(context, alarm[1])
        if window is None:
            return []
        end = min(window.end_minute, context.minute + 1)
        asked = int(window.vector[context.layout.traffic.requests])
        expected = context.service.reference.expected_between(window.start_minute, end)
        hours = (end - window.start_minute) / 60
        told = f"{asked:,} requests came in {number(hours)} h, about {number(expected)} were expected"
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P3,
                minute=context.minute,
                summary=told,
                evidence=alarm[0],
                features=(REQUESTS,),
                value=float(asked),
                threshold=expected,
                rows=asked,
                details={
                    "onset_minute": alarm[1],
                    **smallest_seen(context, VOLUME, REQUESTS),
                    "since_minute": window.start_minute,
                    "requests": asked,
                    "expected": expected,
                },
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Back within the tolerance, or ordinary for a week."""
        return ended(context, VOLUME, REQUESTS)
