"""The sender's end of the connection: never waits but where it is told to, and sends from where the bytes lie."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator, Sequence

import orjson

from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.shipping.frames import (
    MAX_OPENING_BYTES,
    MESSAGE_HEADER,
    OPENED,
    Frame,
    FrameReader,
    Opening,
    pack_opening,
    unpack_number,
)

OPENING_SECONDS = 2.0
BUFFERS_AT_ONCE = 512  # below the kernel's IOV_MAX of 1024
RECEIVE_BYTES = 4096  # acknowledgements are 16 bytes each
_REASON_AT = 12  # a refusal is b"MLMN", u16 version, u16 kind, u32 length and then JSON


class Link:
    """At most one connection at a time. Any ``OSError`` and ``WireError`` means that it is of no further use."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stream: socket.socket | None = None
        self._reader = FrameReader()

    @property
    def open(self) -> bool:
        return self._stream is not None

    def connect(self, opening: Opening) -> int:
        """The last number that the hub has. Raises ``OSError``; ``HubUnavailable`` where it does not take us."""
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.settimeout(OPENING_SECONDS)
            stream.connect(self._path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who shuts us out says why, then closes
                stream.sendall(pack_opening(opening))
            through = _answer(stream)
            stream.setblocking(False)
        except BaseException:
            stream.close()
            raise
        self._stream, self._reader = stream, FrameReader()
        return through

    def send(self, buffers: Sequence[memoryview]) -> int:
        """Bytes that were taken; 0: none can be now. The interpreter is free meanwhile."""
        assert self._stream is not None
        try:
            return self._stream.sendmsg(buffers)
        except BlockingIOError:
            return 0

    def received(self) -> Iterator[Frame]:
        """Frames that are there. Raises ``ConnectionResetError`` where the hub has ended."""
        assert self._stream is not None
        while True:
            try:
                data = self._stream.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            if not data:
                raise ConnectionResetError("the hub has closed the connection")
            yield from self._reader.feed(data)

    def wait(self, seconds: float, *, to_send: bool) -> None:
        """Until something can be read, or sent, or the time is up."""
        if self._stream is None:
            time.sleep(seconds)
            return
        poll = select.poll()
        poll.register(self._stream, select.POLLIN | (select.POLLOUT if to_send else 0))
        poll.poll(seconds * 1000)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _answer(stream: socket.socket) -> int:
    _, kind, length = MESSAGE_HEADER.unpack(_exactly(stream, MESSAGE_HEADER.size))
    message = _exactly(stream, min(length, MAX_OPENING_BYTES))
    if kind == OPENED:
        return unpack_number(message)
    raise HubUnavailable("the hub does not take exchanges from here", **_reason(message))


def _reason(message: bytes) -> dict[str, str]:
    """The code and hint of a refusal, where it can be read."""
    try:
        said = orjson.loads(message[_REASON_AT:])
        return {"code": str(said["code"]), "hint": str(said["hint"])}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {"code": "hub_refused", "hint": "Server and hub must run versions of mlmon that know each other."}


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = stream.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError("the hub has closed the connection")
        data += chunk
    return data
