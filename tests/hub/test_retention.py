"""What leaves with time, in small pieces; and what stays the same although much has left."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_hub import MODEL, NOON, ManualClock, bare_plan, flush, kept, open_hub, traffic

from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.retention import PASS_EVERY_NS, ROWS_AT_ONCE
from mlmon_sidecar.records import MINUTE_NS, Label

DAY = 1_440
HORIZON = bare_plan().horizon_days


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Hub:
    hub = open_hub(tmp_path / "mlmon.db", clock)
    hub.flush(flush(1))
    return hub


def tidy(hub: Hub, clock: ManualClock) -> int:
    """Ticks until the pass that goes on and one more are over. Returns how many it took."""
    ticks = 0
    while hub._retention._work is not None:
        hub.tick()
        ticks += 1
    clock.go(PASS_EVERY_NS / 1e9)
    while True:
        hub.tick()
        ticks += 1
        if hub._retention._work is None:
            return ticks


def count(hub: Hub, table: str) -> int:
    return int(hub.store._rows(f"SELECT count(*) FROM {table}")[0][0])


def windows(evaluator: ModelEvaluator) -> list[tuple[object, ...]]:
    return [
        (hour, evaluator._windows.hours(hour * 60, 1).vector.tobytes(), evaluator._windows.hours(hour * 60, 24).samples)
        for hour in range((NOON - 7 * DAY) // 60, NOON // 60 + 1)
    ]


def test_minutes_become_hours_after_two_days_and_a_hub_that_starts_again_sees_the_same(
    tmp_path: Path, hub: Hub, clock: ManualClock
) -> None:
    rng = np.random.default_rng(5)
    minutes = [NOON - 4 * DAY + step for step in range(0, 4 * DAY, 7)]
    panes = [traffic(minute, int(rng.integers(1, 60)), version=f"v{rng.integers(2)}") for minute in minutes]
    hub.flush(flush(2, panes, through=NOON))
    hub.tick()
    (evaluator,) = hub.evaluators()
    before, newest = windows(evaluator), evaluator._newest.newest
    panes_before = count(hub, "fleet_panes")
    assert tidy(hub, clock) > 40, "an hour a tick"
    rolled = hub.store.fleet_panes(MODEL, 0, evaluator.watermark // 60 * 60 - 2 * DAY)
    assert rolled and {pane.key.minute % 60 for pane in rolled} == {0}
    assert count(hub, "fleet_panes") < panes_before * 0.8
    hub.flush(flush(3, [traffic(minutes[3], 5)], through=NOON))  # late, into an hour that is one pane by now
    hub.tick()
    tidy(hub, clock)
    assert {pane.key.minute % 60 for pane in hub.store.fleet_panes(MODEL, 0, NOON - 2 * DAY - 60)} == {0}
    gained = windows(evaluator)
    evaluator.reload()
    assert windows(evaluator) == gained != before
    assert newest is not None and evaluator._newest.newest is not None
    assert evaluator._newest.newest.vector.tobytes() == newest.vector.tobytes()
    hub.close()


def test_predictions_leave_with_their_labels_after_the_horizon_and_what_they_counted_stays(
    hub: Hub, clock: ManualClock
) -> None:
    old = [kept(f"old{n}", NOON - (HORIZON + 1) * DAY + n % 60) for n in range(ROWS_AT_ONCE + 50)]
    new = [kept(f"new{n}", NOON - (HORIZON - 1) * DAY, version="v2") for n in range(7)]
    hub.flush(flush(2, [traffic(NOON - 2 * DAY)], rows=[*old, *new], through=NOON))
    said = [Label(row.prediction_id, "yes", row.event_ns + MINUTE_NS) for row in (*old[:5], *new[:2])]
    hub.labels(said)
    hub.tick()
    assert hub.store.stored_rows() == len(old) + len(new)
    cells = hub.store.outcome_cells(MODEL, 0, 99_999)
    hub.flush(flush(3, [traffic(NOON - 1)], through=NOON))  # the model's own time decides
    hub.tick()
    assert tidy(hub, clock) >= 3, "some hundred at a time"
    assert hub.store.stored_rows() == count(hub, "predictions") == len(new)
    assert hub.store.versions(MODEL)[0][:2] == ("v2", len(new))
    assert len(hub.store.versions(MODEL)) == 1
    assert count(hub, "labels") == 2
    assert hub.store.outcome_cells(MODEL, 0, 99_999) == cells
    assert hub.store.label_counts(MODEL) == {"matched": 7}


def test_history_fed_today_is_not_old_on_arrival(hub: Hub, clock: ManualClock) -> None:
    long_ago = NOON - 900 * DAY
    hub.flush(flush(2, [traffic(long_ago)], rows=[kept("p", long_ago)], through=long_ago))
    hub.tick()
    tidy(hub, clock)
    assert (hub.store.stored_rows(), len(hub.store.fleet_panes(MODEL, 0, NOON))) == (1, 1)


def test_labels_whose_prediction_never_comes_do_not_wait_for_ever(hub: Hub, clock: ManualClock) -> None:
    hub.labels([Label(f"nobody{n}", "yes", clock.now_ns) for n in range(ROWS_AT_ONCE + 1)])
    hub.tick()
    assert count(hub, "labels") == ROWS_AT_ONCE + 1
    clock.go((HORIZON + 1) * 86_400)
    hub.flush(flush(2))
    tidy(hub, clock)
    assert count(hub, "labels") == 0


def test_curves_and_incidents_leave_after_their_time(hub: Hub, clock: ManualClock) -> None:
    run = [traffic(NOON - 402 * DAY + at, 60, identical=True) for at in range(5)]
    ended = [traffic(NOON - 402 * DAY + 5 + at, 120) for at in range(3)]
    middle = [traffic(NOON - 40 * DAY, 60)]
    hub.flush(flush(2, [*run, *ended, *middle], through=NOON))
    hub.tick()
    assert [(i.rule, i.resolved_minute is not None) for i in hub.store.incidents()] == [("collapse", True)]
    hub.flush(flush(3, [traffic(NOON - 1, 60)], through=NOON))
    hub.tick()
    tidy(hub, clock)
    assert [p.at_minute for p in hub.store.series(MODEL, "requests", "", 0)] == [NOON - 1]
    assert {pane.key.minute // DAY for pane in hub.store.fleet_panes(MODEL, 0, NOON)} == {
        (NOON - 40 * DAY) // DAY, (NOON - 1) // DAY
    }  # fmt: skip
    assert hub.store.incidents() == [] and count(hub, "outbox") == 0


def test_a_hub_with_nothing_to_tidy_does_not_look_again_at_each_tick(
    hub: Hub, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.flush(flush(2, [traffic(NOON - 1)], through=NOON))
    hub.tick()
    looked = 0
    whole = hub.store.forget_predictions

    def counted(*args: object) -> int:
        nonlocal looked
        looked += 1
        return whole(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(hub.store, "forget_predictions", counted)
    for _ in range(2_410):  # twenty minutes
        hub.tick()
        clock.go(0.5)
    assert looked == 2
