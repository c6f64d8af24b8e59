"""What this process counted, as increments that each go into one flush."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.records import DropReason
from mlmon_sidecar.telemetry import Telemetry


class Counters:
    """Of the recorder, the hand-off and the event loop together."""

    def __init__(self, telemetry: Telemetry, handoff: Handoff, faults: Faults) -> None:
        self._telemetry, self._handoff, self._faults = telemetry, handoff, faults
        self._told: Counter[str] = Counter()

    def increments(self) -> dict[str, int]:
        """Since the call before."""
        now = self._totals()
        before, self._told = self._told, now
        return {name: value - before[name] for name, value in now.items() if value != before[name]}

    def untell(self, increments: Mapping[str, int]) -> None:
        """They reached nobody: they go with the next ones."""
        self._told.subtract(increments)

    def _totals(self) -> Counter[str]:
        stats, lost = self._handoff.stats(), self._faults.lost  # lost: selected, and by a fault of ours never offered
        now = Counter(self._telemetry.snapshot())
        now[names.ACCEPTED] += stats.accepted + lost
        now[names.DROPPED_PREFIX + DropReason.QUEUE_FULL] += stats.dropped_full
        now[names.DROPPED_PREFIX + DropReason.INTERNAL_ERROR] += lost
        now[names.IGNORED] = stats.ignored
        now[names.TRIPPED] = self._faults.trips
        if now[names.TRIPPED] > self._told[names.TRIPPED]:
            self._telemetry.warn("capture", "too many internal faults: capture is off for a while, then tries again")
        for (component, error), count in self._faults.snapshot().items():
            now[f"{names.ERRORS_PREFIX}{component}.{error}"] = count
        return now
