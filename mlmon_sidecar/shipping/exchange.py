"""One exchange as a frame's payload, and back. Bodies are sent from where they lie: no chunk is copied here.

The payload is a fixed part, the lengths of everything that varies (u32 each), then texts, headers, times of chunks and
annotations, and last the chunks of the bodies as they were.
"""

from __future__ import annotations

import struct
from itertools import accumulate, chain, pairwise

from mlmon_sidecar.records import Annotation, End, Exchange
from mlmon_sidecar.shipping.frames import malformed
from mlmon_sidecar.shipping.said import pack_said, unpack_said

# times 3q, body sizes 2Q, trace id 2Q, span id Q, count of chunks Q, status H, end B, sampled B;
# then how many: pairs of headers 2H, chunks of request, response and tail 3H, times of chunks H
_FIXED = struct.Struct("<3q2Q2QQQHBB2H3HH")
_TEXTS = 5
_ENDS = tuple(End)
_END_NUMBERS = {end: number for number, end in enumerate(_ENDS)}
_LOW = (1 << 64) - 1
_MOST = (1 << 16) - 1


def pack_exchange(exchange: Exchange) -> tuple[bytes, ...]:
    """The payload in buffers: one of ours, then the chunks. Raises ``WireError`` for what no frame can hold."""
    (
        prediction_id, model, method, path, started_ns, first_byte_ns, ended_ns, status, end, error_type,
        request_headers, request_body, request_bytes, response_headers, response_body, response_bytes,
        trace_id, span_id, sampled, annotations, chunk_ns, response_chunks, tail,
    ) = exchange  # fmt: skip
    small = [text.encode("utf-8", "surrogatepass") for text in (prediction_id, model, method, path, error_type)]
    small += chain.from_iterable(request_headers)
    small += chain.from_iterable(response_headers)
    small.append(struct.pack(f"<{len(chunk_ns)}q", *chunk_ns))
    small.append(pack_said(annotations))
    chunks = (*request_body, *response_body, *tail)
    counts = (len(request_headers), len(response_headers), len(request_body), len(response_body), len(tail))
    if max(counts) > _MOST or len(chunk_ns) > _MOST:
        raise malformed("would have too many parts")
    fixed = _FIXED.pack(
        started_ns, first_byte_ns, ended_ns, request_bytes, response_bytes, trace_id >> 64, trace_id & _LOW, span_id,
        response_chunks, status, _END_NUMBERS[end], sampled, *counts, len(chunk_ns),
    )  # fmt: skip
    lengths = [*map(len, small), *map(len, chunks)]
    own = b"".join((fixed, struct.pack(f"<{len(lengths)}I", *lengths), *small))
    return (own, *chunks)


def without_bodies(exchange: Exchange) -> Exchange:
    """Of an exchange that fits into no frame: what went by is still told, as if it had been above its cap."""
    annotations: tuple[Annotation, ...] = ()
    return exchange._replace(request_body=(), response_body=(), response_tail=(), annotations=annotations)


def unpack_exchange(payload: bytes) -> Exchange:
    """Raises ``WireError``."""
    try:
        return _unpacked(payload)
    except (struct.error, UnicodeDecodeError):
        raise malformed("holds no exchange") from None


def _unpacked(payload: bytes) -> Exchange:
    (
        started_ns, first_byte_ns, ended_ns, request_bytes, response_bytes, high, low, span_id,
        response_chunks, status, end, sampled, in_headers, out_headers, in_chunks, out_chunks, tails, times,
    ) = _FIXED.unpack_from(payload)  # fmt: skip
    parts = _parts(payload, _TEXTS + 2 * (in_headers + out_headers) + 2 + in_chunks + out_chunks + tails)
    prediction_id, model, method, path, error_type = (part.decode("utf-8", "surrogatepass") for part in parts[:_TEXTS])
    if end >= len(_ENDS):
        raise malformed("ends in no known way")
    at = _TEXTS + 2 * in_headers
    request_headers = tuple(zip(parts[_TEXTS:at:2], parts[_TEXTS + 1 : at : 2], strict=True))
    headers_end = at + 2 * out_headers
    response_headers = tuple(zip(parts[at:headers_end:2], parts[at + 1 : headers_end : 2], strict=True))
    chunk_ns, said, *chunks = parts[headers_end:]
    if len(chunk_ns) != 8 * times:
        raise malformed("tells other times than it announces")
    return Exchange(
        prediction_id, model, method, path, started_ns, first_byte_ns, ended_ns, status, _ENDS[end], error_type,
        request_headers, tuple(chunks[:in_chunks]), request_bytes,
        response_headers, tuple(chunks[in_chunks : in_chunks + out_chunks]), response_bytes,
        (high << 64) | low, span_id, bool(sampled), unpack_said(said),
        struct.unpack(f"<{times}q", chunk_ns), response_chunks, tuple(chunks[in_chunks + out_chunks :]),
    )  # fmt: skip


def _parts(payload: bytes, count: int) -> list[bytes]:
    """What the lengths after the fixed part say: together they are the rest of the payload, exactly."""
    begin = _FIXED.size + 4 * count
    lengths = struct.unpack_from(f"<{count}I", payload, _FIXED.size)
    if begin + sum(lengths) != len(payload):
        raise malformed("is not as long as its parts")
    ends = list(accumulate(lengths, initial=begin))
    return [payload[start:end] for start, end in pairwise(ends)]


def moved(exchange: Exchange, by_ns: int) -> Exchange:
    """With its times on a monotonic clock that is ahead by so much."""
    return exchange._replace(
        started_ns=exchange.started_ns + by_ns,
        first_byte_ns=exchange.first_byte_ns + by_ns if exchange.first_byte_ns else 0,
        ended_ns=exchange.ended_ns + by_ns,
        chunk_ns=tuple(at + by_ns for at in exchange.chunk_ns),
    )
