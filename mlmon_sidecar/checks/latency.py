"""Requests take longer than in the week the service was learned from. P2.

The detector watches the shares of requests at or below each duration edge, downwards, with a floor of .20 in Cohen's h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.checks.context import CheckContext, smallest_seen
from mlmon_sidecar.checks.service import ended, raised, service_unready
from mlmon_sidecar.checks.wording import number
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.indicators import SERVICE
from mlmon_sidecar.statistics.layout import DURATION_EDGES
from mlmon_sidecar.statistics.service import LATENCY

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

SHARES = (0.5, 0.95)


class Latency:
    name = "latency"
    layer = Layer.INFRASTRUCTURE

    def ready(self, context: CheckContext) -> str:
        return service_unready(context)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        alarm = raised(context, SERVICE, LATENCY)
        window = None if alarm is None else context.window(context.layout.traffic.requests)
        if alarm is None or window is None or context.service is None:
            return []
        durations = window.vector[context.layout.traffic.duration]
        before = seconds(np.array(context.service.reference.durations))
        after = seconds(durations)
        if before is None or after is None:
            return []
        told = [f"p{share * 100:.0f} {_ms(b)} -> {_ms(a)}" for share, b, a in zip(SHARES, before, after, strict=True)]
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P2,
                minute=context.minute,
                summary=f"requests take longer: {', '.join(told)}",
                evidence=alarm[0],
                features=(LATENCY,),
                value=after[1],
                threshold=before[1],
                rows=int(durations.sum()),
                details={
                    "onset_minute": alarm[1],
                    **smallest_seen(context, SERVICE, LATENCY),
                    "edges_seconds": list(DURATION_EDGES),
                    "reference": list(context.service.reference.durations),
                    "current": durations.tolist(),
                    "p50_p95_reference": before,
                    "p50_p95_current": after,
                },
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Back within the tolerance, or ordinary for a week."""
        return ended(context, SERVICE, LATENCY)


def seconds(counts: IntVector) -> tuple[float, float] | None:
    """Within which half and 95% of the requests ended, linear within a bin; None without any."""
    total = int(counts.sum())
    if total == 0:
        return None
    edges = np.array([0.0, *DURATION_EDGES, DURATION_EDGES[-1]])
    half, most = np.interp(np.array(SHARES) * total, np.concatenate(([0], np.cumsum(counts))), edges)
    return float(half), float(most)


def _ms(value: float) -> str:
    return f"{number(value * 1000)} ms"
