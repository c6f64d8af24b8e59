"""What the hub keeps, and for how long: a little is tidied at a time, between two ticks.

A model's own time counts, its watermark: history that is fed today is not old on arrival. Minute panes become hour
panes after two days; a sum of sums is the same sum, so windows built again from them are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.store import Store
from mlmon_sidecar.store.contract import Keep

MINUTES_KEPT = 48 * 60  # panes of single minutes; the collapse check looks back 24 hours
MINUTE_CURVE_DAYS = 30
FIGURE_DAYS = 400  # hour panes, daily and hourly curves, ended incidents: a year and a month to compare with
ROWS_AT_ONCE = 500  # a few milliseconds of the store's writer
PASS_EVERY_NS = 600_000_000_000
MINUTES_OF_DAY = 1_440
DAY_NS = 86_400 * 1_000_000_000


class Retention:
    """``step`` does one small piece of work when there is some."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._work: Iterator[bool] | None = None
        self._next_ns = clock.monotonic_ns()

    def step(self, models: dict[str, tuple[int, int]]) -> bool:
        """Whether there was work. ``models``: name to (watermark, days that predictions wait for their labels)."""
        if self._work is None:
            now = self._clock.monotonic_ns()
            if now < self._next_ns:
                return False
            self._next_ns = now + PASS_EVERY_NS
            self._work = self._one_pass(dict(models))
        for busy in self._work:
            if busy:
                return True
        self._work = None
        return False

    def _one_pass(self, models: dict[str, tuple[int, int]]) -> Iterator[bool]:
        """Yields after every small transaction whether it changed anything."""
        for model, (watermark, horizon_days) in models.items():
            if watermark < 0:
                continue
            while self._store.roll_up(model, (watermark - MINUTES_KEPT) // 60 * 60):
                yield True
            before_ns = (watermark - horizon_days * MINUTES_OF_DAY) * 60_000_000_000
            while self._store.forget_predictions(model, before_ns, ROWS_AT_ONCE):
                yield True
            keep = Keep(
                minute_curves=watermark - MINUTE_CURVE_DAYS * MINUTES_OF_DAY,
                figures=watermark - FIGURE_DAYS * MINUTES_OF_DAY,
                outcome_day=watermark // MINUTES_OF_DAY - FIGURE_DAYS - horizon_days,
            )
            while self._store.forget_figures(model, keep, ROWS_AT_ONCE):
                yield True
        longest = max((days for _, days in models.values()), default=0)
        while models and self._store.forget_pending(self._clock.unix_ns() - longest * DAY_NS, ROWS_AT_ONCE):
            yield True
