"""Exchanges as bytes: what goes in comes out, and nothing but ``WireError`` comes out of anything else."""

import struct
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar.errors import WireError
from mlmon_sidecar.records import End, Exchange
from mlmon_sidecar.shipping.exchange import moved, pack_exchange, unpack_exchange, without_bodies
from mlmon_sidecar.shipping.frames import (
    FRAME_HEADER,
    MAX_FRAME_BYTES,
    Counts,
    Frame,
    FrameReader,
    Kind,
    Opening,
    pack,
    pack_counts,
    pack_opening,
    unpack_counts,
    unpack_number,
    unpack_opening,
)

TEXT = st.text(st.characters(codec=None), max_size=20)  # lone surrogates as well: a server may decode a path to them
TIME = st.integers(-(1 << 62), 1 << 62)
COUNT = st.integers(0, (1 << 63) - 1)
HEADERS = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=3).map(tuple)
CHUNKS = st.lists(st.binary(max_size=40), max_size=4).map(tuple)

EXCHANGES = st.builds(
    Exchange, TEXT, TEXT, TEXT, TEXT, TIME, TIME, TIME, st.integers(0, 999), st.sampled_from(End), TEXT,
    HEADERS, CHUNKS, COUNT, HEADERS, CHUNKS, COUNT, st.integers(0, (1 << 128) - 1), st.integers(0, (1 << 64) - 1),
    st.booleans(), st.just(()), st.lists(TIME, max_size=3).map(tuple), COUNT, CHUNKS,
)  # fmt: skip


def payload_of(exchange: Exchange) -> bytes:
    return b"".join(pack_exchange(exchange))


@given(EXCHANGES)
def test_an_exchange_comes_back_as_it_was(exchange: Exchange) -> None:
    found = unpack_exchange(payload_of(exchange))
    assert found == exchange and type(found.end) is End and type(found.trace_sampled) is bool


@given(EXCHANGES.filter(lambda exchange: any(exchange.request_body) or any(exchange.response_body)))
def test_chunks_are_sent_from_where_they_lie(exchange: Exchange) -> None:
    chunks = (*exchange.request_body, *exchange.response_body, *exchange.response_tail)
    assert all(one is other for one, other in zip(pack_exchange(exchange)[1:], chunks, strict=True))


@given(EXCHANGES, st.data())
def test_a_damaged_payload_is_an_exchange_or_a_wire_error(exchange: Exchange, data: st.DataObject) -> None:
    payload = bytearray(payload_of(exchange))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    for damaged in (bytes(payload), cut, cut + b"\x00"):
        try:
            assert type(unpack_exchange(damaged)) is Exchange
        except WireError as error:
            assert error.code.startswith("frame_")


@given(st.binary(max_size=400))
def test_garbage_is_a_wire_error(garbage: bytes) -> None:
    for read in (unpack_exchange, unpack_counts, unpack_opening, unpack_number):
        try:
            read(garbage)
        except WireError as error:
            assert error.code.startswith("frame_")


@given(
    st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 1 << 63), st.binary(max_size=60)), max_size=6), st.data()
)
def test_frames_come_out_however_the_stream_is_cut(said: list[tuple[Kind, int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(b"".join(pack(kind, number, [payload])) for kind, number, payload in said)
    reader, found, at = FrameReader(), list[Frame](), 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        found += reader.feed(stream[at : at + size])
        at += size
    assert found == said and not reader.inside


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ((5, 2, 1, 0, 1), "frame_version"),
        ((5, 1, 1, 7, 1), "frame_version"),
        ((MAX_FRAME_BYTES + 1, 1, 1, 0, 1), "frame_too_large"),
        ((5, 1, 99, 0, 1), "frame_kind"),
    ],
)
def test_what_is_no_frame_ends_the_stream(header: tuple[int, ...], code: str) -> None:
    good = b"".join(pack(Kind.BYE, 1))
    read = FrameReader().feed(good + FRAME_HEADER.pack(*header))
    assert next(read).number == 1, "what came whole before it counts"
    with pytest.raises(WireError) as refusal:
        next(read)
    assert refusal.value.code == code


def test_a_declared_length_costs_nothing() -> None:
    reader = FrameReader()
    assert list(reader.feed(FRAME_HEADER.pack(MAX_FRAME_BYTES, 1, 1, 0, 1))) == [] and reader.inside
    assert reader._data.__sizeof__() < 1_000


def an_exchange(**changes: Any) -> Exchange:
    empty = Exchange(
        "id", "loans", "POST", "/score", 5, 0, 9, 200, End.COMPLETE, "",
        (), (b"{}",), 2, (), (b"[]",), 2, 0, 0, False, (),
    )  # fmt: skip
    return empty._replace(**changes)


def test_what_is_larger_than_any_frame_is_told_without_bodies() -> None:
    large = an_exchange(request_body=(b"x" * (MAX_FRAME_BYTES + 1),), request_bytes=MAX_FRAME_BYTES + 1)
    with pytest.raises(WireError, match="above"):
        pack(Kind.EXCHANGE, 1, pack_exchange(large))
    found = unpack_exchange(payload_of(without_bodies(large)))
    assert (found.request_body, found.request_bytes) == ((), MAX_FRAME_BYTES + 1)


def test_times_move_together() -> None:
    found = moved(an_exchange(first_byte_ns=7, chunk_ns=(7, 8)), 100)
    assert (found.started_ns, found.first_byte_ns, found.ended_ns, found.chunk_ns) == (105, 107, 109, (107, 108))
    assert moved(an_exchange(first_byte_ns=0), 100).first_byte_ns == 0, "0 means that there was none"


def test_openings_and_counts_come_back() -> None:
    opening = Opening("sender", "host:1", 3, 1 << 20, 5, 1 << 60)
    message = pack_opening(opening)
    assert unpack_opening(message[struct.calcsize("<BBI") :]) == opening
    counts = Counts({"exchanges.dropped.queue_full": 3}, 17)
    assert unpack_counts(pack_counts(counts)) == counts


@settings(max_examples=20)
@given(st.sampled_from(Opening._fields), st.sampled_from([None, -1, 1.5, "", []]))
def test_an_opening_with_a_wrong_field_is_refused(name: str, value: object) -> None:
    if name == "origin" and value == "":
        return  # a name for people may be empty
    said = Opening("sender", "host:1", 3, 1, 5, 6)._asdict() | {name: value}
    with pytest.raises(WireError):
        unpack_opening(orjson.dumps(said))
