"""Memory of the host, for the hub's own process alone: in a serving process it would be told once a worker.

Names: https://opentelemetry.io/docs/specs/semconv/system/system-metrics/. In a container these are the host's figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from mlmon_sidecar.records import Measurement

STATE = "system.memory.state"


class SystemMemorySource:
    """Used, free, buffers and cached add up to the host's memory. A state the system does not tell is in ``used``."""

    def __call__(self) -> Sequence[Measurement]:
        memory = psutil.virtual_memory()
        states = {name: int(getattr(memory, name, 0)) for name in ("free", "buffers", "cached")}
        states["used"] = max(0, memory.total - sum(states.values()))
        found = [Measurement("system.memory.limit", memory.total)]
        for state, size in states.items():
            found.append(Measurement("system.memory.usage", size, ((STATE, state),)))
            found.append(Measurement("system.memory.utilization", size / memory.total, ((STATE, state),)))
        return found
