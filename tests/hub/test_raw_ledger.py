"""Numbers are settled by the flush that holds what they brought, and by no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from small_hub import ManualClock

from mlmon_sidecar.errors import HubUnavailable, WireError
from mlmon_sidecar.hub.raw_ledger import Ledger
from mlmon_sidecar.records import MINUTE_NS, Flush, FlushReceipt, FlushStatus, RedactedRows
from mlmon_sidecar.shipping.frames import Counts

DECODED, ACCEPTED, SHIPPED = "exchanges.decoded", "exchanges.accepted", "shipped.s"


class Hub:
    """Answers as it is told, one answer a call, and then always well."""

    def __init__(self, *answers: FlushStatus | Exception) -> None:
        self.answers = list(answers)
        self.taken: list[Flush] = []

    def flush(self, flush: Flush) -> FlushReceipt:
        answer = self.answers.pop(0) if self.answers else FlushStatus.COMMITTED
        if isinstance(answer, Exception):
            raise answer
        self.taken.append(flush)
        return FlushReceipt(answer, 0)


def a_ledger(hub: Hub, settled: list[int], *, stored: int = 0, through: int = 0, heard: bool = True) -> Ledger:
    return Ledger(
        "s", "host:9", stored, through, hub, ManualClock(), flush_interval_seconds=1.0, heard=lambda: heard,
        settled=settled.append,
    )  # type: ignore[arg-type]  # fmt: skip  # as much of a hub as is asked


def a_flush(seq: int, counters: Mapping[str, int], **more: Any) -> Flush:
    return replace(Flush("recorder", seq, (), RedactedRows(), counters, {"m": 9}, 0, origin="hub:1"), **more)


def three_exchanges(ledger: Ledger) -> None:
    ledger.expect(1, 10)
    ledger.expect(2, 5, Counts({"exchanges.dropped.queue_full": 4, "errors.tap.ValueError": 1}, 0))
    ledger.expect(3, 10)
    ledger.expect(4, 10)
    ledger.expect(5, 5, Counts({}, 0))


def test_a_flush_settles_what_it_holds_and_the_counts_between() -> None:
    hub, settled = Hub(), list[int]()
    ledger = a_ledger(hub, settled)
    three_exchanges(ledger)
    ledger.flush(a_flush(1, {}))
    ledger.flush(a_flush(2, {DECODED: 1, "exchanges.dropped.not_json": 1, ACCEPTED: 3, "rows.decoded": 7}))
    assert ledger.through == 3 and ledger.bytes_waiting == 15
    ledger.flush(a_flush(3, {DECODED: 1}))
    assert settled == [3, 5] and ledger.bytes_waiting == 0
    first, second, third = hub.taken
    assert first.counters == {} and first.origin == "host:9"
    assert second.counters == {
        DECODED: 1, "exchanges.dropped.not_json": 1, "rows.decoded": 7, "errors.tap.ValueError": 1,
        "exchanges.dropped.queue_full": 4, ACCEPTED: 6, SHIPPED: 3,
    }  # fmt: skip
    assert third.counters == {DECODED: 1, ACCEPTED: 1, SHIPPED: 2}


def test_a_flush_in_doubt_is_told_again_as_it_was() -> None:
    """Whatever came meanwhile: it may be committed already."""
    hub, settled = Hub(HubUnavailable("away", code="x"), FlushStatus.DUPLICATE), list[int]()
    ledger = a_ledger(hub, settled)
    ledger.expect(1, 10)
    flush = a_flush(1, {DECODED: 1})
    with pytest.raises(HubUnavailable):
        ledger.flush(flush)
    ledger.expect(2, 1, Counts({"exchanges.dropped.queue_full": 1}, 0))
    ledger.flush(flush)
    assert settled == [1] and hub.taken[0].counters == {DECODED: 1, ACCEPTED: 1, SHIPPED: 1}
    ledger.flush(a_flush(2, {}))
    assert hub.taken[1].counters == {"exchanges.dropped.queue_full": 1, ACCEPTED: 1, SHIPPED: 1}


def test_what_a_hub_did_not_take_settles_nothing() -> None:
    hub, settled = Hub(FlushStatus.UNKNOWN_RECORDER, WireError("refused", code="x")), list[int]()
    ledger = a_ledger(hub, settled)
    three_exchanges(ledger)
    flush = a_flush(1, {DECODED: 3})
    assert ledger.flush(flush).status is FlushStatus.UNKNOWN_RECORDER
    with pytest.raises(WireError):
        ledger.flush(replace(flush, recorder_id="fresh", seq=2))
    assert settled == [] and ledger.through == 0
    ledger.flush(replace(flush, recorder_id="fresh", seq=3))  # the counters of a refused flush come with the next
    assert settled == [5] and hub.taken[-1].counters[SHIPPED] == 5


def test_what_is_left_at_the_end_is_the_senders_still() -> None:
    """The recorder counts what it could not read as dropped; the next hub will be sent it."""
    hub, settled = Hub(), list[int]()
    ledger = a_ledger(hub, settled)
    three_exchanges(ledger)
    ledger.flush(a_flush(1, {DECODED: 1, ACCEPTED: 3, "exchanges.dropped.shutdown": 2}, closing=True))
    assert settled == [2] and "exchanges.dropped.shutdown" not in hub.taken[0].counters


@pytest.mark.parametrize(("stored", "through"), [(0, 0), (40, 40), (0, 40), (30, 40)])
def test_the_stores_number_is_the_senders_and_goes_with_it(stored: int, through: int) -> None:
    hub = Hub()
    ledger = a_ledger(hub, [], stored=stored, through=through)
    ledger.expect(through + 1, 10)
    ledger.flush(a_flush(1, {DECODED: 1}))
    ledger.over = True
    ledger.expect(through + 2, 0, Counts({}, 0))
    ledger.flush(a_flush(2, {}))
    known = stored + sum(flush.counters[SHIPPED] for flush in hub.taken)
    assert known == through + 2
    ledger.flush(a_flush(3, {}, closing=True))
    assert hub.taken[-1].counters[SHIPPED] == -known


def test_minutes_are_complete_as_far_as_the_sender_is() -> None:
    hub = Hub()
    minutes = {"m": 100, "n": 3}
    ledger = a_ledger(hub, [])
    ledger.flush(a_flush(1, {}, complete_through=minutes))
    ledger.expect(1, 5, Counts({}, 51 * MINUTE_NS))
    ledger.flush(a_flush(2, {}, complete_through=minutes))
    ledger.expect(2, 5, Counts({}, 51 * MINUTE_NS + 1_300_000_000))
    ledger.flush(a_flush(3, {}, complete_through=minutes))
    told = [flush.complete_through for flush in hub.taken]
    assert told == [{"m": -1, "n": -1}, {"m": 49, "n": 3}, {"m": 50, "n": 3}]
    silent = a_ledger(hub, [], heard=False)
    silent.flush(a_flush(1, {}, complete_through=minutes))
    assert hub.taken[-1].complete_through == minutes, "nobody is waited for who says nothing"
