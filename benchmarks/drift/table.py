"""What was measured, and how it is printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Row:
    """One stream, all seeds together."""

    stream: str
    hourly: list[int] = field(default_factory=list)  # incidents of each seed
    by_minute: list[int] = field(default_factory=list)
    detectable: list[float] = field(default_factory=list)  # mean over features, of each seed


QUIET_HEAD = f"{'no drift':<20}{'hourly':>10}{'by minute':>12}{'detectable KS':>16}"


def quiet_line(row: Row) -> str:
    by_minute = str(sum(row.by_minute)) if row.by_minute else "-"
    return f"{row.stream:<20}{sum(row.hourly):>10}{by_minute:>12}{statistics.mean(row.detectable):>16.3f}"


def hours(delays: Sequence[float | None]) -> str:
    """``median, worst`` of delays; None is one that was not found."""
    known = sorted(float("inf") if delay is None else delay for delay in delays)
    return f"{_hour(statistics.median(known))}, {_hour(known[-1])}"


def _hour(delay: float) -> str:
    return "never" if delay == float("inf") else f"{delay:.3g} h"
