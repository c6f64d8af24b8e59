"""More requests end in a server error than in the week the service was learned from. P2.

The detector watches the share upwards, with a floor of .20 in Cohen's h: from 0.1% that is to about 2%.
"""

from __future__ import annotations

from mlmon_sidecar.checks.context import CheckContext, smallest_seen
from mlmon_sidecar.checks.service import ended, raised, service_unready, window_since
from mlmon_sidecar.checks.wording import percent
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import SERVICE
from mlmon_sidecar.statistics.service import ERRORS


class ErrorRate:
    """Of the server: status 500 and above, or no answer. A client's errors are the client's."""

    name = "error_rate"
    layer = Layer.INFRASTRUCTURE

    def ready(self, context: CheckContext) -> str:
        return service_unready(context)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        alarm = raised(context, SERVICE, ERRORS)
        if alarm is None or context.service is None:
            return []
        window = window_since(context, alarm[1])
        requests = 0 if window is None else int(window.vector[context.layout.traffic.requests])
        if window is None or requests == 0:
            return []
        errors = int(window.vector[context.layout.traffic.server_error])
        before = context.service.reference.errors / context.service.reference.requests
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P2,
                minute=context.minute,
                summary=f"{percent(errors / requests)} of requests end in a server error, were {percent(before)}",
                evidence=alarm[0],
                features=(ERRORS,),
                value=errors / requests,
                threshold=before,
                rows=requests,
                details={
                    "onset_minute": alarm[1],
                    **smallest_seen(context, SERVICE, ERRORS),
                    "reference": before,
                    "current": errors / requests,
                    "errors": errors,
                },
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Back within the tolerance, or ordinary for a week."""
        return ended(context, SERVICE, ERRORS)
