"""The recorder against a hub that notes what it is given: nothing lost, nothing doubled, nothing uncounted."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.decode.batch import Slice
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import HubUnavailable, StoreError, WireError
from mlmon_sidecar.export.catalog import CATALOG, MAX_ATTRIBUTES
from mlmon_sidecar.hub import wire
from mlmon_sidecar.recorder import RecordedModel, Recorder, stages, waiting
from mlmon_sidecar.recorder import recorder as module
from mlmon_sidecar.recorder.decoding import Group
from mlmon_sidecar.recorder.pace import SLICE_NS
from mlmon_sidecar.recorder.stages import Stages
from mlmon_sidecar.records import (
    MINUTE_NS,
    BaselineOrder,
    Distribution,
    DropReason,
    End,
    Event,
    Exchange,
    Flush,
    FlushReceipt,
    FlushStatus,
    HeldBaseline,
    Label,
    LabelReceipt,
    PredictionBatch,
)
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.redact.sampling import in_sample
from mlmon_sidecar.selectors import Selector
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.telemetry import Telemetry

START_NS = 1_000 * MINUTE_NS


class FakeClock:
    """Time stands until a test moves it."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_ns(self) -> int:
        return self.unix_at(self.now_ns)

    def unix_at(self, monotonic_ns: int) -> int:
        return START_NS + monotonic_ns


