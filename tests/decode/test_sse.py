"""Events as the HTML standard reads them, however the stream was cut."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode.sse import ServerSentEvent, SseParser


def parsed(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def as_the_standard_says(stream: bytes) -> list[tuple[str, bytes, str]]:
    """Section 9.2.6 of the HTML standard, sentence by sentence, on the whole stream at once."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines = re.split(rb"\r\n|\r|\n", stream)[:-1]  # what follows the last line end is no line
    events, data, kind, last_id = [], b"", b"", b""
    for line in lines:
        if line == b"":
            if data:
                events.append(
                    (kind.decode("utf-8", "replace") or "message", data[:-1], last_id.decode("utf-8", "replace"))
                )
            data, kind = b"", b""
        elif line.startswith(b":"):
            continue
        else:
            field, value = line, b""
            if b":" in line:
                field, value = line.split(b":", 1)
                if value[:1] == b" ":
                    value = value[1:]
            if field == b"event":
                kind = value
            elif field == b"data":
                data += value + b"\n"
            elif field == b"id" and b"\0" not in value:
                last_id = value
    return events


pieces = st.sampled_from(
    [b"data", b":", b" ", b"\r", b"\n", b"\r\n", b"event", b"id", b"retry", b"12", b"\xef\xbb\xbf", b"x", b"\0"]
)
streams = st.lists(st.one_of(pieces, st.binary(max_size=3)), max_size=60).map(b"".join)


def test_the_examples_of_the_standard() -> None:
    stock = b"data: YHOO\ndata: +2\ndata: 10\n\n"
    assert [event.data for event in parsed(stock)] == [b"YHOO\n+2\n10"]
    four = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"
    assert [(event.data, event.id) for event in parsed(four)] == [(b"first event", "1"), (b"second event", "")]
    assert [event.data for event in parsed(b"data\n\ndata\ndata\n\ndata:")] == [b"", b"\n"]
    assert [event.data for event in parsed(b"data:test\n\ndata: test\n\n")] == [b"test", b"test"]


def test_event_name_retry_and_byte_order_mark() -> None:
    parser = SseParser()
    events = parser.feed(b"\xef\xbb\xbfevent: add\nretry: 250\nretry: 2s\ndata: 1\n\ndata: 2\n\n")
    assert [(event.name, event.data) for event in events] == [("add", b"1"), ("message", b"2")]
    assert parser.retry_ms == 250
    assert parsed(b"\n\xef\xbb\xbfdata: 1\n\n") == []  # a mark that does not begin the stream is a name's first letter


def test_each_event_knows_the_chunk_that_completed_it() -> None:
    events = parsed(b"data: a", b"\n", b"\ndata: b\r", b"\n\r", b"\ndata: c\n\ndata: d\n\n")
    assert [(event.data, event.chunk) for event in events] == [(b"a", 2), (b"b", 3), (b"c", 4), (b"d", 4)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_cut_of_a_stream_in_every_kind_of_line_end(end: bytes) -> None:
    stream = end.join(
        [b"\xef\xbb\xbfdata: x", b"data: y", b"", b": comment", b"event: z", b"id: 1", b"data: 2", b"", b""]
    )
    expected = [("message", b"x\ny", ""), ("z", b"2", "1")]
    assert as_the_standard_says(stream) == expected
    for cut in range(len(stream)):
        assert [event[:3] for event in parsed(stream[:cut], stream[cut:])] == expected
    assert [event[:3] for event in parsed(*(stream[at : at + 1] for at in range(len(stream))))] == expected


@given(streams)
def test_it_reads_what_the_standard_says(stream: bytes) -> None:
    assert [(event.name, event.data, event.id) for event in parsed(stream)] == as_the_standard_says(stream)


@given(streams, st.lists(st.integers(0, 200), max_size=30))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    split, whole = parsed(*chunks), parsed(stream)
    assert [event[:3] for event in split] == [event[:3] for event in whole]
    ends = [sum(len(chunk) for chunk in chunks[: event.chunk + 1]) for event in split]
    for event, end in zip(split, ends, strict=True):
        before = parsed(stream[: end - len(chunks[event.chunk])])
        assert [e[:3] for e in before] == [e[:3] for e in whole[: len(before)]]
        assert len(before) <= split.index(event) < len(parsed(stream[:end]))


@given(streams, st.integers(1, 40))
def test_memory_is_bounded_and_the_stream_goes_on_after_an_event_too_large(stream: bytes, limit: int) -> None:
    parser = SseParser(max_event_bytes=limit)
    events = [event for at in range(len(stream)) for event in parser.feed(stream[at : at + 1])]
    assert all(len(event.data) <= limit for event in events)
    parser.feed(b"\r\n\r\n")
    assert [event.data for event in parser.feed(b"data:ok\n\n")] == ([b"ok"] if limit > 6 else [])


def test_what_is_too_large_is_counted() -> None:
    parser = SseParser(max_event_bytes=10)
    assert parser.feed(b"data: 12345678901\n\n") == []
    assert parser.feed(b"data: 1234\ndata: 1234\ndata: 1234\n\n") == []
    assert [event.data for event in parser.feed(b"data: 1\n\n")] == [b"1"]
    assert parser.oversized == 2


def test_finish_gives_what_the_stream_broke_off_in() -> None:
    parser = SseParser()
    parser.feed(b"data: [DONE]")
    last = parser.finish()
    assert last is not None
    assert (last.data, last.chunk) == (b"[DONE]", 0)
    assert parser.finish() is None


@pytest.mark.parametrize(
    "unit", [b"\n", b"\r", b"data\n", b"data:\n\n", b":\n", b"x", b"data: {}\r\n\r\n", b"event:\n", b"id:1\r"]
)
def test_time_grows_with_the_length(unit: bytes) -> None:
    def cost(size: int) -> float:
        stream = unit * (size // len(unit))
        chunks = [stream[at : at + 997] for at in range(0, len(stream), 997)]
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            parsed(*chunks)
            best = min(best, time.process_time() - begun)
        return best

    assert cost(400_000) < 12 * cost(100_000) + 0.02
