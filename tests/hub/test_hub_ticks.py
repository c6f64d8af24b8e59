"""What one turn of the hub's work does, and what it does not let one part do to another."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_hub import MODEL, NOON, ManualClock, bare_plan, flush, kept, open_hub, traffic

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.hub.hub import Hub, HubOptions
from mlmon_sidecar.hub.hub_thread import HubThread
from mlmon_sidecar.store import sqlite
from mlmon_sidecar.store.contract import StoredPane


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Hub:
    return open_hub(tmp_path / "mlmon.db", clock, [bare_plan(), bare_plan("other")])


def requests(hub: Hub, model: str = MODEL) -> list[tuple[int, float]]:
    return [(point.at_minute, point.value) for point in hub.store.series(model, "requests", "", 0)]


def test_a_pane_dated_ahead_is_counted_and_does_not_make_everything_after_it_late(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    later = NOON + 60 * 24 * 365
    hub.flush(flush(1))
    for seq in range(2, 12):
        rows = [kept("soon", NOON + 2), kept(f"late{seq}", later)]
        hub.flush(flush(seq, [traffic(NOON - 12 + seq), traffic(later)], rows=rows, through=NOON - 12 + seq))
    hub.tick()
    assert hub.evaluators()[0].watermark == NOON - 1
    assert hub.store.counters() == {"panes.dropped.clock_skew": 10, "rows.dropped.clock_skew": 10}
    assert hub.store.stored_rows() == 1
    assert len([record for record in caplog.records if "ahead of this hub's clock" in record.message]) == 1


def test_a_model_whose_evaluation_fails_holds_up_neither_the_others_nor_the_hub(
    hub: Hub, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0
    broken = {each.plan.name: each for each in hub.evaluators()}[MODEL]

    def fail(*_: object) -> None:
        nonlocal tried
        tried += 1
        raise KeyError("a value of the payload")

    monkeypatch.setattr(broken, "advance", fail)
    panes = [traffic(NOON - 5), traffic(NOON - 5, model="other")]
    hub.flush(flush(1))
    hub.flush(flush(2, panes, through=NOON - 5))
    for _ in range(100):
        hub.tick()
        clock.go(0.5)
    assert [each.watermark for each in hub.evaluators()] == [-1, NOON - 5]
    assert 3 <= tried <= 6, "it is tried again, less and less often"
    status = orjson.loads(hub.query("status", {}))
    assert "failed" in status["models"][0]["reason"] and "KeyError" in status["models"][0]["reason"]
    assert "a value" not in str(status) and status["models"][1]["reason"].startswith("no baseline")
    monkeypatch.undo()
    clock.go(60)
    hub.tick()
    assert broken.watermark == NOON - 5
    clock.go(2)
    assert "failed" not in orjson.loads(hub.query("status", {}))["models"][0]["reason"]


def test_a_store_that_fails_is_tried_again_less_and_less_often_and_the_status_says_so(
    hub: Hub, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0

    def refuse() -> None:
        nonlocal tried
        tried += 1
        raise StoreError("no space", code="store_failed")

    monkeypatch.setattr(hub.store, "open_models", refuse)
    thread = HubThread(hub)
    for _ in range(240):  # two minutes
        thread.turn()
        clock.go(0.5)
    assert 5 <= tried <= 9 and not thread.fenced
    assert "StoreError" in orjson.loads(hub.query("status", {}))["hub"]["problem"]
    monkeypatch.undo()
    clock.go(60)
    thread.turn()
    clock.go(2)
    assert orjson.loads(hub.query("status", {}))["hub"]["problem"] == ""


def test_the_curve_of_a_minute_holds_what_came_late_and_in_other_versions(hub: Hub) -> None:
    hub.flush(flush(1))
    hub.flush(flush(2, [traffic(NOON - 5, 10), traffic(NOON - 5, 7, version="v2")], through=NOON - 5))
    hub.tick()
    hub.flush(flush(3, [traffic(NOON - 5, 5), traffic(NOON - 4, 1)], through=NOON - 4))
    hub.tick()
    assert requests(hub) == [(NOON - 5, 22.0), (NOON - 4, 1.0)]


def test_late_panes_read_back_their_own_minutes_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.flush(flush(1))
    hub.flush(flush(2, [traffic(NOON - minute) for minute in range(300, 0, -1)], through=NOON - 1))
    hub.tick()
    read: list[int] = []
    whole = hub.store.fleet_panes_of
    monkeypatch.setattr(hub.store, "fleet_panes", lambda *_: pytest.fail("a span was read"))
    monkeypatch.setattr(
        hub.store, "fleet_panes_of", lambda model, minutes: read.extend(minutes) or whole(model, minutes)
    )
    hub.flush(flush(3, [traffic(NOON - 300), traffic(NOON - 1)], through=NOON - 1))
    hub.tick()
    assert read == [NOON - 300, NOON - 1]


def test_between_seals_only_new_panes_are_looked_at_and_a_collapse_is_still_seen(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[int] = []
    stored = sqlite._stored_pane

    def counted(row: list[object]) -> StoredPane:
        unpacked.append(1)
        return stored(row)

    monkeypatch.setattr(sqlite, "_stored_pane", counted)
    hub.flush(flush(1))
    for seq in range(2, 32):  # a flush each half second, the minute still open
        hub.flush(flush(seq, [traffic(NOON, 20, identical=True)], through=NOON - 1))
        hub.tick()
    assert len(unpacked) == 30
    (incident,) = hub.store.incidents()
    assert (incident.rule, incident.provisional, incident.opened_minute) == ("collapse", True, NOON)
    hub.flush(flush(32, through=NOON))
    hub.tick()
    (incident,) = hub.store.incidents()
    assert not incident.provisional


def test_a_part_of_a_minute_is_not_taken_for_the_whole_when_the_seal_is_far_behind(hub: Hub) -> None:
    hub.flush(flush(1))
    differing = [traffic(NOON - minute, 50) for minute in range(40, 0, -1)]
    hub.flush(flush(2, differing, through=NOON - 100))
    hub.tick()
    hub.flush(flush(3, [traffic(NOON - 1, 200, identical=True)], through=NOON - 100))
    hub.tick()
    assert hub.store.incidents() == [], "half of the minute is identical, all of it is not"


def test_panes_are_sealed_in_bounded_readings(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PANES_AT_ONCE", 10)
    hub.flush(flush(1))
    hub.flush(flush(2, [traffic(NOON - 9 + at, version=f"v{v}") for at in range(5) for v in range(7)], through=NOON))
    hub.flush(flush(3, [traffic(NOON - 4, version=f"v{v}") for v in range(25)], through=NOON))
    sizes = []
    while stored := hub.store.open_panes(MODEL, NOON, 64):
        sizes.append(len(stored))
        gone = ",".join(str(each.pane_id) for each in stored)
        hub.store._write.execute(f"DELETE FROM open_panes WHERE pane_id IN ({gone})")
    assert sizes == [7, 7, 7, 7, 7, 25]


def test_a_hub_that_takes_over_does_not_wait_again_for_who_was_silent_before(
    tmp_path: Path, clock: ManualClock
) -> None:
    options = HubOptions(clock_scale=1.0)
    first = open_hub(tmp_path / "mlmon.db", clock, options=options)
    first.flush(flush(1, recorder="dead"))
    clock.go(30)
    first.flush(flush(1))
    first.flush(flush(2, [traffic(NOON)], through=NOON))
    first.close()
    clock.go(3_600)  # nobody was the hub for an hour: that says nothing about those who could not reach one
    second = open_hub(tmp_path / "mlmon.db", clock, options=options)
    assert second.tick() == 1
    second.flush(flush(3, [traffic(NOON + 1)], through=NOON))
    assert second.tick() == 0, "the living one is waited for"
    second.close()


def test_recorders_that_never_come_back_are_forgotten(hub: Hub, clock: ManualClock) -> None:
    for number in range(5):
        hub.flush(flush(1, recorder=f"restart{number}"))
    clock.go(8 * 86_400)
    hub.flush(flush(1))
    hub.tick()
    assert [row.recorder_id for row in hub.store.recorders()] == ["r1"]
    assert hub.recorders.known == ["r1"]