class NotingHub:
    """Takes every flush it has not seen, as a store does; may be told to fail the next ones."""

    def __init__(self) -> None:
        self.tried: list[bytes] = []  # every call, as it would go over the wire
        self.taken: list[Flush] = []
        self.known: dict[str, int] = {}
        self.failures: list[Exception | str] = []  # "unheard": committed, but the answer is lost
        self.closed = False
        self.gate: threading.Event | None = None

    def flush(self, flush: Flush) -> FlushReceipt:
        self.tried.append(wire.encode_flush(flush))
        if self.gate is not None:
            self.gate.wait(60)
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, Exception):
            raise failure
        receipt = self._commit(flush)
        if failure is not None:
            raise away()
        return receipt

    def _commit(self, flush: Flush) -> FlushReceipt:
        last = self.known.get(flush.recorder_id)
        if last is None and flush.seq != 1:
            return FlushReceipt(FlushStatus.UNKNOWN_RECORDER, 0)
        if last is not None and flush.seq <= last:
            return FlushReceipt(FlushStatus.DUPLICATE, 0)
        self.known[flush.recorder_id] = flush.seq
        self.taken.append(flush)
        return FlushReceipt(FlushStatus.COMMITTED, flush.seq - 1 - (last or 0))

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        raise AssertionError("a recorder sends no labels")

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        raise AssertionError("a recorder asks nothing")

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        raise AssertionError("a recorder gives no orders")

    def close(self) -> None:
        self.closed = True

    # ------------------------------------------------------------ what came in

    def counters(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for flush in self.taken:
            total.update(flush.counters)
        return total

    def ids(self) -> list[str]:
        return [row.prediction_id for flush in self.taken for row in flush.rows.rows]

    def cell(self, name: str) -> int:
        cell = getattr(Layout.bare("m").traffic, name)
        return sum(int(pane.vector[cell]) for flush in self.taken for pane in flush.panes)


def away() -> HubUnavailable:
    return HubUnavailable("no hub", code="hub_unreachable")


def exchange(number: int, ended_ns: int = 4_000_000_000, model: str = "m", **changes: Any) -> Exchange:
    request, response = orjson.dumps({"x": number, "id": f"c{number}"}), orjson.dumps({"score": 0.25})
    json = ((b"content-type", b"application/json"),)
    made = Exchange(
        f"p{number}", model, "POST", "/score", ended_ns - 1_000_000, ended_ns, ended_ns, 200, End.COMPLETE, "",
        json, (request,), len(request), json, (response,), len(response), 0, 0, False, (),
    )  # fmt: skip
    return made._replace(**changes)


class Served:
    """A recorder whose thread does not run: a test takes every step itself."""

    def __init__(self, hub: NotingHub | None = None, **options: Any) -> None:
        self.hub, self.clock, self.telemetry, self.faults = hub or NotingHub(), FakeClock(), Telemetry(), Faults()
        self.handoff = Handoff(max_items=options.pop("max_items", 100_000))
        self.events: list[Event] = []
        telling = options.pop("telling", None)
        model = RecordedModel(
            DecodeOptions(
                "m",
                id=Selector.compile("request.id"),
                version=options.pop("version", None),
                slow_ns=options.pop("slow_ns", 0),
            ),
            Layout.bare("m"),
            Redactor(),
            **options,
        )
        models = {"m": model, "n": replace(model, decode=DecodeOptions("n"), layout=Layout.bare("n"))}
        self.recorder = Recorder(
            models, self.handoff, self.hub, self.clock, self.telemetry, faults=self.faults, telling=telling
        )

    def serve(self, *exchanges: Exchange) -> None:
        for item in exchanges:
            self.handoff.put(tuple(item))

    def drain(self) -> None:
        """To panes and kept rows, which otherwise is the next flush's to do."""
        while self.recorder._stages.step():
            pass
        self.recorder._stages.count_gathered()

    def told(self) -> tuple[int, int, int]:
        """Accepted, decoded and dropped as this process counts them at this moment, all in the hub's words."""
        counters = self.hub.counters()
        dropped = sum(count for name, count in counters.items() if name.startswith(names.DROPPED_PREFIX))
        return counters[names.ACCEPTED], counters[names.DECODED], dropped


@pytest.fixture(name="served")
def _served() -> Served:
    return Served()


def batch(rows: int, minute: int = 5, step: int = 0) -> PredictionBatch:
    made = batch_from_columns("m", now_ns=0, features={"x": list(range(rows))}, scores=[0.5] * rows)
    return replace(made, event_ns=np.array([(minute + step * at) * MINUTE_NS for at in range(rows)], np.int64))


# ---------------------------------------------------------------- what a flush holds


def test_the_first_flush_registers_and_the_next_hold_everything_once(served: Served) -> None:
    served.serve(*(exchange(n) for n in range(40)))
    served.drain()
    assert served.recorder.flush()
    served.serve(exchange(40), exchange(41, model="n"))
    served.drain()
    assert served.recorder.flush()
    first, second, third = served.hub.taken
    assert (first.seq, first.panes, list(first.rows.rows), first.counters) == (1, (), [], {})
    assert first.complete_through == {"m": -1, "n": -1}
    assert [f.seq for f in served.hub.taken] == [1, 2, 3] and len({f.recorder_id for f in served.hub.taken}) == 1
    assert sorted(served.hub.ids()) == sorted(f"p{n}" for n in range(42))
    assert (served.hub.cell("requests"), served.hub.cell("rows")) == (42, 42)
    assert {row.alias for row in second.rows.rows} == {f"c{n}" for n in range(40)}
    assert [pane.key.model for pane in third.panes] == ["m", "n"]
    assert served.told() == (42, 42, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["good", "bad", "error", "lost", "drain", "flush"]), st.integers(1, 30))))
def test_accepted_is_decoded_and_dropped_and_queued_at_every_flush(steps: list[tuple[str, int]]) -> None:
    served, number = Served(max_items=50), 0
    kinds = {"good": {}, "bad": {"request_body": (b"{",)}, "error": {"status": 500}}
    for step, amount in [*steps, ("drain", 1), ("flush", 1)]:
        if step in kinds:
            served.serve(*(exchange(number + n, **kinds[step]) for n in range(amount)))  # type: ignore[arg-type]  # fields of it
            number += amount
        elif step == "lost":
            for _ in range(amount):
                served.faults.lose()
            number += amount
        elif step == "drain":
            served.drain()
        else:
            assert served.recorder.flush()
            accepted, decoded, dropped = served.told()
            assert accepted == number
            assert accepted == decoded + dropped + served.handoff.stats().items_in_queue
    assert len(set(served.hub.ids())) == len(served.hub.ids()) == served.told()[1]


def test_faults_of_the_event_loop_are_told_as_accepted_and_dropped(served: Served) -> None:
    served.faults.lose()
    served.faults.count("capture", ValueError())
    served.recorder.flush()
    served.recorder.flush()
    assert served.hub.counters() == {
        names.ACCEPTED: 1, names.DROPPED_PREFIX + DropReason.INTERNAL_ERROR: 1, "errors.capture.ValueError": 1
    }  # fmt: skip


