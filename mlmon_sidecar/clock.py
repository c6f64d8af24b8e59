"""Production time, and compressed time for demonstrations.

``clock_scale`` is the one documented way to make hours pass in seconds: every process of a run is given the same
``anchor``, so that all agree about scaled time. Only event time is scaled; monotonic readings are the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_NS = 1_000_000_000  # a larger difference was no drift: the machine slept, or somebody set the clock
EASE = 16  # the part of a smaller one that is made up for at each look


class SystemClock:
    """The machine's clocks. Event time follows the monotonic clock, which does not jump, and is led back to the wall
    clock at each ``unix_ns``: gently, or at once after a sleep, in which the monotonic clock stood still."""

    def __init__(
        self, monotonic_ns: Callable[[], int] = time.monotonic_ns, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._ahead_ns = (
            wall_ns() - monotonic_ns()
        )  # of event time over monotonic time; one write, whole for any reader

    def monotonic_ns(self) -> int:
        return self._monotonic_ns()

    def unix_ns(self) -> int:
        now = self._monotonic_ns()
        error = self._wall_ns() - self.unix_at(now)
        self._ahead_ns += error if abs(error) > STEP_NS else error // EASE
        return self.unix_at(now)

    def unix_at(self, monotonic_ns: int) -> int:
        return self._ahead_ns + monotonic_ns


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
