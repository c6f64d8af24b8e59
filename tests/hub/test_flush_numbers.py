"""What a flush's number is for: sent twice it counts once, a gap is counted, a forgotten recorder begins again.

The real recorder, the real hub and its store, in one process and over the real socket.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fixed_rows import FIRST_MINUTE, MODEL, columns_of, make_rows

from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import HubUnavailable, WireError
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.hub.socket_server import SocketServer
from mlmon_sidecar.interfaces import HubClient
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.records import Flush, FlushReceipt, FlushStatus, RedactedRows
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

ROWS = make_rows()
LAYOUT = Layout.bare(MODEL)

BEFORE = "the hub goes away before it takes the flush"
AFTER = "the hub takes the flush and goes away before it answers"
REFUSED = "the hub refuses the flush for what it is"


class Way:
    """The way to a hub, with faults on order: each waits for the next flush in turn; "" lets it pass."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub
        self.faults: list[str] = []
        self.receipts: list[FlushReceipt] = []

    def flush(self, flush: Flush) -> FlushReceipt:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == BEFORE:
            raise HubUnavailable("away", code="hub_unreachable")
        if fault == REFUSED:
            raise WireError("refused", code="frame_kind")
        self.receipts.append(self._hub.flush(flush))
        if fault == AFTER:
            raise HubUnavailable("away", code="hub_unreachable")
        return self.receipts[-1]

    def __getattr__(self, name: str) -> object:
        return getattr(self._hub, name)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "mlmon.db")


@pytest.fixture
def hub(store: SqliteStore) -> Iterator[Hub]:
    hub = Hub(store, [ModelPlan(MODEL, LAYOUT)], SystemClock(), Telemetry())
    yield hub
    hub.close()


