"""What is kept of an answer in several pieces: its first times, its head, its tail, and never more than that."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from mlmon_sidecar.capture.body_tap import BYTES_A_CHUNK, MAX_CHUNKS, TAIL_BYTES, TAIL_CHUNKS, TIMED_CHUNKS, StreamTap
from mlmon_sidecar.capture.handoff import Handoff, size_of
from mlmon_sidecar.records import Exchange

EVENTS = [b"text/event-stream", b"Text/Event-Stream; charset=utf-8", b"application/x-ndjson"]


def streamed(chunks: list[Any], media_type: bytes = b"text/event-stream", name: bytes = b"content-type") -> Any:
    messages: list[dict[str, Any]] = [{"type": "http.response.start", "status": 200, "headers": [(name, media_type)]}]
    messages += [{"type": "http.response.body", "body": chunk, "more_body": True} for chunk in chunks]
    return [*messages, {"type": "http.response.body", "body": b"", "more_body": False}]


class Sized(Handoff):
    """Notes what each exchange was charged."""

    charged: int

    def put(self, exchange: tuple[Any, ...], size: int | None = None) -> bool:
        assert size is not None
        self.charged = size
        return super().put(exchange, size)


@pytest.fixture
def run(monitored: Any, http_scope: Any, wire: Any) -> Any:
    def once(messages: list[dict[str, Any]], **options: Any) -> Exchange:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            for number, message in enumerate(messages):
                ticks[0] = 1000 + number
                await send(message)

        ticks = [0]
        handoff = Sized()
        middleware = monitored(app, now=lambda: ticks[0], handoff=handoff, **options)
        connection = wire()
        asyncio.run(middleware(http_scope(), connection.receive, connection.send))
        assert [m.get("body") for m in connection.sent] == [m.get("body") for m in messages]
        assert middleware.capture.faults.snapshot() == {}
        exchange = middleware.exchange()
        assert handoff.charged == size_of(tuple(exchange))
        return exchange

    return once


def test_first_chunks_are_timed_and_all_are_counted(run: Any) -> None:
    exchange = run(streamed([b"%d" % number for number in range(20)]))
    assert exchange.chunk_ns == tuple(range(1001, 1001 + TIMED_CHUNKS))
    assert exchange.response_chunks == len(exchange.response_body) == 20
    assert exchange.first_byte_ns == 1001
    assert exchange.response_tail == ()


@pytest.mark.parametrize("seed", range(24))
def test_what_is_kept_of_any_stream(seed: int, run: Any) -> None:
    chance = random.Random(seed)
    chunks = [b"x" * chance.choice([0, 1, 7, 40]) for _ in range(chance.choice([1, 2, 7, 8, 9, 10, 60]))]
    cap = chance.choice([0, 30, 200, sum(map(len, chunks)), 1 << 20])
    messages = streamed(chunks)
    messages[-1]["body"] = last = b"y" * chance.choice([0, 3])
    events = chance.random() < 0.5
    if not events:
        messages[0]["headers"] = []
    exchange = run(messages, max_body_bytes=1 << 20 if events else cap, max_stream_bytes=cap if events else 1 << 20)

    went_by = [chunk for chunk in (*chunks, last) if chunk]
    whole = sum(map(len, went_by)) <= cap
    fitting = next((at for at in range(len(went_by)) if sum(map(len, went_by[: at + 1])) > cap), len(went_by))
    assert exchange.response_body == (tuple(went_by[:fitting]) if whole or events else ())
    assert exchange.response_tail == (() if whole or not events else tuple(went_by[fitting:][-TAIL_CHUNKS:]))
    assert (exchange.response_bytes, exchange.response_chunks) == (sum(map(len, went_by)), len(went_by))
    ticks = [1001 + number for number, chunk in enumerate((*chunks, last)) if chunk]
    assert exchange.chunk_ns == (tuple(ticks[:TIMED_CHUNKS]) if len(ticks) > 1 else ())
    assert (exchange.first_byte_ns, exchange.ended_ns) == (1001, 1001 + len(chunks))


@pytest.mark.parametrize("length", [1, BYTES_A_CHUNK, 3 * BYTES_A_CHUNK])
def test_a_chunk_costs_an_object_so_their_number_is_bounded(length: int, run: Any) -> None:
    chunks = [b"x" * length] * (BYTES_A_CHUNK * MAX_CHUNKS + 100)
    exchange = run(streamed(chunks), max_stream_bytes=1 << 30)
    assert MAX_CHUNKS <= len(exchange.response_body) <= BYTES_A_CHUNK * MAX_CHUNKS + TIMED_CHUNKS
    assert exchange.response_tail == (chunks[0],) * TAIL_CHUNKS
    assert (exchange.response_bytes, exchange.response_chunks) == (length * len(chunks), len(chunks))


def test_empty_messages_are_no_chunks(run: Any) -> None:
    exchange = run(streamed([b"", b"a", b"", b"b"]))
    assert (exchange.response_body, exchange.response_chunks) == ((b"a", b"b"), 2)
    assert (exchange.first_byte_ns, exchange.chunk_ns) == (1001, (1002, 1004))


@pytest.mark.parametrize(("chunks", "count"), [([b"all"], 1), ([], 0)])
def test_an_answer_of_one_piece_has_no_times(chunks: list[bytes], count: int, run: Any) -> None:
    exchange = run(streamed(chunks))
    assert (exchange.chunk_ns, exchange.response_chunks, exchange.response_body) == ((), count, tuple(chunks))


def test_the_usual_answer_counts_as_one_chunk(run: Any) -> None:
    start, last = streamed([])
    exchange = run([start, {**last, "body": b"whole"}])
    assert (exchange.chunk_ns, exchange.response_chunks, exchange.response_body) == ((), 1, (b"whole",))


@pytest.mark.parametrize("media_type", EVENTS)
@pytest.mark.parametrize("name", [b"content-type", b"Content-Type"])
def test_an_event_stream_beyond_its_cap_keeps_head_and_tail(media_type: bytes, name: bytes, run: Any) -> None:
    chunks = [b"data: %04d\n\n" % number for number in range(100)]
    exchange = run(streamed(chunks, media_type, name), max_body_bytes=50, max_stream_bytes=300)
    kept = 300 // len(chunks[0])
    assert exchange.response_body == tuple(chunks[:kept])
    assert exchange.response_tail == tuple(chunks[-TAIL_CHUNKS:])
    assert (exchange.response_bytes, exchange.response_chunks) == (1200, 100)


def test_another_stream_beyond_its_cap_keeps_nothing(run: Any) -> None:
    exchange = run(streamed([b"0123456789"] * 10, b"application/json"), max_body_bytes=50)
    assert (exchange.response_body, exchange.response_tail) == ((), ())
    assert (exchange.response_bytes, exchange.response_chunks) == (100, 10)
    assert len(exchange.chunk_ns) == TIMED_CHUNKS


def test_buffers_in_a_stream_are_copied(run: Any) -> None:
    buffer = bytearray(b"ab")
    exchange = run(streamed([buffer, memoryview(b"cd")]))
    buffer[:] = b"zz"
    assert exchange.response_body == (b"ab", b"cd")


def test_a_tail_is_bounded_in_bytes() -> None:
    tap = StreamTap(10, lambda: 0, keeps_tail=True)
    for number in range(12):
        tap.add(b"%d" % (number % 10) * 6000)
    assert [len(chunk) for chunk in tap.tail] == [6000, 6000]
    tap.add(b"x" * 50_000)
    assert [len(chunk) for chunk in tap.tail] == [TAIL_BYTES]
    assert (tap.kept, tap.size, tap.count) == ((), 122_000, 13)


def test_the_state_of_a_long_stream_is_constant() -> None:
    tap = StreamTap(1 << 30, lambda: 0, keeps_tail=True)
    sent = 3 * BYTES_A_CHUNK * MAX_CHUNKS
    for _ in range(sent):
        tap.add(b"x")
    assert MAX_CHUNKS <= len(tap.kept) <= BYTES_A_CHUNK * MAX_CHUNKS + TIMED_CHUNKS
    assert (len(tap.tail), len(tap.times)) == (TAIL_CHUNKS, TIMED_CHUNKS)
    assert (tap.size, tap.count) == (sent, sent)


def test_a_file_after_the_head_leaves_nothing_to_keep() -> None:
    tap = StreamTap(100, lambda: 0, keeps_tail=True)
    tap.add(b"head")
    tap.pass_by(50)
    tap.add(b"more")
    assert (tap.kept, tap.tail, tap.size) == ((), (), 58)
