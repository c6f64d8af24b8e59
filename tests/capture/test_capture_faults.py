from __future__ import annotations

import threading

from mlmon_sidecar.capture.faults import MAX_KINDS, OTHER, PAUSE_NS, TRIP_LOSSES, TRIP_WINDOW_NS, Faults


def test_counts_by_component_and_type_without_text() -> None:
    faults = Faults()
    faults.count("send", ValueError("secret"))
    faults.count("send", ValueError("another"))
    faults.count("span", TypeError())
    faults.lose()
    assert faults.snapshot() == {("send", "ValueError"): 2, ("span", "TypeError"): 1}
    assert faults.lost == 1


def test_kinds_are_bounded_and_none_is_lost() -> None:
    faults = Faults()
    for number in range(10 * MAX_KINDS):
        faults.count("annotate", type(f"Error{number}", (Exception,), {})())
    counts = faults.snapshot()
    assert len(counts) == MAX_KINDS + 1
    assert counts[OTHER] == 9 * MAX_KINDS


def test_threads_count_exactly() -> None:
    faults = Faults()

    def many() -> None:
        for _ in range(5_000):
            faults.count("annotate", ValueError())
            faults.lose()

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.snapshot() == {("annotate", "ValueError"): 20_000}
    assert faults.lost == 20_000


def test_too_many_losses_switch_capture_off_for_a_while() -> None:
    now = 0
    faults = Faults(lambda: now)
    for _ in range(TRIP_LOSSES - 1):
        faults.lose()
    assert not faults.tripped
    faults.lose()
    assert (faults.tripped, faults.trips) == (True, 1)
    assert faults.refuses()
    assert faults.lost == TRIP_LOSSES + 1, "what it refuses is lost, and counted"
    now = PAUSE_NS
    assert not faults.refuses()
    assert (faults.tripped, faults.lost) == (False, TRIP_LOSSES + 1)
    for _ in range(TRIP_LOSSES):
        faults.lose()
    assert (faults.tripped, faults.trips) == (True, 2)


def test_few_losses_a_window_do_not() -> None:
    now = 0
    faults = Faults(lambda: now)
    for _ in range(20 * TRIP_LOSSES):
        faults.lose()
        now += TRIP_WINDOW_NS // (TRIP_LOSSES - 2)
    assert faults.trips == 0
