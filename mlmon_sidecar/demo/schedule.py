"""When things happen: scaled days against the machine's clock. Pure; every time comes in as an argument.

Scaled time is ``anchor + (t - anchor) * scale`` (``mlmon_sidecar.clock.ScaledClock``). The anchor is chosen so that the
story's last day ends before today's midnight (UTC): the monitor never sees a time that has not come yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlmon_sidecar.demo.phases import ROWS_PER_DAY, Phase

DAY = 86_400  # seconds
# 480 rows in it are 192 requests a second, a fraction of what one worker serves. They fall into as many minutes, and to
# seal a minute costs 0.9 ms of processor time (python benchmarks/seal.py on a 2-core EPYC): 17% of one processor.
REAL_SECONDS_PER_DAY = 2.5
CLOCK_SCALE = DAY / REAL_SECONDS_PER_DAY
QUIET = DAY // 48  # scaled seconds without rows on each side of midnight, so that a slow answer stays in its day
UNSURE = QUIET / 3  # between the sending of a row and its taking: 17 ms
LATE = 0.25  # days a phase may begin late; beyond it the next midnight is waited for
LABEL_DELAY_DAYS = (1.0, 2.0)  # how long after the prediction its outcome becomes known
GOLDEN = (math.sqrt(5) - 1) / 2  # consecutive multiples of it spread evenly over [0, 1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days of scaled time, counted from 0, and the machine's clock."""

    start: int  # Unix seconds (scaled) at which day 0 begins; a UTC midnight
    anchor: float  # Unix seconds where scaled and real time meet
    scale: float = CLOCK_SCALE

    @classmethod
    def plan(cls, now: float, days: int, scale: float = CLOCK_SCALE) -> Calendar:
        """Day 0 begins now (real Unix seconds), and ``days`` days end at the latest midnight before now."""
        start = (math.floor(now / DAY) - days) * DAY
        return cls(start, (scale * now - start) / (scale - 1), scale)

    def scaled(self, real: float) -> float:
        """Scaled Unix seconds at a real moment."""
        return self.anchor + (real - self.anchor) * self.scale

    def real(self, scaled: float) -> float:
        """The real moment of scaled Unix seconds."""
        return self.anchor + (scaled - self.anchor) / self.scale

    def midnight(self, day: int) -> int:
        """Scaled Unix seconds at which ``day`` begins."""
        return self.start + day * DAY

    def free_day(self, real: float, used: float = 0.0) -> int:
        """The first day that can still be played whole at a real moment, or has begun less than ``LATE`` days ago.

        ``used``: scaled Unix seconds of the latest row sent; its day is not free, and if it was sent just before
        midnight the next one is not either: the server may have taken it then.
        """
        begun = math.ceil((self.scaled(real) - self.start) / DAY - LATE)
        return max(begun, math.floor((used + UNSURE - self.start) / DAY) + 1)


@dataclass(frozen=True, slots=True)
class Period:
    """When a phase really was played: from ``first_day`` up to, not including, ``end_day``."""

    name: str
    first_day: int
    end_day: int


def moments(midnight: int, rows: int) -> list[float]:
    """Scaled Unix seconds of ``rows`` rows, ``ROWS_PER_DAY`` a day evenly between the quiet spans around midnight."""
    step = (DAY - 2 * QUIET) / ROWS_PER_DAY
    return [midnight + row // ROWS_PER_DAY * DAY + QUIET + (row % ROWS_PER_DAY + 0.5) * step for row in range(rows)]


def baseline_moments(calendar: Calendar, rows: int) -> list[float]:
    """The same rhythm for the baseline's rows, ending the midnight before day 0."""
    return moments(calendar.midnight(-math.ceil(rows / ROWS_PER_DAY)), rows)


def played(phase: Phase, first_day: int, free_day: int) -> Period:
    """The period of a phase begun on ``first_day``, when ``free_day`` is the next one free after its last answer."""
    return Period(phase.name, first_day, max(first_day + phase.days, free_day))


def period_of(scaled: float, calendar: Calendar, periods: Sequence[Period]) -> str:
    """Name of the period a scaled moment lies in; the last one stays open."""
    day = math.floor((scaled - calendar.start) / DAY)
    begun = [period.name for period in periods if period.first_day <= day]
    return begun[-1] if begun else "before"


def label_due(row_id: int, sent: float) -> float:
    """Scaled Unix seconds at which the outcome of a row sent at ``sent`` becomes known."""
    shortest, longest = LABEL_DELAY_DAYS
    return sent + (shortest + (longest - shortest) * (row_id * GOLDEN % 1.0)) * DAY


def utc(scaled: float) -> datetime:
    return datetime.fromtimestamp(scaled, UTC)
