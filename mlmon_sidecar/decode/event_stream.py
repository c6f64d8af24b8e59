"""The chunks of an event stream, readable however it ended: cut off, compressed, or longer than what is kept."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from mlmon_sidecar.decode.body import MAX_INFLATED_BYTES, Headers, content_type, header
from mlmon_sidecar.decode.sse import ServerSentEvent, SseParser
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason, Exchange

EVENT_STREAM: Final = "text/event-stream"
NEVER: Final = -1  # chunk of an event that came after a gap: nobody knows when
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def is_event_stream(exchange: Exchange) -> bool:
    return content_type(exchange.response_headers)[0] == EVENT_STREAM


def stream_chunks(chunks: Sequence[bytes], headers: Headers) -> list[bytes]:
    """The chunks inflated one by one, each at its place; a compressor may hold back, so that some are empty.

    Raises ``DecodeError`` (``unsupported_encoding``, ``body_too_large``).
    """
    encoding = (header(headers, b"content-encoding") or "identity").lower()
    if encoding == "identity":
        return list(chunks)
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise DecodeError("the stream's content encoding cannot be read", code=DropReason.UNSUPPORTED_ENCODING)
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    left, inflated = MAX_INFLATED_BYTES, []
    for chunk in chunks:
        try:
            inflated.append(inflater.decompress(chunk, left + 1))
        except zlib.error:
            raise DecodeError("the stream cannot be inflated", code=DropReason.UNSUPPORTED_ENCODING) from None
        left -= len(inflated[-1])
        if left < 0:
            raise DecodeError("the stream inflates beyond its cap", code=DropReason.BODY_TOO_LARGE)
    return inflated


def stream_events(exchange: Exchange) -> Iterator[ServerSentEvent]:
    """Every event that was kept. Raises like ``stream_chunks``.

    What a stream broke off in is given too. After a gap the first event may be the rest of one; a compressed stream
    cannot be read beyond it.
    """
    yield from _parsed(stream_chunks(exchange.response_body, exchange.response_headers))
    if exchange.response_tail and header(exchange.response_headers, b"content-encoding") in {None, "identity"}:
        yield from (event._replace(chunk=NEVER) for event in _parsed(exchange.response_tail))


def has_gap(exchange: Exchange) -> bool:
    """Whether chunks went by that were not kept."""
    return exchange.response_bytes > sum(map(len, exchange.response_body))


def _parsed(chunks: Sequence[bytes]) -> Iterator[ServerSentEvent]:
    parser = SseParser()
    for chunk in chunks:
        yield from parser.feed(chunk)
    last = parser.finish()
    if last is not None:
        yield last
