"""Which recorders are heard of, and up to which minute nothing more is to be expected of them."""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.store import Store
from mlmon_sidecar.store.contract import RecorderRow

MIN_SILENCE_NS = 10_000_000_000
SILENT_INTERVALS = 3
RECORDER_KEPT_NS = 7 * 86_400 * 1_000_000_000  # longer than any flush stays in doubt
FORGET_EVERY_NS = 3_600 * 1_000_000_000


class Recorders:
    """Those that this hub, or the one before it, has heard."""

    def __init__(self, store: Store, clock: Clock, flush_interval_seconds: float, clock_scale: float) -> None:
        self._store, self._clock = store, clock
        self._silence_ns = max(MIN_SILENCE_NS, int(SILENT_INTERVALS * flush_interval_seconds * 1e9))
        now = clock.monotonic_ns()
        self._seen = self._heard_before(now, clock_scale)  # recorder to monotonic ns
        self._next_forget_ns = now

    @property
    def known(self) -> Sequence[str]:
        """Ids of those it remembers."""
        return list(self._seen)

    def heard(self, recorder_id: str) -> None:
        self._seen[recorder_id] = self._clock.monotonic_ns()

    def ms_ago(self, recorder_id: str) -> int:
        """Since it was heard; 0 of one that never was."""
        now = self._clock.monotonic_ns()
        return (now - self._seen.get(recorder_id, now)) // 1_000_000

    def live(self) -> list[RecorderRow]:
        """Those that are neither closed nor silent."""
        horizon = self._clock.monotonic_ns() - self._silence_ns
        return [r for r in self._store.recorders() if not r.closed and self._seen.get(r.recorder_id, 0) > horizon]

    def forget(self) -> None:
        """Every process start leaves one behind. A flush of one that comes back is refused, and it registers again."""
        now = self._clock.monotonic_ns()
        if now < self._next_forget_ns:
            return
        self._next_forget_ns = now + FORGET_EVERY_NS
        self._store.forget_recorders(self._clock.unix_ns() - RECORDER_KEPT_NS)
        known = {row.recorder_id for row in self._store.recorders()}
        for recorder_id in list(self._seen):  # other threads add to it
            if recorder_id not in known and now - self._seen[recorder_id] > FORGET_EVERY_NS:
                del self._seen[recorder_id]

    def _heard_before(self, now: int, clock_scale: float) -> dict[str, int]:
        """As if the former hub had ended now. So one that was silent for long before that is not waited for again, and
        one that could not reach anybody is."""
        rows = [row for row in self._store.recorders() if not row.closed]
        newest = max((row.seen_ns for row in rows), default=0)
        return {row.recorder_id: now - int((newest - row.seen_ns) / clock_scale) for row in rows}


def complete_through(model: str, recorders: Sequence[RecorderRow], last: int) -> int:
    """The newest minute of a model that none of ``recorders`` may still add to; ``last`` where none sends it."""
    return min((r.complete_through[model] for r in recorders if model in r.complete_through), default=last)
