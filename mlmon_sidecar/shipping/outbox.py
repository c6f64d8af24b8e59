"""Numbered frames between two ends: kept until they are acknowledged, sent again after a lost connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from mlmon_sidecar.shipping.frames import Kind, pack

FRAME_BYTES = 512  # of a frame's own objects, near enough


@dataclass(frozen=True, slots=True)
class _Frame:
    number: int
    buffers: tuple[bytes, ...]
    size: int  # bytes that keeping it costs
    exchange: bool


class Outbox:
    """For the sending thread alone. ``window_bytes`` bounds what waits for its acknowledgement, one frame excepted."""

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._last = 0
        self._kept: deque[_Frame] = deque()  # not acknowledged, in order
        self._unsent: deque[memoryview] = deque()  # what the connection has not taken, in order
        self.bytes_kept = 0
        self.exchanges_kept = 0

    def add(self, kind: Kind, parts: Sequence[bytes] = ()) -> int:
        """A new frame under the next number. Raises ``WireError`` for one that is too large, and uses no number."""
        buffers = pack(kind, self._last + 1, parts)
        size = FRAME_BYTES + sum(map(len, buffers))
        self._last += 1
        self._kept.append(_Frame(self._last, buffers, size, kind is Kind.EXCHANGE))
        self._unsent.extend(memoryview(buffer) for buffer in buffers if buffer)
        self.bytes_kept += size
        self.exchanges_kept += kind is Kind.EXCHANGE
        return self._last

    @property
    def has_room(self) -> bool:
        return self.bytes_kept < self._window_bytes

    @property
    def empty(self) -> bool:
        """Everything is acknowledged."""
        return not self._kept

    @property
    def first(self) -> int:
        """The oldest number that can still be sent."""
        return self._kept[0].number if self._kept else self._last + 1

    def unsent(self, limit: int) -> list[memoryview]:
        """The next buffers to send, at most ``limit``."""
        return list(islice(self._unsent, limit))

    @property
    def all_sent(self) -> bool:
        return not self._unsent

    def sent(self, size: int) -> None:
        """The connection took so many bytes of ``unsent``."""
        while size > 0:
            buffer = self._unsent[0]
            if size < len(buffer):
                self._unsent[0] = buffer[size:]
                return
            size -= len(buffer)
            self._unsent.popleft()

    def acknowledged(self, through: int) -> None:
        """Everything up to and with that number is the hub's now. Only what was sent whole is acknowledged."""
        while self._kept and self._kept[0].number <= through:
            frame = self._kept.popleft()
            self.bytes_kept -= frame.size
            self.exchanges_kept -= frame.exchange

    def begin_again(self, through: int) -> None:
        """A new connection to a hub that has everything up to ``through``: the rest is sent from its start."""
        self.acknowledged(through)
        self._unsent = deque(memoryview(buffer) for frame in self._kept for buffer in frame.buffers if buffer)
