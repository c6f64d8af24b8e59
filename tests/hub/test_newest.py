"""The run of identical predictions and the last hundred, against looking through all panes again."""

import numpy as np
from hub_parts import LAYOUT, START, traffic
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar.checks.collapse import MORE_THAN_ROWS, is_identical
from mlmon_sidecar.hub.newest import NewestPredictions
from mlmon_sidecar.records import Pane
from mlmon_sidecar.statistics.samples import INPUTS, smallest

CELL = LAYOUT.outputs.rows
SCORES = (0.9, 0.6, None)
PANES = {
    (rows, score): traffic(START, rows=rows, score=score, seed=rows) for rows in (1, 7, 30, 50, 120) for score in SCORES
}
STEPS = st.lists(
    st.tuples(st.integers(1, 50), st.sampled_from([0, 1, 7, 30, 50, 120]), st.sampled_from([0.9, 0.9, 0.6, None]))
)


def feed(newest: NewestPredictions, minute: int, pane: Pane) -> None:
    newest.add(minute, pane.vector, pane.samples)


@settings(deadline=None)
@given(STEPS)
def test_any_traffic_agrees_with_looking_back_over_all_of_it(steps: list[tuple[int, int, float | None]]) -> None:
    newest, minute, seen = NewestPredictions(LAYOUT), START, []
    for gap, rows, score in steps:
        minute += gap
        if rows:
            seen.append((minute, PANES[rows, score]))
            feed(newest, *seen[-1])
        else:
            newest.add(minute, np.zeros(LAYOUT.size, np.int64), {})
        _same_run(newest, seen)
        _same_hundred(newest, seen)


def _same_run(newest: NewestPredictions, seen: list[tuple[int, Pane]]) -> None:
    run: list[tuple[int, Pane]] = []
    for item in reversed(seen):
        if not is_identical(LAYOUT, sum(pane.vector for _, pane in [*run, item])):
            break
        run.append(item)
    found = newest.identical
    assert (found is None) == (not run)
    if found is not None:
        assert (found.start_minute, found.end_minute) == (run[-1][0], run[0][0] + 1)
        assert np.array_equal(found.vector, sum(pane.vector for _, pane in run))
        assert found.samples[INPUTS] == smallest((s for _, pane in run for s in pane.samples[INPUTS]), 20)


def _same_hundred(newest: NewestPredictions, seen: list[tuple[int, Pane]]) -> None:
    tail: list[tuple[int, Pane]] = []
    while len(tail) < len(seen) and sum(pane.vector[CELL] for _, pane in tail) < MORE_THAN_ROWS:
        tail.append(seen[-1 - len(tail)])
    enough = sum(pane.vector[CELL] for _, pane in tail) >= MORE_THAN_ROWS
    assert (newest.newest is not None) == enough
    if newest.newest is not None:
        assert (newest.newest.start_minute, newest.newest.end_minute) == (tail[-1][0], tail[0][0] + 1)
        assert np.array_equal(newest.newest.vector, sum(pane.vector for _, pane in tail))


def test_two_panes_each_of_one_answer_are_a_run_of_the_newer() -> None:
    newest = NewestPredictions(LAYOUT)
    for minute, score in enumerate((0.9, 0.9, 0.6, 0.6)):
        feed(newest, minute, PANES[30, score])
    assert newest.identical is not None and newest.identical.start_minute == 2
    feed(newest, 4, PANES[30, None])
    assert newest.identical is None


def test_a_hundred_are_enough() -> None:
    newest = NewestPredictions(LAYOUT)
    for minute in range(3):
        feed(newest, minute, PANES[50, None])
    assert newest.newest is not None and newest.newest.start_minute == 1


def test_a_copy_goes_its_own_way() -> None:
    newest = NewestPredictions(LAYOUT)
    feed(newest, 1, PANES[120, 0.9])
    other = newest.copy()
    for minute in range(2, 6):
        feed(other, minute, PANES[120, None])
    assert other.identical is None
    assert newest.identical is not None and newest.newest is not None
    assert (newest.newest.start_minute, newest.newest.end_minute) == (1, 2)
    assert newest.newest.vector[CELL] == 120 and newest.identical.vector[CELL] == 120
