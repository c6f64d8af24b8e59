"""What was lost before it could be counted or kept, out of the counters that flushes bring. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.records import DropReason, Losses

NO_LOSS = frozenset({DropReason.NOT_A_PREDICTION, DropReason.APPLICATION_ERROR})  # there was no prediction


def losses_in(counters: Mapping[str, int]) -> Losses:
    """Of increments, or of totals."""
    dropped = {name: count for name, count in counters.items() if name.startswith(names.DROPPED_PREFIX)}
    none = sum(dropped.pop(names.DROPPED_PREFIX + reason, 0) for reason in NO_LOSS)
    rows_lost = sum(count for name, count in counters.items() if name.startswith(names.ROWS_DROPPED_PREFIX))
    whole = counters.get(names.ACCEPTED, 0) - none
    return Losses(sum(dropped.values()), whole, rows_lost, counters.get(names.ROWS, 0))
