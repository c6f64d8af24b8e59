"""How many labels a source may send: a bucket for each source of each token, filled evenly, a minute's at most."""

from __future__ import annotations

import threading

from mlmon_sidecar.interfaces import Clock

SOURCES_KNOWN = 1_000  # further ones share one bucket: inventing sources buys nothing
MINUTE_NS = 60_000_000_000
WAIT_SECONDS = 6  # until a tenth of a bucket is full again


class Quota:
    """Safe to share between threads.

    Args:
        per_minute: > 0; labels of one source and token.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self.per_minute = per_minute
        self.reason = f"over the quota of {per_minute} labels a minute of this source: send it again later"
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], tuple[float, int]] = {}  # labels left, at which monotonic ns

    def take(self, caller: str, source: str) -> bool:
        """One label more; False: it is over the quota."""
        with self._lock:
            name = (caller, source)
            if name not in self._left and len(self._left) >= SOURCES_KNOWN:
                name = ("", "")
            now = self._clock.monotonic_ns()
            left, then = self._left.get(name, (float(self.per_minute), now))
            left = min(float(self.per_minute), left + (now - then) / MINUTE_NS * self.per_minute)
            taken = left >= 1.0
            self._left[name] = left - taken, now
            return taken
