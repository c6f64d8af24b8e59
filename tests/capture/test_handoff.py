from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from mlmon_sidecar.capture import handoff as module
from mlmon_sidecar.capture.handoff import Handoff, HandoffStats, size_of
from mlmon_sidecar.records import Annotation, End, Exchange, WhenFull


def flat(
    number: int = 0,
    *,
    request: tuple[bytes, ...] = (b"{}",),
    response: tuple[bytes, ...] = (b"[]",),
    annotations: tuple[Annotation, ...] = (),
) -> tuple[Any, ...]:
    exchange = Exchange(
        prediction_id=str(number),
        model="fraud",
        method="POST",
        path="/score",
        started_ns=1,
        first_byte_ns=2,
        ended_ns=3,
        status=200,
        end=End.COMPLETE,
        error_type="",
        request_headers=((b"content-type", b"application/json"),),
        request_body=request,
        request_bytes=sum(map(len, request)) or 1_000_000,
        response_headers=(),
        response_body=response,
        response_bytes=sum(map(len, response)),
        trace_id=0,
        span_id=0,
        trace_sampled=False,
        annotations=annotations,
    )
    return tuple(exchange)


def balanced(stats: HandoffStats) -> bool:
    return stats.accepted == stats.drained + stats.dropped_full + stats.items_in_queue


def test_drain_gives_exchanges_in_order_and_no_more_than_asked() -> None:
    handoff = Handoff()
    for number in range(5):
        assert handoff.put(flat(number))
    first = handoff.drain(3)
    assert all(isinstance(exchange, Exchange) for exchange in first)
    assert [exchange.prediction_id for exchange in first] == ["0", "1", "2"]
    assert first[0] == Exchange._make(flat(0))
    assert handoff.stats() == HandoffStats(5, 0, 3, 2, 2 * size_of(flat()))
    assert [exchange.prediction_id for exchange in handoff.drain(100)] == ["3", "4"]
    assert handoff.drain(100) == []
    assert handoff.stats() == HandoffStats(5, 0, 5, 0, 0)


