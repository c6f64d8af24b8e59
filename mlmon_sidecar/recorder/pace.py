"""How much is done at once, so that the server's own threads never wait long for the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable

SLICE_NS = 400_000  # of this thread's processor time; with what it misjudges, about half a millisecond
LEARNING = 0.25  # the part of a new measurement in what is believed
MOST = 4  # slices measured so far apart from what was believed count as that much apart


class Pace:
    """Learns how long a unit of work takes, and says how many fit into a slice."""

    def __init__(self, ns_per_unit: float, cpu_ns: Callable[[], int] = time.thread_time_ns) -> None:
        self._ns_per_unit = ns_per_unit
        self._cpu_ns = cpu_ns
        self._begun = 0

    @property
    def units(self) -> int:
        """That fit into one slice."""
        return max(1, int(SLICE_NS / self._ns_per_unit))

    def begin(self) -> None:
        self._begun = self._cpu_ns()

    def end(self, units: int) -> None:
        """The work since ``begin`` was so many units."""
        spent = (self._cpu_ns() - self._begun) / max(1, units)
        believed = self._ns_per_unit
        self._ns_per_unit += LEARNING * (min(max(spent, believed / MOST), believed * MOST) - believed)
