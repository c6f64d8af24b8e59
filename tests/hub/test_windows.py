"""Sums of recent hours, against adding everything up again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.hub.windows import HOURS_KEPT, RECENT_HOURS, RecentWindows, Windows
from mlmon_sidecar.records import Sample
from mlmon_sidecar.statistics.samples import INPUTS, smallest

Added = tuple[int, int]  # minute, count
MINUTES = st.integers(0, 3 * HOURS_KEPT * 60)


def filled(added: list[Added]) -> Windows:
    windows = Windows("m", 2)
    for minute, count in added:
        windows.add(minute, np.array([count, 1], np.int64), {INPUTS: (Sample(count, str(minute)),)})
    return windows


@given(st.lists(st.tuples(MINUTES, st.integers(0, 9)), min_size=1), st.sampled_from([1, 3, 24]), st.data())
def test_hours_are_the_sum_of_what_was_added_in_any_order(added: list[Added], hours: int, data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([minute for minute, _ in added]))
    newest = max(minute for minute, _ in added) // 60
    inside = [
        (minute, count) for minute, count in added
        if end // 60 - hours < minute // 60 <= end // 60 and minute // 60 > newest - HOURS_KEPT
    ]  # fmt: skip
    window = filled(data.draw(st.permutations(added))).hours(end, hours)
    assert window.vector.tolist() == [sum(count for _, count in inside), len(inside)]
    assert (window.start_minute, window.end_minute) == ((end // 60 - hours + 1) * 60, (end // 60 + 1) * 60)
    expected = smallest((Sample(count, str(minute)) for minute, count in inside), 20)
    assert window.samples.get(INPUTS, ()) == expected


def test_what_is_added_stays_the_callers() -> None:
    windows, mine = Windows("m", 2), np.array([1, 1], np.int64)
    windows.add(5, mine, {})
    windows.add(6, mine, {})
    assert mine.tolist() == [1, 1]
    windows.hours(5, 1).vector[:] = 99
    assert windows.hours(5, 1).vector.tolist() == [2, 2]


def test_only_the_newest_week_is_kept() -> None:
    windows = filled([(hour * 60, 1) for hour in range(3 * HOURS_KEPT)])
    assert len(windows._hours) == len(windows._samples) == HOURS_KEPT
    windows.add(0, np.array([1, 1], np.int64), {})  # too late to matter
    assert len(windows._hours) == HOURS_KEPT
    assert windows.hours(0, 1).vector.tolist() == [0, 0]


def test_recent_windows_go_from_short_to_long_without_samples() -> None:
    recent = RecentWindows(filled([(hour * 60 + 30, hour) for hour in range(30)]), 29 * 60 + 59)
    assert {name: int(window.vector[1]) for name, window in recent.items()} == RECENT_HOURS
    assert list(recent) == sorted(recent, key=lambda name: RECENT_HOURS[name]) and len(recent) == len(RECENT_HOURS)
    assert all(window.samples == {} for window in recent.values())
    assert int(recent["3h"].vector[0]) == 27 + 28 + 29
