"""What sender and hub say to each other once a connection ships exchanges.

A connection begins as every other with the hub, by one message of ``u8 version, u8 kind, u32 length`` and its bytes;
here ``OPENING``, answered by ``OPENED``. From then on both sides send frames: ``u32 length, u8 version, u8 kind, u16 0,
u64 number`` and ``length`` bytes. Little-endian throughout. The sender numbers its frames 1, 2, 3 ... for as long as it
lives; the hub acknowledges by number what is committed, and nothing else.

Reading trusts nothing: whatever is wrong raises ``WireError``, which holds no byte of a payload, and the connection is
of no further use.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import orjson

from mlmon_sidecar.errors import WireError

MESSAGE_VERSION = 1
MESSAGE_HEADER = struct.Struct("<BBI")
OPENING = 32  # kind of the message that begins shipping: JSON, ``Opening``
OPENED = 33  # the answer: u64, the last number that is committed
MAX_OPENING_BYTES = 64 * 1024

FRAME_VERSION = 1
FRAME_HEADER = struct.Struct("<IBBHQ")
MAX_FRAME_BYTES = 24 * 1024 * 1024  # two bodies of 8 MiB, the tail of a stream, headers and what a handler said

_NUMBER = struct.Struct("<Q")


class Kind(IntEnum):
    """What a frame is."""

    EXCHANGE = 1
    COUNTS = 2  # JSON, ``Counts``
    BYE = 3  # empty; nothing follows
    ACK = 4  # empty, from the hub: everything up to this number is committed


class Frame(NamedTuple):
    """One frame as it was read."""

    kind: Kind
    number: int
    payload: bytes


class Opening(NamedTuple):
    """Who sends. ``mono_ns`` and ``wall_ns`` are one moment on the sender's two clocks."""

    sender: str  # UUID, fresh for each process start and fork
    origin: str  # host:pid, for people
    first: int  # the oldest number that the sender still has; >= 1
    window_bytes: int  # what it sends without an acknowledgement
    mono_ns: int
    wall_ns: int


class Counts(NamedTuple):
    """What the sender counted since its last counts, and how far it is complete."""

    counters: Mapping[str, int]
    emptied_ns: int  # monotonic: every exchange that ended before it was sent before this


def pack_opening(opening: Opening) -> bytes:
    return pack_message(OPENING, orjson.dumps(opening._asdict()))


def unpack_opening(message: bytes | bytearray) -> Opening:
    found = _object(message, MAX_OPENING_BYTES)
    sender, origin = found.get("sender"), found.get("origin")
    numbers = [found.get(name) for name in ("first", "window_bytes", "mono_ns", "wall_ns")]
    if not (isinstance(sender, str) and 0 < len(sender) <= 64 and isinstance(origin, str) and len(origin) <= 512):
        raise malformed("names no sender")
    first, window_bytes, mono_ns, wall_ns = map(_whole, numbers)
    if first < 1:
        raise malformed("begins before the first number")
    return Opening(sender, origin, first, window_bytes, mono_ns, wall_ns)


def pack_message(kind: int, message: bytes) -> bytes:
    return MESSAGE_HEADER.pack(MESSAGE_VERSION, kind, len(message)) + message


def pack_number(number: int) -> bytes:
    return _NUMBER.pack(number)


def unpack_number(message: bytes | bytearray) -> int:
    if len(message) != _NUMBER.size:
        raise malformed("is no number")
    return int(_NUMBER.unpack(message)[0])


def pack_counts(counts: Counts) -> bytes:
    return orjson.dumps({"counters": counts.counters, "emptied_ns": counts.emptied_ns})


def unpack_counts(payload: bytes) -> Counts:
    found = _object(payload, MAX_OPENING_BYTES)
    counters = found.get("counters")
    if not isinstance(counters, dict):
        raise malformed("holds no counters")
    return Counts({name: _whole(value) for name, value in counters.items()}, _whole(found.get("emptied_ns")))


def head(kind: Kind, number: int, length: int) -> bytes:
    """What goes before a payload of ``length`` bytes. Raises ``WireError`` above ``MAX_FRAME_BYTES``."""
    if length > MAX_FRAME_BYTES:
        raise _too_large()
    return FRAME_HEADER.pack(length, FRAME_VERSION, kind, 0, number)


def pack(kind: Kind, number: int, parts: Sequence[bytes] = ()) -> tuple[bytes, ...]:
    """A frame as the buffers it is sent from."""
    return (head(kind, number, sum(map(len, parts))), *parts)


class FrameReader:
    """Frames out of a stream, however it is cut."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Frame]:
        """Every frame that is whole now. Raises ``WireError`` for what is none; the stream is lost then."""
        self._data += data
        at, held = 0, len(self._data)
        try:
            while held - at >= FRAME_HEADER.size:
                length, kind, number = self._header(at)
                end = at + FRAME_HEADER.size + length
                if end > held:
                    break
                with memoryview(self._data) as view:
                    payload = bytes(view[at + FRAME_HEADER.size : end])
                at = end
                yield Frame(kind, number, payload)
        finally:
            del self._data[:at]

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._data)

    def _header(self, at: int) -> tuple[int, Kind, int]:
        length, version, kind, reserved, number = FRAME_HEADER.unpack_from(self._data, at)
        if version != FRAME_VERSION or reserved:
            raise WireError(
                f"frame version {version} is not {FRAME_VERSION}",
                code="frame_version",
                hint="Server and hub must run versions of mlmon that know each other.",
            )
        if length > MAX_FRAME_BYTES:
            raise _too_large()
        try:
            return length, Kind(kind), number
        except ValueError:
            raise WireError(f"frame kind {kind} is unknown", code="frame_kind") from None


def malformed(what: str) -> WireError:
    return WireError(f"the frame {what}", code="frame_malformed")


def _too_large() -> WireError:
    return WireError(f"a frame is above {MAX_FRAME_BYTES} bytes", code="frame_too_large")


def _object(data: bytes | bytearray, limit: int) -> dict[str, Any]:
    if len(data) > limit:
        raise _too_large()
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise malformed("is no JSON object")
    return found


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise malformed("holds a number that is none")
    return value
