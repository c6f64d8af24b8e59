"""What the software counts about itself. Plain integers; no OpenTelemetry import.

Every loss goes through ``dropped`` with a bounded reason, once per batch. One writer a counter: the recorder's thread
writes here, the event loop only through the hand-off's own two counters.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping

from mlmon_sidecar.records import DropReason

logger = logging.getLogger("mlmon_sidecar")

ACCEPTED = "exchanges.accepted"
DECODED = "exchanges.decoded"
IGNORED = "exchanges.ignored"  # a trusted caller asked for it
TRIPPED = "capture.tripped"  # how often capture switched itself off for a while
ROWS = "rows.decoded"
ROWS_KEPT = "rows.kept"
ROWS_SAMPLED_OUT = "rows.sampled_out"
ROWS_AGGREGATED_ONLY = "rows.aggregated_only"
DROPPED_PREFIX = "exchanges.dropped."
ROWS_DROPPED_PREFIX = "rows.dropped."
REDACTIONS_PREFIX = "redactions."
ERRORS_PREFIX = "errors."
SCHEMA_PREFIX = "schema."
PANES_DROPPED_PREFIX = "panes.dropped."
QUIET_NS = 60_000_000_000  # one line a minute about one part; what fails every second would fill a log


class Telemetry:
    """Counters of one process, cumulative since it started."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._counts: Counter[str] = Counter()
        self._monotonic_ns = monotonic_ns
        self._spoken_ns: dict[str, int] = {}  # part -> when it was last spoken of
        self._unspoken: Counter[str] = Counter()

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
        """One of our own parts raised: counted, and logged by type, never by text (it may hold payload)."""
        kind = type(error).__name__
        self.add(f"{ERRORS_PREFIX}{component}.{kind}")
        self.warn(component, f"{component} failed with {kind}; the host application is not affected")
        logger.debug("mlmon: %s failed", component, exc_info=error)

    def warn(self, part: str, sentence: str) -> None:
        """Log about one part, at most once in ``QUIET_NS``; the next line says how many were left out."""
        now = self._monotonic_ns()
        spoken = self._spoken_ns.get(part)
        if spoken is not None and now - spoken < QUIET_NS:
            self._unspoken[part] += 1
            return
        self._spoken_ns[part] = now
        again = self._unspoken.pop(part, 0)
        logger.warning("mlmon: %s%s", sentence, f" ({again} more like it in the last minutes)" if again else "")

    def snapshot(self) -> Mapping[str, int]:
        """A copy: safe to read from any thread."""
        return dict(self._counts)