def test_drain_within_bytes_ends_at_the_nearest_exchange_and_says_whether_there_are_more() -> None:
    handoff, one = Handoff(), size_of(flat())
    for number in range(10):
        assert handoff.put(flat(number))
    found = []
    for most_bytes in (1, one, one + one // 2, 2 * one + 3 * one // 4, 100 * one):
        taken, size, more = handoff.drain_within(64, most_bytes)
        assert size == len(taken) * one
        found.append((len(taken), more))
    assert found == [(1, True), (1, True), (1, True), (3, True), (4, False)]
    assert handoff.drain_within(64, one) == ([], 0, False)
    assert handoff.put(flat(10)) and handoff.put(flat(11))
    assert handoff.drain_within(1, 100 * one)[1:] == (one, True)
    assert handoff.drain_within(1, 100 * one)[1:] == (one, False), "nothing is left, though as many came as were asked"


def test_ten_times_too_much_on_one_loop_is_counted_exactly() -> None:
    handoff = Handoff(max_items=100)

    async def overload() -> list[bool]:
        return [handoff.put(flat(number)) for number in range(1_000)]

    taken = asyncio.run(overload())
    assert taken == [True] * 100 + [False] * 900
    stats = handoff.stats()
    assert (stats.accepted, stats.dropped_full, stats.drained, stats.items_in_queue) == (1_000, 900, 0, 100)
    assert [exchange.prediction_id for exchange in handoff.drain(1_000)] == [str(number) for number in range(100)]
    assert handoff.put(flat())  # there is room again


def test_bytes_bound_the_queue_too() -> None:
    body = b"x" * 10_000
    size = size_of(flat(request=(body,)))
    assert 10_000 < size < 12_000
    handoff = Handoff(max_bytes=10 * size)
    assert sum(handoff.put(flat(request=(body,))) for _ in range(100)) == 10
    assert handoff.stats().bytes_in_queue == 10 * size
    handoff.drain(4)
    assert handoff.stats().bytes_in_queue == 6 * size
    assert sum(handoff.put(flat(request=(body,))) for _ in range(100)) == 4
    assert balanced(handoff.stats())


def test_the_oldest_go_where_that_is_asked_for() -> None:
    handoff = Handoff(max_items=3, when_full=WhenFull.DROP_OLDEST)
    assert all(handoff.put(flat(number)) for number in range(10))
    assert handoff.stats()[:4] == (10, 7, 0, 3)
    assert [exchange.prediction_id for exchange in handoff.drain(10)] == ["7", "8", "9"]


@pytest.mark.parametrize("when_full", WhenFull)
def test_what_never_fits_is_dropped_and_the_rest_stays(when_full: WhenFull) -> None:
    handoff = Handoff(max_bytes=10_000, when_full=when_full)
    assert handoff.put(flat(1))
    assert not handoff.put(flat(2, request=(b"x" * 20_000,)))
    assert [exchange.prediction_id for exchange in handoff.drain(10)] == ["1"]
    assert handoff.stats() == HandoffStats(2, 1, 1, 0, 0)


def test_a_body_that_was_not_kept_costs_nothing_but_its_entry() -> None:
    assert flat(request=())[Exchange._fields.index("request_bytes")] == 1_000_000
    assert size_of(flat(request=())) < 2_000


def test_the_charge_covers_what_an_exchange_really_occupies() -> None:
    chunks = tuple(bytes([65 + number % 20]) * 3 for number in range(1_000))
    annotation = Annotation({f"f{number}": "v" * 50 for number in range(20)}, [0.5] * 10, 0.9, "eu")
    exchange = flat(request=chunks, annotations=(annotation,))
    assert annotation.features is not None
    real = sys.getsizeof(exchange) + sys.getsizeof(chunks) + sum(map(sys.getsizeof, chunks))
    real += sys.getsizeof(annotation) + sys.getsizeof(annotation.features)
    real += sum(sys.getsizeof(name) + sys.getsizeof(value) for name, value in annotation.features.items())
    assert real <= size_of(exchange) <= 2 * real


def test_an_array_is_charged_by_its_own_account() -> None:
    numpy = pytest.importorskip("numpy")
    small = size_of(flat(annotations=(Annotation({"embedding": numpy.zeros(1)}, None, None, None),)))
    large = size_of(flat(annotations=(Annotation({"embedding": numpy.zeros(10_001)}, None, None, None),)))
    assert large - small == 80_000


@pytest.mark.parametrize("when_full", WhenFull)
@pytest.mark.parametrize("producers", [1, 4])
def test_accounts_balance_while_loops_put_and_the_recorder_drains(when_full: WhenFull, producers: int) -> None:
    each = 20_000
    handoff = Handoff(max_items=50, when_full=when_full)
    wrong: list[HandoffStats] = []
    seen: Counter[str] = Counter()
    refused = [0] * producers
    over = 0
    ended = threading.Event()
    interval = sys.getswitchinterval()

    def produce(producer: int) -> None:
        async def loop() -> None:
            for number in range(each):
                refused[producer] += not handoff.put(flat(producer * each + number))

        asyncio.run(loop())

    def record() -> None:
        nonlocal over
        while True:
            last = ended.is_set()
            seen.update(exchange.prediction_id for exchange in handoff.drain(7))
            stats = handoff.stats()
            over = max(over, len(handoff._queue))
            if not balanced(stats) or min(stats) < 0:
                wrong.append(stats)
            if last and not stats.items_in_queue:
                return

    sys.setswitchinterval(1e-5)  # many more interleavings than a run would show by itself
    try:
        threads = [threading.Thread(target=produce, args=(producer,)) for producer in range(producers)]
        recorder = threading.Thread(target=record)
        for thread in [*threads, recorder]:
            thread.start()
        for thread in threads:
            thread.join()
        ended.set()
        recorder.join()
    finally:
        sys.setswitchinterval(interval)

    stats = handoff.stats()
    assert not wrong
    assert stats.accepted == producers * each
    assert stats.drained == len(seen) == sum(seen.values())  # each once
    assert stats.dropped_full == producers * each - len(seen)
    assert (stats.items_in_queue, stats.bytes_in_queue) == (0, 0)
    assert over <= 50 + producers - 1
    if when_full is WhenFull.DROP_NEWEST:
        assert stats.dropped_full == sum(refused)
    else:
        assert sum(refused) == 0


def test_one_lane_per_thread_however_often_a_thread_id_comes_back() -> None:
    handoff = Handoff()
    for _ in range(50):
        thread = threading.Thread(target=handoff.put, args=(flat(),))
        thread.start()
        thread.join()
    assert handoff.stats().accepted == 50
    assert len(handoff._all_lanes) == len(handoff._lanes) <= 50


def test_a_malformed_tuple_is_refused_before_it_is_counted() -> None:
    handoff = Handoff()
    with pytest.raises(TypeError):
        handoff.put(flat()[:-1])
    assert handoff.stats() == HandoffStats(0, 0, 0, 0, 0)


def test_defaults_are_named() -> None:
    assert module.DEFAULT_MAX_ITEMS == 65_536
    assert module.DEFAULT_MAX_BYTES == 64 * 2**20
