"""Nothing is asked any more although the hour expects traffic. P1.

The requests expected since the last one, over how much more than Poisson's counts the hours scatter, are the nats by
which such a silence is improbable: 16, and five minutes at least. At night it waits as long as the night is quiet.
"""

from __future__ import annotations

from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.checks.level import IMPROBABLE_NATS
from mlmon_sidecar.checks.service import service_unready
from mlmon_sidecar.checks.wording import number
from mlmon_sidecar.records import Finding, Layer, Tier

LEAST_MINUTES = 5
BEYOND_ORDINARY = 1.5
UNIT = "traffic"


class ThroughputZero:
    name = "throughput_zero"
    layer = Layer.INFRASTRUCTURE

    def ready(self, context: CheckContext) -> str:
        return service_unready(context)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        silence = None if context.service is None else context.service.silence
        if silence is None:
            return []
        line = max(IMPROBABLE_NATS, BEYOND_ORDINARY * silence.ordinary_nats)
        if silence.nats < line:
            return []
        minutes = context.minute - silence.since_minute
        if minutes < LEAST_MINUTES:
            return []
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P1,
                minute=context.minute,
                summary=f"no request for {minutes} min, about {number(silence.expected)} were expected",
                evidence=silence.nats / line,
                features=(UNIT,),
                value=0.0,
                threshold=silence.expected,
                details={"onset_minute": silence.since_minute, "expected": silence.expected, "nats": silence.nats},
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """With the first minute that has a request again."""
        if context.service is None or context.service.silence is not None:
            return ()
        return (UNIT,)
