"""Traffic that stops is paged by the hub's clock, once, and is over with the next request."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_hub import MODEL, NOON, ManualClock, bare_plan, flush, open_hub, traffic

from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.records import MINUTE_NS, Incident, Tier

HOURS = 9 * 24
EVERY = 5  # minutes


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ManualClock]:
    """Nine days of forty requests every five minutes, up to now."""
    path, clock = tmp_path_factory.mktemp("silence") / "mlmon.db", ManualClock(NOON - HOURS * 60)
    hub = open_hub(path, clock, [bare_plan()])
    minute = NOON - HOURS * 60
    for seq in range(1, HOURS + 1):
        panes = [traffic(minute + at, 40) for at in range(0, 60, EVERY)]
        minute += 60
        clock.now_ns = minute * MINUTE_NS
        hub.flush(flush(seq, panes, through=minute - 1))
        hub.tick()
        assert open_now(hub) == []
    hub.close()
    return path, clock


def open_now(hub: Hub) -> list[Incident]:
    return [incident for incident in hub.store.incidents() if incident.resolved_minute is None]


def test_a_silence_is_paged_once_and_ends_with_the_next_request(fed: tuple[Path, ManualClock]) -> None:
    path, clock = fed
    hub = open_hub(path, clock, [bare_plan()])
    clock.go(60)
    hub.tick()
    assert open_now(hub) == []
    for _ in range(30):
        clock.go(60)
        hub.tick()
    (incident,) = open_now(hub)
    assert (incident.rule, incident.tier, incident.model) == ("throughput_zero", Tier.P1, MODEL)
    assert incident.opened_minute - NOON < 20
    again = hub.clock.unix_ns() // MINUTE_NS
    hub.flush(flush(HOURS + 1, [traffic(again, 40)], through=again))
    hub.tick()
    assert open_now(hub) == []
    hub.close()


def test_a_hub_that_was_away_does_not_page_for_that_time(fed: tuple[Path, ManualClock]) -> None:
    path, clock = fed
    clock.go(12 * 3600)
    hub = open_hub(path, clock, [bare_plan()])
    clock.go(60)
    hub.tick()
    assert open_now(hub) == []
    hub.close()


def test_history_that_is_read_in_is_no_silence(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    hub = open_hub(tmp_path / "mlmon.db", clock, [bare_plan()])
    first = NOON - 90 * 1440
    for seq in range(1, HOURS + 1):
        panes = [traffic(first + seq * 60 + at, 40) for at in range(0, 60, EVERY)]
        hub.flush(flush(seq, panes, through=first + seq * 60 + 59))
    hub.tick()
    for _ in range(60):
        clock.go(60)
        hub.tick()
    assert open_now(hub) == []
    hub.close()
