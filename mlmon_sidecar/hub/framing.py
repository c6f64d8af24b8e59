"""How messages follow each other on a stream socket: ``u8 version, u8 kind, u32 length`` and the message.

Little-endian. A frame of another version or above ``MAX_FRAME_BYTES`` raises ``WireError``: the stream cannot be
followed any further and is to be closed. Bytes are taken as they arrive, so a declared length costs nothing.
"""

from __future__ import annotations

import socket
import time

from mlmon_sidecar.errors import WireError
from mlmon_sidecar.hub.wire import MAX_FRAME_BYTES, Kind
from mlmon_sidecar.shipping.frames import MESSAGE_HEADER, MESSAGE_VERSION

FRAME_VERSION = MESSAGE_VERSION

_CHUNK_BYTES = 256 * 1024


def send_frame(stream: socket.socket, kind: Kind, message: bytes, until: float) -> None:
    """``until``: ``time.monotonic()`` seconds at which waiting ends with ``TimeoutError``."""
    if len(message) > MAX_FRAME_BYTES:
        raise _too_large(len(message))
    stream.settimeout(_remaining(until))
    stream.sendall(MESSAGE_HEADER.pack(FRAME_VERSION, kind, len(message)) + message)


def receive_frame(stream: socket.socket, until: float) -> tuple[Kind, bytearray]:
    """The next whole frame. Raises ``WireError``, ``TimeoutError``, and ``ConnectionError`` where the stream ends."""
    version, number, length = MESSAGE_HEADER.unpack(_receive(stream, MESSAGE_HEADER.size, until))
    if version != FRAME_VERSION:
        raise WireError(
            f"frame version {version} is not {FRAME_VERSION}",
            code="frame_version",
            hint="Recorder and hub must run versions of mlmon that know each other.",
        )
    if length > MAX_FRAME_BYTES:
        raise _too_large(length)
    try:
        kind = Kind(number)
    except ValueError as error:
        raise WireError(f"frame kind {number} is unknown", code="frame_kind") from error
    return kind, _receive(stream, length, until)


def _receive(stream: socket.socket, size: int, until: float) -> bytearray:
    data = bytearray()
    while len(data) < size:
        stream.settimeout(_remaining(until))
        chunk = stream.recv(min(size - len(data), _CHUNK_BYTES))
        if not chunk:
            raise ConnectionResetError("the other side closed the stream inside a frame")
        data += chunk
    return data


def _remaining(until: float) -> float:
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("no time is left")
    return seconds


def _too_large(length: int) -> WireError:
    return WireError(f"a frame of {length} bytes is above {MAX_FRAME_BYTES}", code="frame_too_large")
