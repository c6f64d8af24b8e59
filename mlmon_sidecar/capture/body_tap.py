"""One direction of an exchange: the chunks that went by, by reference, up to a cap.

A body of one piece needs none of this: ``ExchangeTap`` keeps that piece itself. The state of a stream is constant: a
head of at most the cap, the times of its first chunks, and a ring of its last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlmon_sidecar.capture import compiled

MAX_CHUNKS = 4096  # a sender chooses the size of its chunks, and every chunk costs an object
BYTES_A_CHUNK = 8  # so small they may be between two looks: then there are eight times as many
TIMED_CHUNKS = 8  # of an answer: time to first and second chunk, and the pace after them
TAIL_CHUNKS = 8  # of an event stream longer than its cap ...
TAIL_BYTES = 16 * 1024  # ... and their bytes: the end carries a usage count and the reason for stopping

Chunk = bytes | bytearray | memoryview


class _PureBody:
    __slots__ = (
        "_cap",
        "_granted",
        "_keeps_tail",
        "_looked",
        "_now",
        "_passed",
        "_tail",
        "_tail_bytes",
        "chunks",
        "room",
        "times",
    )

    _cap: int  # bytes
    _granted: int
    _keeps_tail: bool
    _looked: int  # bytes that had gone by at the last look
    _now: Callable[[], int]
    _passed: int  # chunks not kept
    _tail: deque[bytes] | None
    _tail_bytes: int
    chunks: list[bytes]
    room: int
    times: list[int]  # monotonic ns


if TYPE_CHECKING or compiled.tap is None:
    _Body = _PureBody
else:
    _Body = compiled.tap.Body


class BodyTap(_Body):
    """Counts every byte; keeps the chunks while they fit. ``kept`` is empty from the first byte over the cap on.

    ``room`` is granted from look to look: so many bytes may be appended to ``chunks`` with nothing else to check. A
    chunk has a byte at least, so the grant bounds their number too, if loosely.
    """

    __slots__ = ()

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._looked = self._passed = 0
        self.chunks = []
        self.room = self._granted = min(cap, BYTES_A_CHUNK * MAX_CHUNKS)

    def add(self, chunk: Chunk) -> None:
        """See one chunk, not empty. Bytes are referenced; a buffer that its owner may write again is copied."""
        if type(chunk) is bytes and (room := self.room - len(chunk)) >= 0:
            self.room = room
            self.chunks.append(chunk)
        else:
            self._look(chunk if type(chunk) is bytes else _copied(chunk))

    def pass_by(self, size: int) -> None:
        """``size`` bytes went by unseen (a file the server sends itself), so what was kept is not the body."""
        self._looked = self.size + size
        self._let_go()

    @property
    def size(self) -> int:
        """Bytes that went by."""
        return self._looked + self._granted - self.room

    @property
    def kept(self) -> tuple[bytes, ...]:
        return tuple(self.chunks)

    @property
    def kept_bytes(self) -> int:
        """Bytes of ``kept``."""
        return sum(map(len, self.chunks)) if self._passed else self.size

    @property
    def count(self) -> int:
        """Chunks that went by."""
        return self._passed + len(self.chunks)

    def _look(self, chunk: bytes) -> None:
        """A chunk beyond what was granted: grant more, or come to the end of what is kept."""
        size = self._looked = self.size + len(chunk)
        chunks = self.chunks
        if size <= self._cap and len(chunks) < MAX_CHUNKS:
            chunks.append(chunk)
            self._grant(min(self._cap - size, BYTES_A_CHUNK * (MAX_CHUNKS - len(chunks))))
        else:
            self._passed += 1
            self._overflow(chunk)

    def _grant(self, room: int) -> None:
        self.room = self._granted = room

    def _overflow(self, chunk: bytes) -> None:
        self._let_go()

    def _let_go(self) -> None:
        self._passed += len(self.chunks)
        self.chunks = []
        self._close()

    def _close(self) -> None:
        """Keep nothing from here on."""
        self._cap = -1
        self._grant(-1)


class StreamTap(BodyTap):
    """An answer in several pieces: when the first went out, and for event streams the last beside the head."""

    __slots__ = ()

    def __init__(self, cap: int, now: Callable[[], int], *, keeps_tail: bool) -> None:
        super().__init__(cap)
        self._now = now
        self._grant(-1)  # until the first chunks are timed
        self._keeps_tail = keeps_tail
        self._tail = None
        self._tail_bytes = 0
        self.times = []

    @property
    def tail(self) -> tuple[bytes, ...]:
        """The last chunks, after a gap; empty where everything was kept, or nothing."""
        return tuple(self._tail) if self._tail else ()

    def _look(self, chunk: bytes) -> None:
        times = self.times
        if len(times) < TIMED_CHUNKS:
            times.append(self._now())
            size = self._looked + len(chunk)
            if size <= self._cap and len(times) < TIMED_CHUNKS:
                self._looked = size
                self.chunks.append(chunk)
                return
        super()._look(chunk)

    def _overflow(self, chunk: bytes) -> None:
        if not self._keeps_tail:
            self._let_go()
            return
        tail = self._tail
        if tail is None:
            self._close()  # the head is complete
            tail = self._tail = deque()
        tail.append(chunk[-TAIL_BYTES:])
        self._tail_bytes += len(tail[-1])
        while len(tail) > TAIL_CHUNKS or self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= len(tail.popleft())

    def _let_go(self) -> None:
        super()._let_go()
        self._keeps_tail = False
        self._tail = None


def _copied(chunk: object) -> bytes:
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    raise TypeError(type(chunk).__name__)
