"""What makes every request wait at once: garbage collections, and an event loop that comes late."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence

from mlmon_sidecar.after_fork import abandon_in_children
from mlmon_sidecar.records import Distribution
from mlmon_sidecar.resources.histogram import PAUSE_BOUNDS, Histogram

TICK_SECONDS = 0.5  # a late loop is late for as long as something blocks it: rare looks see the long delays


class GcPauses:
    """Duration of each collection of this process, by the interpreter's own callbacks."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._histogram = Histogram(PAUSE_BOUNDS)
        self._begun: float | None = None

    def start(self) -> None:
        abandon_in_children(self)
        gc.callbacks.append(self._observe)

    def stop(self) -> None:
        if self._observe in gc.callbacks:
            gc.callbacks.remove(self._observe)

    def abandon(self) -> None:
        """In a forked child, which counts its own."""
        self.stop()

    def __call__(self) -> Sequence[Distribution]:
        return [self._histogram.distribution("mlmon.gc.pause")]

    def _observe(self, phase: str, info: Mapping[str, int]) -> None:
        """Collections do not nest, and the interpreter ignores what is raised here."""
        if phase == "start":
            self._begun = self._now()
        elif self._begun is not None:
            self._histogram.observe(self._now() - self._begun)
            self._begun = None


class LoopLag:
    """How late the loop runs a timer. Holds nothing open: a loop that ends takes the timer with it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._histogram = Histogram(PAUSE_BOUNDS)
        self._stopped = False

    def start(self) -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._wait)
        except RuntimeError:  # the loop is closed
            self._stopped = True

    def stop(self) -> None:
        self._stopped = True

    def __call__(self) -> Sequence[Distribution]:
        return [self._histogram.distribution("mlmon.event_loop.lag")]

    def _wait(self) -> None:
        self._loop.call_later(TICK_SECONDS, self._tick, self._loop.time() + TICK_SECONDS)

    def _tick(self, due: float) -> None:
        if not self._stopped:
            self._histogram.observe(max(0.0, self._loop.time() - due))
            self._wait()
