"""Scaled days against the machine's clock, with the clock given."""

import itertools
from datetime import UTC, datetime

import pytest

from mlmon_sidecar.clock import ScaledClock
from mlmon_sidecar.demo.phases import PHASES, Phase
from mlmon_sidecar.demo.schedule import (
    CLOCK_SCALE,
    DAY,
    REAL_SECONDS_PER_DAY,
    Calendar,
    Period,
    baseline_moments,
    label_due,
    moments,
    period_of,
    played,
    utc,
)

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC).timestamp()
CALENDAR = Calendar.plan(NOW, days=32)
PHASE = Phase("some", 5, "anything")


def real_day(day: float) -> float:
    return NOW + day * REAL_SECONDS_PER_DAY


def test_day_zero_begins_now_at_a_midnight_and_the_days_end_before_today() -> None:
    assert utc(CALENDAR.start) == datetime(2026, 2, 10, tzinfo=UTC)
    assert CALENDAR.scaled(NOW) == pytest.approx(CALENDAR.start, abs=0.1)
    assert utc(CALENDAR.midnight(32)) == datetime(2026, 3, 14, tzinfo=UTC)
    assert CALENDAR.scaled(real_day(32)) <= NOW


def test_a_day_takes_its_real_seconds() -> None:
    assert CALENDAR.scaled(real_day(3)) == pytest.approx(CALENDAR.midnight(3), abs=0.1)
    assert CALENDAR.real(CALENDAR.midnight(3)) == pytest.approx(real_day(3), abs=1e-5)


def test_the_calendar_is_the_monitors_scaled_clock() -> None:
    clock = ScaledClock(CALENDAR.scale, int(CALENDAR.anchor * 1e9))
    reading = clock.monotonic_ns()
    real = clock._real.unix_at(reading) / 1e9  # the machine's time of the same reading
    # A double near 1.7e9 s is exact to 0.24 us, times the scale about 10 ms.
    assert clock.unix_at(reading) / 1e9 == pytest.approx(CALENDAR.scaled(real), abs=0.05)


def test_free_days() -> None:
    assert CALENDAR.free_day(real_day(0)) == 0
    assert CALENDAR.free_day(real_day(2.02)) == 2  # just begun: good enough
    assert CALENDAR.free_day(real_day(2.3)) == 3
    assert CALENDAR.free_day(real_day(2.99)) == 3


def test_a_day_that_got_a_late_row_is_not_free() -> None:
    midnight = CALENDAR.midnight(7)
    usual = moments(CALENDAR.midnight(6), 480)[-1] + 5 * 60  # sent 9 ms late
    for sent, free in ((usual, 7), (midnight - 60, 8), (midnight + 3600, 8)):
        assert CALENDAR.free_day(real_day(7) + 0.1, sent) == free


def test_rows_keep_away_from_midnight_and_from_each_other() -> None:
    times = moments(0, 960)
    assert len(times) == 960
    assert all(1800 < t % DAY < DAY - 1800 for t in times)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) == pytest.approx((DAY - 3600) / 480)
    assert sum(t < DAY for t in times) == 480
    per_hour = [sum(hour * 3600 <= t < (hour + 1) * 3600 for t in times[:480]) for hour in range(24)]
    assert all(20 <= count <= 22 for count in per_hour[1:-1])
    assert all(10 <= count <= 11 for count in (per_hour[0], per_hour[-1]))


def test_the_baseline_has_the_same_rhythm_and_ends_before_day_zero() -> None:
    times = baseline_moments(CALENDAR, 8_160)
    assert CALENDAR.start - DAY < times[-1] < CALENDAR.start
    assert (times[-1] - times[0]) / DAY >= 14
    assert [t % DAY for t in times[:480]] == pytest.approx([t % DAY for t in moments(CALENDAR.start, 480)])


def test_a_phase_lasts_its_days_or_until_its_last_answer() -> None:
    assert played(PHASE, 3, free_day=8) == Period("some", 3, 8)
    assert played(PHASE, 3, free_day=7) == Period("some", 3, 8)
    assert played(PHASE, 3, free_day=10) == Period("some", 3, 10)


def test_periods_follow_each_other_on_a_machine_that_keeps_up() -> None:
    day, periods = 2, []
    for phase in PHASES:
        assert CALENDAR.free_day(real_day(day) + 0.01) == day
        end = real_day(day + phase.days) - 0.04  # the last row goes out this long before midnight
        periods.append(played(phase, day, CALENDAR.free_day(end)))
        day = periods[-1].end_day
    assert periods == [
        Period("healthy", 2, 7),
        Period("drifting", 7, 11),
        Period("null_burst", 11, 14),
        Period("collapse", 14, 15),
        Period("recovery", 15, 24),
    ]


def test_which_period_a_moment_lies_in() -> None:
    periods = [Period("healthy", 2, 7), Period("drifting", 8, 11)]
    named = {day: period_of(CALENDAR.midnight(day) + 60, CALENDAR, periods) for day in (1, 2, 6, 7, 8, 10, 11, 30)}
    assert named == {
        1: "before", 2: "healthy", 6: "healthy", 7: "healthy",
        8: "drifting", 10: "drifting", 11: "drifting", 30: "drifting",
    }  # fmt: skip
    assert period_of(CALENDAR.midnight(8) - 1, CALENDAR, periods) == "healthy"


def test_labels_come_one_to_two_days_late() -> None:
    delays = [(label_due(row_id, 1000.0) - 1000.0) / DAY for row_id in range(50_000, 51_000)]
    assert min(delays) >= 1.0
    assert max(delays) < 2.0
    assert sum(delays) / len(delays) == pytest.approx(1.5, abs=0.01)


def test_scale() -> None:
    assert CLOCK_SCALE == 34_560.0