@pytest.fixture(params=["in process", "over the socket"])
def way(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> Iterator[Way]:
    if request.param == "in process":
        yield Way(hub)
        return
    server = SocketServer(tmp_path / "hub.sock", hub)
    server.start()
    client = SocketHubClient(tmp_path / "hub.sock")
    yield Way(client)
    client.close()
    server.stop()


@pytest.fixture
def recorder(way: Way) -> Recorder:
    return a_recorder(way)


def a_recorder(hub: HubClient) -> Recorder:
    model = RecordedModel(DecodeOptions(MODEL), LAYOUT, Redactor())
    recorder = Recorder({MODEL: model}, Handoff(max_bytes=1024), hub, SystemClock(), Telemetry())
    recorder.expect_event_times(MODEL)
    return recorder


def observe(recorder: Recorder, minute: int) -> set[str]:
    rows = [row for row in ROWS if row.minute == minute]
    recorder.observe(batch_from_columns(MODEL, now_ns=0, **columns_of(rows)))
    return {row.alias for row in rows}


def deliver(recorder: Recorder) -> int:
    """Tries until everything is handed over; returns the vain tries."""
    vain = 0
    while not recorder.flush():
        vain += 1
        assert vain < 10
    return vain


def counted(store: SqliteStore) -> tuple[int, int, list[str]]:
    """Rows by the open panes and by the counters, and the kept rows' ids."""
    panes = store.open_panes(MODEL, FIRST_MINUTE + 1_000, 1_000)
    rows = sum(int(item.pane.vector[LAYOUT.traffic.rows]) for item in panes)
    aliases = [row[0] for row in store._rows("SELECT alias FROM predictions")]
    return rows, store.counters().get("rows.decoded", 0), aliases


def assert_once(store: SqliteStore, sent: set[str]) -> None:
    rows, told, aliases = counted(store)
    assert rows == told == len(sent) == len(aliases)
    assert set(aliases) == sent


def test_a_flush_whose_answer_was_lost_is_sent_again_and_counts_once(
    recorder: Recorder, way: Way, store: SqliteStore
) -> None:
    sent: set[str] = set()
    deliver(recorder)
    for minute in range(3):
        sent |= observe(recorder, minute)
        way.faults = [AFTER, AFTER]
        assert deliver(recorder) == 2
    assert [receipt.status for receipt in way.receipts].count(FlushStatus.DUPLICATE) == 6
    assert_once(store, sent)
    assert [row.lost for row in store.recorders()] == [0]


def test_what_is_observed_while_a_flush_is_in_doubt_goes_into_the_next(
    recorder: Recorder, way: Way, store: SqliteStore
) -> None:
    deliver(recorder)
    sent = observe(recorder, 0)
    way.faults = [AFTER]
    assert not recorder.flush()
    sent |= observe(recorder, 1)
    way.faults = [BEFORE]
    assert deliver(recorder) == 1
    assert_once(store, sent)


def test_a_gap_is_counted_and_later_flushes_still_count(recorder: Recorder, way: Way, store: SqliteStore) -> None:
    sent = observe(recorder, 0)
    deliver(recorder)
    observe(recorder, 1)  # the flush that is refused: its number never comes
    way.faults = [REFUSED]
    assert not recorder.flush()
    for minute in (2, 3):
        sent |= observe(recorder, minute)
        deliver(recorder)
    rows, _, aliases = counted(store)
    assert rows == len(sent) == len(aliases)
    assert set(aliases) == sent
    (row,) = store.recorders()
    assert row.lost == 1
    assert [receipt.lost for receipt in way.receipts].count(1) == 1


def test_a_wide_gap_is_counted_whole_and_an_older_number_is_a_duplicate(way: Way, store: SqliteStore) -> None:
    flush = Flush("recorder", 1, (), RedactedRows(), {"a": 1}, {MODEL: -1}, 0)
    assert way.flush(flush) == (FlushStatus.COMMITTED, 0)
    assert way.flush(replace(flush, seq=7)) == (FlushStatus.COMMITTED, 5)
    assert way.flush(replace(flush, seq=8)) == (FlushStatus.COMMITTED, 0)
    assert way.flush(replace(flush, seq=4)).status is FlushStatus.DUPLICATE
    assert store.counters()["a"] == 3
    assert store.recorders()[0].lost == 5


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("fault", [BEFORE, AFTER])
def test_a_forgotten_recorder_registers_again_whenever_the_hub_goes_away_meanwhile(
    recorder: Recorder, way: Way, store: SqliteStore, fault: str, at: int
) -> None:
    """Flushes in turn: the one that meets no memory of its recorder, the registration, the first one again."""
    sent = observe(recorder, 0)
    deliver(recorder)
    first = recorder.recorder_id
    store.forget_recorders(1 << 62)
    sent |= observe(recorder, 1)
    way.faults = [""] * at + [fault]
    assert deliver(recorder) == 1
    sent |= observe(recorder, 2)
    deliver(recorder)
    assert_once(store, sent)
    (row,) = store.recorders()
    assert row.recorder_id == recorder.recorder_id != first
    assert row.lost == 0


def test_a_tick_in_the_midst_of_a_registration_waits_for_the_new_recorder(
    hub: Hub, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (a_recorder(hub) for _ in "ab")
    observe(first, 0)
    observe(first, 5)
    deliver(first)  # nobody else is known: minute 0 could be sealed now
    commit = store.commit_flush

    def commit_and_tick(flush: Flush, seen_ns: int) -> FlushReceipt:
        receipt = commit(flush, seen_ns)
        hub.tick()
        return receipt

    monkeypatch.setattr(store, "commit_flush", commit_and_tick)
    deliver(second)
    assert store.model_state(MODEL) is None
    observe(second, 9)
    deliver(second)
    assert store.model_state(MODEL) is not None


def test_the_same_minute_from_two_recorders_adds_up(way: Way, hub: Hub, store: SqliteStore) -> None:
    rows = [row for row in ROWS if row.minute == 0]
    recorders = [a_recorder(way) for _ in range(2)]
    for recorder, share in zip(recorders, (rows[::2], rows[1::2]), strict=True):
        recorder.observe(batch_from_columns(MODEL, now_ns=0, **columns_of(share)))
        deliver(recorder)
    for recorder in recorders:
        observe(recorder, 9)
        deliver(recorder)
    hub.tick()
    (pane,) = store.fleet_panes(MODEL, FIRST_MINUTE, FIRST_MINUTE + 2)
    assert int(pane.vector[LAYOUT.traffic.rows]) == len(rows)
