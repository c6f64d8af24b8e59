"""How long drifted twins stay unseen."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.drift.counting import Counts, column_of
from benchmarks.drift.monitoring import Month, steps
from benchmarks.drift.streams import DAY, Drift

QUIET_DAYS = 3  # monitored before the drift may begin
ONSET_HOURS = 29  # further on with each seed, so that onsets meet nights, days and weekends
LOOKED_DAYS = 17  # onsets included


@dataclass(frozen=True, slots=True)
class Twin:
    """One kind of drift, on one feature."""

    name: str
    shift: float = 0.0
    nulls: float = 0.0
    new: float = 0.0

    def of(self, month: Month, features: int) -> Drift:
        """On the first feature, or the last, which is categorical where any is."""
        feature = features - 1 if self.new else 0
        return Drift(onset_of(month), feature, self.shift, self.nulls, self.new)


TWINS = (
    Twin("1 sigma", shift=1.0),
    Twin(".5 sigma", shift=0.5),
    Twin("+50 points of nulls", nulls=0.5),
    Twin("a new category at 2%", new=0.02),
)
FIRST = Twin("first", shift=1.0)
SECOND_SHIFT = 0.5
SECOND_AFTER = 12 * 60  # minutes after the first began


def onset_of(month: Month) -> int:
    """First drifted minute, another hour of the week for each seed."""
    return month.start + QUIET_DAYS * DAY + (month.seen.seed - 1) * ONSET_HOURS * 60


def delay(month: Month, drift: Drift, pane: int) -> float | None:
    """Hours from the drift's first minute to the end of the pane that named its feature; None: not found."""
    counts, name = month.counts.with_drift(month.seen, drift), column_of(drift.feature)
    return _named(month, counts, drift, name, pane)


def second_delay(month: Month, pane: int) -> tuple[float | None, float | None]:
    """Of a .5 sigma drift alone, and of the same while one of 1 sigma on another feature is open."""
    onset = onset_of(month)
    second = Drift(onset + SECOND_AFTER, 1, SECOND_SHIFT)
    alone = month.counts.with_drift(month.seen, second)
    both = alone.with_drift(month.seen, Drift(onset, 0, FIRST.shift))
    name = column_of(1)
    return _named(month, alone, second, name, pane), _named(month, both, second, name, pane)


def _named(month: Month, counts: Counts, drift: Drift, name: str, pane: int) -> float | None:
    end = month.seen.minutes
    for last, step in steps(month, counts, pane, month.start, end):
        if last > drift.minute and any(name in alarm.units for alarm in step.alarms):
            return (last - drift.minute) / 60
    return None
