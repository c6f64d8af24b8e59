"""How much is done at once, so that the server's own threads never wait long for the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable

SLICE_NS = 500_000  # of this thread's processor time
LEARNING = 0.1  # the part of a new measurement in what is believed
MOST = 2  # a measurement so many times off counts as that: one page fault is no trend


class Pace:
    """Learns how long a unit of work takes, and says how many fit into a slice."""

    def __init__(
        self,
        ns_per_unit: float,
        *,
        fixed: int,
        least: int,
        slices: int = 1,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        """``fixed``: what a piece of work costs before its first unit, in units. ``least``: units worth that cost.
        ``slices`` that the work is done in."""
        self._ns_per_unit = ns_per_unit
        self._fixed, self._least, self._slices = fixed, least, slices
        self._cpu_ns = cpu_ns
        self._begun = self._spent = 0

    @property
    def units(self) -> int:
        """That fit into the slices, and not less than ``least``."""
        return max(self._least, int(self._slices * SLICE_NS / self._ns_per_unit) - self._fixed)

    def begin(self) -> None:
        self._begun = self._cpu_ns()

    def pause(self) -> None:
        """The work goes on with another ``begin``."""
        self._spent += self._cpu_ns() - self._begun

    def end(self, units: int) -> None:
        """The work since ``begin``, and before pauses, was so many units."""
        self.pause()
        found, self._spent = self._spent / (units + self._fixed), 0
        believed = self._ns_per_unit
        self._ns_per_unit += LEARNING * (min(max(found, believed / MOST), believed * MOST) - believed)
