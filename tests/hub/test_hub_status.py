"""The status: the same bytes for as long as nothing happened, one making a second, no waiting for a seal."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_hub import MODEL, NOON, ManualClock, flush, open_hub, traffic

from mlmon_sidecar.hub import hub as hub_module
from mlmon_sidecar.hub.hub import Hub


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Hub:
    hub = open_hub(tmp_path / "mlmon.db", clock)
    hub.flush(flush(1))
    return hub


def made(hub: Hub) -> int:
    return int(orjson.loads(hub.query("status", {}))["generated_at_ms"])


def test_an_idle_hub_answers_the_same_bytes_and_renews_the_times_now_and_then(hub: Hub, clock: ManualClock) -> None:
    answers = []
    for _ in range(30):
        answers.append(hub.query("status", {}))
        clock.go(2)
    assert len(set(answers)) == 4, "a minute in steps of fifteen seconds"


def test_what_happened_is_told_within_a_second(hub: Hub, clock: ManualClock) -> None:
    before = hub.query("status", {})
    hub.flush(flush(2, [traffic(NOON - 1)], through=NOON - 1, counters={"exchanges.accepted": 10}))
    hub.tick()
    assert hub.query("status", {}) == before
    clock.go(1)
    after = orjson.loads(hub.query("status", {}))
    assert after["counters"]["requests"] == 10 and after["models"][0]["watermark_minute"] == NOON - 1


def test_many_who_ask_cost_one_making_a_second(hub: Hub, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    make = hub_module.status.status

    def counted(of: Hub) -> object:
        nonlocal made
        made += 1
        return make(of)

    monkeypatch.setattr(hub_module.status, "status", counted)
    for _ in range(10):
        for _ in range(50):
            hub.query("status", {})
        clock.go(1)
    assert made == 10


def test_nobody_waits_for_a_long_seal(hub: Hub, clock: ManualClock) -> None:
    before = hub.query("status", {})
    clock.go(20)
    answered: list[bytes] = []

    def ask() -> None:
        answered.append(hub.query("series", {"model": MODEL, "name": "requests"}))
        answered.append(hub.query("incidents", {}))
        answered.append(hub.query("status", {}))

    with hub._lock:  # as a seal holds it
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    assert answered[2] == before
    assert made(hub) > orjson.loads(before)["generated_at_ms"], "and afterwards it is made anew"


def test_a_recorder_that_was_killed_is_no_longer_shown_after_a_while(hub: Hub, clock: ManualClock) -> None:
    def shown() -> list[str]:
        return [each["id"] for each in orjson.loads(hub.query("status", {}))["hub"]["recorders"]]

    hub.flush(flush(1, recorder="killed"))
    assert shown() == ["killed", "r1"] or shown() == ["r1", "killed"]
    clock.go(601)
    hub.flush(flush(2))
    assert shown() == ["r1"]
