"""Event time: steady from moment to moment, right in the long run."""

from mlmon_sidecar.clock import SystemClock

SECOND = 1_000_000_000


class Machine:
    """Two clocks that a test moves apart."""

    def __init__(self) -> None:
        self.monotonic, self.wall = 5 * SECOND, 1_700_000_000 * SECOND

    def go(self, seconds: float, *, wall: float | None = None) -> None:
        self.monotonic += int(seconds * SECOND)
        self.wall += int((seconds if wall is None else wall) * SECOND)

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.monotonic, lambda: self.wall)


def test_after_a_night_with_a_closed_lid_event_time_is_right_again() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.go(60)
    assert clock.unix_ns() == machine.wall
    machine.go(1, wall=8 * 3_600)  # the monotonic clock stood still
    started = machine.monotonic
    assert clock.unix_ns() == machine.wall == clock.unix_at(started)


def test_a_small_difference_is_made_up_for_without_a_jump() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.go(1, wall=1.5)
    told, before = [], clock.unix_ns()
    for _ in range(200):
        machine.go(1)
        told.append(clock.unix_ns() - before)
        before += told[-1]
    assert all(SECOND <= step <= 1.05 * SECOND for step in told)
    assert abs(before - machine.wall) < SECOND // 1_000


def test_between_two_looks_time_runs_as_the_monotonic_clock_does() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.unix_at(machine.monotonic + 123) - clock.unix_at(machine.monotonic) == 123
    machine.wall -= 3_600 * SECOND
    assert clock.unix_at(machine.monotonic) == machine.wall + 3_600 * SECOND
    assert clock.unix_ns() == machine.wall