def test_a_minute_is_complete_when_it_lies_behind_with_nothing_queued(served: Served) -> None:
    def through() -> int:
        served.recorder.flush()
        return served.hub.taken[-1].complete_through["m"]

    served.drain()
    assert through() == 999  # minute 1000 is running
    served.clock.now_ns = 60_000_000_000 + 1_100_000_000
    served.drain()
    assert through() == 999  # 1000 ended 1.1 s ago; 1.2 flush intervals it needs
    served.clock.now_ns += 200_000_000
    assert through() == 999  # nobody has looked into the queue since
    served.drain()
    assert through() == 1_000
    served.clock.now_ns += 60_000_000_000
    served.serve(*(exchange(n) for n in range(1_000)))
    served.recorder._stages.step()
    assert served.handoff.stats().items_in_queue > 0
    assert through() == 1_000  # what is queued may be older
    served.drain()
    assert through() == 1_001


def test_rows_that_wait_to_be_counted_hold_the_minute_back(served: Served) -> None:
    served.recorder.flush()
    served.clock.now_ns = 10 * MINUTE_NS
    served.serve(exchange(1))
    served.recorder._stages.step()  # read, and the queue is empty
    served.recorder._stages._cpu_ns = lambda: 0  # however slow the machine is
    seen = []
    for _ in range(6):
        assert served.recorder._flushing.deliver()  # as the recorder's thread does between two steps
        seen.append((served.hub.cell("rows"), served.hub.taken[-1].complete_through["m"]))
        served.recorder._stages._one_more()  # to columns, those looked at, the traffic, rows to panes, to keep
    assert seen == [*[(0, 999)] * 4, (1, 999), (1, 1_008)]


def test_rows_counted_in_pieces_hold_the_minute_back_and_stand_beside_others(served: Served) -> None:
    """A flush, and rows that are observed, may come between any two pieces."""
    served.recorder.flush()
    served.clock.now_ns = 10 * MINUTE_NS
    served.serve(*(exchange(n) for n in range(20)))
    stages = served.recorder._stages
    stages._cpu_ns = lambda: 0  # however slow the machine is
    stages.step()
    while not stages._gathered or stages._passed:
        stages._one_more()
    ticks = itertools.count(0, SLICE_NS)
    stages._cpu_ns = lambda: next(ticks)  # every piece takes a slice
    steps = 0
    stages._count_rows()
    while stages._counting is not None:
        assert served.recorder._flushing.deliver()
        assert (served.hub.cell("rows"), served.hub.taken[-1].complete_through["m"]) == (steps, 999)
        with served.recorder._state:
            stages.add([batch(1, minute=10)])
        steps += 1
        stages._count_rows()
    assert steps > 5
    assert served.recorder.flush()
    assert served.hub.taken[-1].complete_through["m"] == 1_008
    assert served.hub.cell("rows") == 20 + steps == len(served.hub.ids())


def test_exchanges_on_their_way_to_columns_hold_the_minute_back(served: Served) -> None:
    served.recorder.flush()
    served.clock.now_ns = 10 * MINUTE_NS
    served.serve(*(exchange(n) for n in range(20)))
    stages = served.recorder._stages
    stages.step()
    ticks = itertools.count(0, SLICE_NS)
    stages._cpu_ns = lambda: next(ticks)  # every piece takes a slice
    steps = 0
    stages._to_columns()
    while stages._in_columns is not None:
        assert served.recorder._flushing.deliver()
        assert (served.hub.cell("rows"), served.hub.taken[-1].complete_through["m"]) == (0, 999)
        steps += 1
        stages._to_columns()
    assert steps > 2
    assert served.recorder.flush()
    assert served.hub.taken[-1].complete_through["m"] == 1_008
    assert served.hub.cell("rows") == 20 == len(served.hub.ids())


def test_rows_counted_by_two_threads_in_turn_are_all_kept(served: Served) -> None:
    """A flush counts beside the recorder's thread, which may have looked for work just before it."""
    served.serve(*(exchange(n, model="mn"[n % 2]) for n in range(10)))
    stages = served.recorder._stages
    stages._cpu_ns = lambda: 0  # however slow the machine is
    stages.step()
    stages._to_columns()
    stages._take_in()
    stages._take_in()
    stages._count_rows()
    stages._count_rows()
    served.drain()
    assert served.recorder.flush()
    assert served.hub.cell("rows") == 10 == len(set(served.hub.ids()))


