"""How much is done at once, so that the server's own threads never wait long for the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

SLICE_NS = 300_000  # of this thread's processor time: what is guessed wrong still ends within half a millisecond
LEARNING = 0.1  # the part of a new measurement in what is believed
MOST = 2  # a measurement so many times off counts as that: one page fault is no trend


class Pace:
    """Learns how long a unit of work takes, and says how many fit into a slice."""

    def __init__(
        self, ns_per_unit: float, *, fixed: int, least: int, cpu_ns: Callable[[], int] = time.thread_time_ns
    ) -> None:
        """``fixed``: what a piece of work costs before its first unit, in units. ``least``: units worth that cost."""
        self._ns_per_unit = ns_per_unit
        self._fixed, self._least = fixed, least
        self._cpu_ns = cpu_ns
        self._begun = 0

    @property
    def units(self) -> int:
        """That fit into one slice, and not less than ``least``."""
        return max(self._least, int(SLICE_NS / self._ns_per_unit) - self._fixed)

    def begin(self) -> None:
        self._begun = self._cpu_ns()

    def end(self, units: int) -> None:
        """The work since ``begin`` was so many units."""
        found = (self._cpu_ns() - self._begun) / (units + self._fixed)
        believed = self._ns_per_unit
        self._ns_per_unit += LEARNING * (min(max(found, believed / MOST), believed * MOST) - believed)


def advance(work: Iterator[None], cpu_ns: Callable[[], int]) -> None:
    """Do pieces of the work, up to its end, until half of a slice is spent: the last one may be as long."""
    begun = cpu_ns()
    for _ in work:
        if cpu_ns() - begun >= SLICE_NS // 2:
            return
