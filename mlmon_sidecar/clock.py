"""Production time, and compressed time for demonstrations.

``clock_scale`` is the one documented way to make hours pass in seconds: every process of a run is given the same
``anchor``, so that all agree about scaled time. Only event time is scaled; monotonic readings are the machine's.
"""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clocks. Event time follows the monotonic clock from an anchor taken at start."""

    def __init__(self) -> None:
        self._anchor_monotonic = time.monotonic_ns()
        self._anchor_unix = time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def unix_ns(self) -> int:
        return self.unix_at(time.monotonic_ns())

    def unix_at(self, monotonic_ns: int) -> int:
        return self._anchor_unix + monotonic_ns - self._anchor_monotonic


class ScaledClock:
    """Event time runs ``scale`` times as fast as the machine's and meets it at ``anchor_ns`` (Unix ns)."""

    def __init__(self, scale: float, anchor_ns: int) -> None:
        self._scale = scale
        self._anchor_ns = anchor_ns
        self._real = SystemClock()

    def monotonic_ns(self) -> int:
        return self._real.monotonic_ns()

    def unix_ns(self) -> int:
        return self.unix_at(self._real.monotonic_ns())

    def unix_at(self, monotonic_ns: int) -> int:
        return self._anchor_ns + int((self._real.unix_at(monotonic_ns) - self._anchor_ns) * self._scale)