def test_exchanges_in_hand_hold_the_minute_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush from another thread, while a slice is between queue and panes, must not call its minute complete."""
    served.recorder.flush()
    served.clock.now_ns = 10 * MINUTE_NS
    seen: list[int] = []
    drain = served.handoff.drain_within

    def drain_and_flush(limit: int, most_bytes: int) -> tuple[list[Exchange], int, bool]:
        taken = drain(limit, most_bytes)
        thread = threading.Thread(target=served.recorder.flush)
        thread.start()
        thread.join(60)
        seen.append(served.hub.taken[-1].complete_through["m"])
        return taken

    monkeypatch.setattr(served.handoff, "drain_within", drain_and_flush)
    served.serve(exchange(1))
    served.recorder._stages.step()
    assert served.recorder._stages._decoding, "read, not yet counted"
    assert set(seen) == {999}


# ---------------------------------------------------------------- when the hub does not answer


@pytest.mark.parametrize("failure", [away(), "unheard", StoreError("full", code="store_failed"), RuntimeError("odd")])
def test_a_flush_in_doubt_is_sent_again_unchanged(served: Served, failure: Exception | str) -> None:
    served.recorder.flush()
    served.serve(exchange(1))
    served.drain()
    served.hub.failures = [failure, failure]
    assert not served.recorder.flush()
    served.serve(exchange(2))
    served.drain()
    served.clock.now_ns += 1_000_000_000
    assert not served.recorder.flush()
    assert served.recorder.flush()
    first, second, third, rest = served.hub.tried[2:]
    assert first == second == third
    assert [row.prediction_id for row in wire.decode_flush(first).rows.rows] == ["p1"]
    assert [row.prediction_id for row in wire.decode_flush(rest).rows.rows] == ["p2"]
    assert served.hub.ids() == ["p1", "p2"] and served.told() == (2, 2, 0)
    assert served.recorder._flushing.lag_seconds == 0


def test_a_registration_in_doubt_is_sent_again(served: Served) -> None:
    served.hub.failures = [away(), "unheard"]
    served.serve(exchange(1))
    served.drain()
    assert [served.recorder.flush() for _ in range(3)] == [False, False, True]
    assert served.hub.tried[0] == served.hub.tried[1] == served.hub.tried[2]
    assert served.hub.ids() == ["p1"]


def test_the_age_of_the_flush_in_doubt_is_measured(served: Served) -> None:
    served.hub.failures = [away(), away()]
    served.recorder.flush()
    served.clock.now_ns += 3_000_000_000
    served.recorder.flush()
    lag = [m.value for m in served.recorder.measurements() if m.name == "mlmon.self.flush.lag"]  # type: ignore[union-attr]  # a Measurement
    assert lag == [3.0]


@pytest.mark.parametrize("second", [[], [away()], [None, away()], ["unheard"], [None, "unheard"]])
def test_a_hub_that_does_not_know_the_recorder_gets_everything_under_a_fresh_identity(
    served: Served, second: list[Exception | str | None]
) -> None:
    served.recorder.flush()
    served.serve(exchange(1))
    served.drain()
    before = served.recorder.recorder_id
    served.hub.known.clear()  # another store
    served.hub.failures = [None, *second]  # type: ignore[list-item]  # None: the call does not fail
    for _ in range(3):
        served.recorder.flush()
    served.serve(exchange(2))
    served.drain()
    assert served.recorder.flush()
    assert served.recorder.recorder_id != before
    assert served.hub.ids() == ["p1", "p2"] and served.told() == (2, 2, 0)
    seqs = [flush.seq for flush in served.hub.taken if flush.recorder_id != before]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_hub_that_forgets_at_once_is_not_asked_for_ever(served: Served) -> None:
    served.recorder.flush()
    served.serve(exchange(1))
    served.drain()
    served.hub.known.clear()
    commit = served.hub._commit

    def forgetful(flush: Flush) -> FlushReceipt:
        receipt = commit(flush)
        served.hub.known.clear()
        return receipt

    served.hub._commit = forgetful  # type: ignore[method-assign]  # a broken one
    assert not served.recorder.flush()
    assert len(served.hub.tried) < 20
    served.hub._commit = commit  # type: ignore[method-assign]  # and whole again
    assert served.recorder.flush()
    assert served.hub.ids() == ["p1"]


def test_a_refused_flush_is_counted_and_not_sent_again(served: Served) -> None:
    served.recorder.flush()
    served.serve(*(exchange(n) for n in range(3)))
    served.drain()
    served.hub.failures = [WireError("too large", code="frame_too_large")]
    assert not served.recorder.flush()
    served.serve(exchange(9))
    served.drain()
    assert served.recorder.flush()
    assert served.hub.ids() == ["p9"]
    counters = served.hub.counters()
    assert counters["rows.dropped.flush_refused"] == 3 and counters["panes.dropped.flush_refused"] == 1
    assert counters["errors.flush.WireError"] == 1
    assert served.told() == (4, 4, 0)  # the counters of the refused flush are not lost with it
    assert served.hub.taken[-1].seq == 4 and len(served.hub.tried) == 4


def test_waiting_rows_are_bounded_and_the_rest_is_counted(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_ROW_BYTES", 10 * (waiting.ROW_BYTES + len("{}") + len("c1")))
    served.hub.failures = [away()] * 100
    for n in range(30):
        served.serve(exchange(n))
        served.drain()
        served.recorder.flush()
    served.hub.failures = []
    assert served.recorder.flush()
    assert len(served.hub.ids()) == 10
    counters = served.hub.counters()
    assert (counters[names.ROWS], counters[names.ROWS_KEPT]) == (30, 10)
    assert counters["rows.dropped.hub_unreachable"] == 20
    assert served.hub.cell("rows") == 30  # counts cover all
    served.serve(exchange(99))
    served.drain()
    served.recorder.flush()
    assert "p99" in served.hub.ids()


def test_waiting_panes_are_bounded_while_no_hub_answers(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_PANES", 8)
    served.recorder.flush()
    served.hub.failures = [away()] * 100
    for n in range(30):
        served.serve(exchange(n, ended_ns=n * MINUTE_NS + 2_000_000))
        served.drain()
        served.recorder.flush()
        held = served.recorder._waiting.panes + served.recorder._stages.panes()
        assert held <= 8
    served.hub.failures = []
    assert served.recorder.flush()
    minutes = [pane.key.minute for flush in served.hub.taken for pane in flush.panes]
    lost = served.hub.counters()["panes.dropped.hub_unreachable"]
    assert lost and len(minutes) + lost == 30
    assert sorted(minutes)[-4:] == [1_000 + n for n in range(26, 30)]  # the oldest went


def test_a_hub_that_answers_takes_panes_of_any_number_of_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """History fed by ``observe`` spans more minutes at once than wait for an absent hub."""
    monkeypatch.setattr(waiting, "MAX_PANES", 8)
    monkeypatch.setattr(module, "FLUSH_PANES", 16)
    served = Served()
    served.recorder.expect_event_times("m")
    served.recorder.observe(batch(100, step=1))
    assert len(served.hub.taken) > 6  # too many to keep until the next interval
    assert served.recorder.flush()
    assert served.hub.cell("rows") == 100
    assert "panes.dropped.hub_unreachable" not in served.hub.counters()


def test_a_backlog_goes_in_several_flushes_and_only_the_last_is_complete(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FLUSH_BYTES", 10 * waiting.ROW_BYTES)
    served.recorder.flush()
    served.clock.now_ns = 10 * MINUTE_NS
    served.serve(*(exchange(n) for n in range(95)))
    served.drain()
    assert served.recorder.flush()
    flushes = served.hub.taken[2:]
    assert len(flushes) >= 10
    assert [f.complete_through["m"] for f in flushes] == [999] * (len(flushes) - 1) + [1_008]
    assert served.hub.ids() == [f"p{n}" for n in range(95)]
    assert [f.seq for f in flushes] == list(range(3, 3 + len(flushes)))


# ---------------------------------------------------------------- the end


def test_stop_drains_flushes_and_closes(served: Served) -> None:
    served.serve(*(exchange(n) for n in range(300)))
    assert served.recorder.stop() == 0
    assert len(served.hub.ids()) == 300 and served.told() == (300, 300, 0)
    assert [f.closing for f in served.hub.taken] == [False] * (len(served.hub.taken) - 1) + [True]
    assert served.hub.closed


def test_stop_drains_what_came_while_rows_were_waiting_to_be_counted(served: Served) -> None:
    served.serve(exchange(1))
    assert not served.recorder._stages.step(), "it waits for more, or for a flush"
    served.serve(*(exchange(n) for n in range(2, 5)))  # the queue was empty when it was looked into
    assert served.recorder.stop() == 0
    assert len(served.hub.ids()) == 4 and served.told() == (4, 4, 0)


def test_stop_gives_up_at_its_deadline_and_counts_what_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.serve(*(exchange(n) for n in range(1_000)))
    account = Stages._account

    def slow(self: Stages, group: Group) -> None:
        served.clock.now_ns += 1_000_000_000
        account(self, group)

    monkeypatch.setattr(Stages, "_account", slow)
    left = served.recorder.stop(deadline_seconds=3.0)
    assert 0 < left < 1_000
    counters = served.hub.counters()
    assert counters[names.DROPPED_PREFIX + DropReason.SHUTDOWN] == left
    assert counters[names.ACCEPTED] == 1_000 == counters[names.DECODED] + left


@pytest.mark.parametrize("failure", [away(), RuntimeError("odd")])
def test_stop_without_a_hub_says_what_is_lost_and_raises_nothing(
    served: Served, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    served.hub.failures = [failure] * 1_000  # tried again until the deadline
    served.serve(exchange(1))
    assert served.recorder.stop(0.2) == 0
    assert "lost" in caplog.text
    assert served.hub.closed


def test_stop_does_not_wait_for_a_hub_that_never_answers(caplog: pytest.LogCaptureFixture) -> None:
    served = Served()
    served.hub.gate = threading.Event()
    sending = threading.Thread(target=served.recorder.flush)
    sending.start()
    try:
        while not served.hub.tried:
            sending.join(0.01)
        stopping = threading.Thread(target=served.recorder.stop, args=(0.05,))
        stopping.start()
        stopping.join(30)
        assert not stopping.is_alive()
        assert "lost" in caplog.text and served.hub.closed
    finally:
        served.hub.gate.set()
        sending.join(30)


def test_the_thread_records_and_flushes_by_itself() -> None:
    served = Served()
    waited = threading.Event()
    taken = served.hub._commit

    def commit(flush: Flush) -> FlushReceipt:
        receipt = taken(flush)
        if len(served.hub.ids()) == 50:
            waited.set()
        return receipt

    served.hub._commit = commit  # type: ignore[method-assign]  # also tells when all has come
    served.recorder.start()
    served.serve(*(exchange(n) for n in range(50)))
    for _ in range(600):
        served.clock.now_ns += 1_000_000_000
        if waited.wait(0.05):
            break
    assert served.recorder.stop() == 0
    assert sorted(served.hub.ids()) == sorted(f"p{n}" for n in range(50))


# ---------------------------------------------------------------- faults of our own


def fail(*_: object, **__: object) -> Any:
    raise ValueError("payload text")


@pytest.fixture(
    name="broken", params=["decode", "add_exchanges", "join", "adding", "redact_batch", "keep_rows", "event"]
)
def _broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    targets: dict[str, tuple[object, str]] = {
        "decode": (Slice, "decoding"),
        "add_exchanges": (PaneBuilder, "add_exchanges"),
        "join": (stages, "join"),
        "adding": (PaneBuilder, "adding"),
        "redact_batch": (Redactor, "redact_batch"),
        "keep_rows": (stages, "keep_rows"),
        "event": (stages, "prediction_event"),
    }
    monkeypatch.setattr(*targets[request.param], fail)
    yield request.param


def test_a_stage_that_raises_costs_its_rows_and_is_counted(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Telling:
        def event(self, event: Event) -> None:
            raise AssertionError("prediction_event raised before")

    served = Served(telling=Telling())
    served.serve(*(exchange(n, model="mn"[n % 2]) for n in range(10)))
    served.drain()
    monkeypatch.undo()
    served.serve(*(exchange(10 + n) for n in range(5)))
    served.drain()
    assert served.recorder.flush()
    counters = served.hub.counters()
    accepted, decoded, dropped = served.told()
    assert accepted == 15 == decoded + dropped
    assert dropped == (10 if broken == "decode" else 0)
    rows_lost = sum(n for name, n in counters.items() if name.startswith(names.ROWS_DROPPED_PREFIX))
    assert counters[names.ROWS] == decoded == counters[names.ROWS_KEPT] + rows_lost
    assert len(served.hub.ids()) == counters[names.ROWS_KEPT] == (15 if broken in ("event", "add_exchanges") else 5)
    assert [n for name, n in counters.items() if name.startswith("errors.") and name.endswith(".ValueError")] == [2]
    assert "payload text" not in caplog.text


def test_the_thread_outlives_a_fault_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()
    raised = threading.Event()
    drain = Handoff.drain_within

    def broken(self: Handoff, limit: int, most_bytes: int) -> tuple[list[Exchange], int, bool]:
        if not raised.is_set():
            raised.set()
            raise MemoryError
        return drain(self, limit, most_bytes)

    monkeypatch.setattr(Handoff, "drain_within", broken)
    served.recorder.start()
    assert raised.wait(30)
    served.serve(exchange(1))
    for _ in range(600):
        served.clock.now_ns += 1_000_000_000
        if served.hub.ids():
            break
        threading.Event().wait(0.05)
    served.recorder.stop()
    assert served.hub.ids() == ["p1"]
    assert served.hub.counters()["errors.recorder.MemoryError"] == 1


# ---------------------------------------------------------------- what is kept


def test_a_share_is_kept_by_the_hash_of_the_id_and_slow_ones_always() -> None:
    served = Served(keep=0.3, slow_ns=2_000_000_000)
    slow = set(range(0, 200, 50))
    served.serve(*(exchange(n, started_ns=0 if n in slow else 4_000_000_000) for n in range(200)))
    served.drain()
    served.recorder.flush()
    expected = {f"p{n}" for n in range(200) if n in slow or in_sample(f"p{n}", 0.3)}
    assert set(served.hub.ids()) == expected and 20 < len(expected) < 110
    counters = served.hub.counters()
    assert counters[names.ROWS] == 200 == counters[names.ROWS_KEPT] + counters[names.ROWS_SAMPLED_OUT]
    assert served.hub.cell("rows") == 200


def test_a_model_that_keeps_no_rows_has_them_counted_as_aggregated_only() -> None:
    served = Served(keep=0.0, slow_ns=2_000_000_000)
    served.serve(*(exchange(n, started_ns=4_000_000_000 - 3_000_000_000 * (n % 10 == 0)) for n in range(100)))
    served.drain()
    served.recorder.flush()
    counters = served.hub.counters()
    assert len(served.hub.ids()) == counters[names.ROWS_KEPT] == 10, "slow ones are kept all the same"
    assert counters[names.ROWS_AGGREGATED_ONLY] == 90 and counters[names.ROWS] == 100 == served.hub.cell("rows")
    assert names.ROWS_SAMPLED_OUT not in counters


def test_of_a_shadow_every_row_is_counted_and_none_is_kept() -> None:
    served = Served(shadow=frozenset({"v9"}), slow_ns=1, version=Selector.compile("response.version"))
    shadow = (orjson.dumps({"score": 0.25, "version": "v9"}),)
    served.serve(*(exchange(n, **({"response_body": shadow} if n % 4 == 0 else {})) for n in range(100)))
    served.drain()
    served.recorder.flush()
    counters = served.hub.counters()
    assert served.hub.ids() == [f"p{n}" for n in range(100) if n % 4]
    assert (counters[names.ROWS_KEPT], counters[names.ROWS_AGGREGATED_ONLY]) == (75, 25)
    assert served.hub.cell("rows") == 100


def test_stored_features_are_json_whether_they_were_decoded_as_lists_or_arrays() -> None:
    served = Served(store_features=frozenset({"x", "town", "absent"}))
    made = batch(3)
    features: dict[str, Any] = {"x": np.array([1.5, 2.0, 3.0]), "town": ["Ulm", None, "Bonn"], "y": [1, 2, 3]}
    served.recorder.observe(replace(made, features=features))
    assert served.recorder.flush()
    stored = [orjson.loads(row.features) for flush in served.hub.taken for row in flush.rows.rows]
    assert stored == [{"x": 1.5, "town": "Ulm"}, {"x": 2.0}, {"x": 3.0, "town": "Bonn"}]


def test_many_small_exchanges_of_two_models_and_versions_end_as_one_pane_each(served: Served) -> None:
    """They are decoded a few at a time, and gathered until counting is worth its cost."""
    served.serve(*(exchange(n, model="mn"[n % 2]) for n in range(500)))
    steps = 0
    while served.recorder._stages.step():
        steps += 1
    assert served.recorder.flush()
    assert steps > 20
    assert sorted(pane.key.model for flush in served.hub.taken for pane in flush.panes) == ["m", "n"]
    assert served.hub.cell("rows") == served.hub.cell("requests") == 500 == len(set(served.hub.ids()))


def test_what_is_too_little_for_a_step_waits_for_more_and_for_no_longer_than_the_next_flush(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To count one row costs as much as to count sixty."""
    added: list[int] = []
    adding = PaneBuilder.adding

    def watched(self: PaneBuilder, batch: PredictionBatch) -> Iterator[None]:
        added.append(batch.rows)
        return adding(self, batch)

    monkeypatch.setattr(PaneBuilder, "adding", watched)
    for n in range(10):
        served.serve(exchange(n))
        assert not served.recorder._stages.step()
    assert not added
    assert served.recorder.flush()
    assert added == [10] and served.hub.cell("rows") == 10 == len(served.hub.ids())


