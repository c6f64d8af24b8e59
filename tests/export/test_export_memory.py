"""Sums of deltas equal the cumulative figure, whatever fails in between."""

from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.export.figures import Buckets
from mlmon_sidecar.export.memory import Memory, Span

SERIES = ("mlmon.predictions", ())


def test_cumulative_keeps_its_start_and_begins_again_after_a_fall() -> None:
    memory = Memory(start_ns=10)
    assert memory.cumulative(SERIES, 5) == Span(10, 5)
    memory.taken(20)
    assert memory.cumulative(SERIES, 9) == Span(10, 9)
    memory.taken(30)
    assert memory.cumulative(SERIES, 2) == Span(30, 2)
    memory.taken(40)
    assert memory.cumulative(SERIES, 3) == Span(30, 3)


def test_delta_covers_the_time_since_the_last_taken_export() -> None:
    memory = Memory(start_ns=10)
    assert memory.delta(SERIES, 5) == Span(10, 5)
    memory.taken(20)
    assert memory.delta(SERIES, 9) == Span(20, 4)  # not taken
    assert memory.delta(SERIES, 11) == Span(20, 6)
    memory.taken(40)
    assert memory.delta(SERIES, 1) == Span(40, 1)  # it fell: it began again


def test_histograms_subtract_bucket_by_bucket_and_restart_with_other_bounds() -> None:
    memory = Memory(start_ns=0)
    memory.delta(SERIES, Buckets((1.0,), (2, 3), 9.0))
    memory.taken(1)
    assert memory.delta(SERIES, Buckets((1.0,), (2, 5), 19.0)) == Span(1, Buckets((1.0,), (0, 2), 10.0))
    moved = Buckets((2.0,), (4, 3), 19.0)
    assert memory.delta(SERIES, moved) == Span(1, moved)


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=30))
def test_nothing_is_missed_or_counted_twice(steps: list[tuple[int, bool]]) -> None:
    memory, total, received = Memory(0), 0, 0
    for at, (more, taken) in enumerate([*steps, (0, True)], start=1):
        total += more
        _, value = memory.delta(SERIES, total)
        if taken:
            received += value
            memory.taken(at)
    assert received == total
