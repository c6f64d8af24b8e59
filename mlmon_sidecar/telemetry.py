"""What the software counts about itself. Plain integers; no OpenTelemetry import.

Every loss goes through ``dropped`` with a bounded reason, once per batch. One writer a counter: the recorder's thread
writes here, the event loop only through the hand-off's own two counters.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

from mlmon_sidecar.records import DropReason

logger = logging.getLogger("mlmon_sidecar")

ACCEPTED = "exchanges.accepted"
DECODED = "exchanges.decoded"
ROWS = "rows.decoded"
ROWS_KEPT = "rows.kept"
ROWS_SAMPLED_OUT = "rows.sampled_out"
ROWS_AGGREGATED_ONLY = "rows.aggregated_only"
DROPPED_PREFIX = "exchanges.dropped."
ROWS_DROPPED_PREFIX = "rows.dropped."
REDACTIONS_PREFIX = "redactions."
ERRORS_PREFIX = "errors."
SCHEMA_PREFIX = "schema."


class Telemetry:
    """Counters of one process, cumulative since it started."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str, amount: int = 1) -> None:
        if amount:
            self._counts[name] += amount

    def dropped(self, amount: int, reason: DropReason) -> None:
        """``amount`` exchanges will never become rows."""
        self.add(DROPPED_PREFIX + reason, amount)

    def rows_dropped(self, amount: int, reason: DropReason) -> None:
        """``amount`` decoded rows will never be stored."""
        self.add(ROWS_DROPPED_PREFIX + reason, amount)

    def failed(self, component: str, error: BaseException) -> None:
        """One of our own parts raised: counted and logged by type, never by text (it may hold payload)."""
        self.add(f"{ERRORS_PREFIX}{component}.{type(error).__name__}")
        logger.warning(
            "mlmon: %s failed with %s; the host application is not affected", component, type(error).__name__
        )
        logger.debug("mlmon: %s failed", component, exc_info=error)

    def snapshot(self) -> Mapping[str, int]:
        """A copy: safe to read from any thread."""
        return dict(self._counts)