def test_observed_rows_seal_by_their_own_time(served: Served) -> None:
    served.recorder.expect_event_times("m")
    served.recorder.flush()
    assert served.hub.taken[-1].complete_through == {"m": -1, "n": 999}
    served.recorder.observe(batch(3, minute=70, step=1))
    served.recorder.observe(batch(1, minute=20))
    served.recorder.flush()
    assert served.hub.taken[-1].complete_through["m"] == 71  # 72 may get more
    assert served.told() == (2, 2, 0) and served.hub.counters()[names.ROWS] == 4


# ---------------------------------------------------------------- figures


def test_figures_are_in_the_catalogue_and_cumulative(served: Served) -> None:
    for round_ in range(2):
        served.serve(*(exchange(10 * round_ + n) for n in range(5)))
        served.drain()
        served.recorder.flush()
    figures = served.recorder.measurements()
    assert {f.name for f in figures} <= set(CATALOG)
    for figure in figures:
        keys = [key for key, _ in figure.attributes]
        assert set(keys) <= set(CATALOG[figure.name].attributes) and len(keys) == len(set(keys)) <= MAX_ATTRIBUTES
        if isinstance(figure, Distribution):
            assert len(figure.counts) == len(figure.bounds) + 1
            assert sum(figure.counts) == 10
    (predictions,) = [f for f in figures if f.name == "mlmon.predictions"]
    assert predictions.value == 10  # type: ignore[union-attr]  # a Measurement
    (duration,) = [f for f in figures if f.name == "mlmon.prediction.duration"]
    assert duration.total == pytest.approx(0.01)  # type: ignore[union-attr]  # ten of a millisecond


def test_rows_of_another_width_are_counted_under_their_version() -> None:
    served = Served()
    names_two = replace(served.recorder._stages._models["m"].decode, feature_names=("a", "b"), other_version="v3")
    models = served.recorder._stages._models
    assert isinstance(models, dict)
    models["m"] = replace(models["m"], decode=names_two)
    body = orjson.dumps([[1, 2, 3], [4, 5, 6]])
    answer = orjson.dumps([0.25, 0.5])
    served.serve(
        exchange(1, request_body=(body,), request_bytes=len(body), response_body=(answer,), response_bytes=len(answer))
    )
    served.drain()
    assert served.recorder.flush()
    assert served.hub.counters()["schema.wrong_width"] == 2
    found = [one for one in served.recorder.measurements() if one.name == "mlmon.schema.violations"]
    assert [(one.value, one.attributes[1:]) for one in found] == [
        (2, (("mlmon.model.version", "v3"), ("mlmon.schema.violation", "wrong_width")))
    ]
