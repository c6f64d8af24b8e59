"""A queue of what is to be exported, bounded in number and bytes, and the step of the thread that empties it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from mlmon_sidecar.records import DropReason

MAX_ATTEMPTS = 60  # of one batch: about five minutes with a collector that never answers
EXPORT_FAILED = "export_failed"
MAX_QUEUE_BYTES = 8 * 1024 * 1024  # of what waits, whatever its number: prompts and answers may be long
_WORTH_REPEATING = {"408", "429"}  # the client errors that another attempt may cure
_HOPELESS = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED",
             "FAILED_PRECONDITION", "UNIMPLEMENTED"}  # fmt: skip
"""Their like in gRPC: https://opentelemetry.io/docs/specs/otlp/#failures"""

Item = TypeVar("Item")


class Lane(Generic[Item]):
    """A batch that fails is offered again, so that it outlives a short outage of the collector; it may then arrive
    twice. What cannot be kept is counted.

    Args:
        deliver: where a batch goes; "" where it was taken, else the error type.
        lost: told of each loss, with its reason.
        rests: whether nothing is to be offered at present.
    """

    def __init__(
        self,
        deliver: Callable[[Sequence[Item]], str],
        lost: Callable[[int, str], None],
        *,
        queue: int,
        batch: int,
        rests: Callable[[], bool] = lambda: False,
    ) -> None:
        self._deliver = deliver
        self._lost = lost
        self._rests = rests
        self._limit = queue
        self._batch = min(batch, queue)
        self._lock = threading.Lock()  # of the two sums: items come from several threads
        self._held = self._held_bytes = 0  # waiting or offered
        self._waiting: deque[tuple[Item, int]] = deque()
        self._offered: list[tuple[Item, int]] = []
        self._attempts = 0
        self._closed = False

    @property
    def held(self) -> tuple[int, int]:
        """(items, bytes) that are not delivered and not given up."""
        return self._held, self._held_bytes

    def offer(self, item: Item, size: int) -> None:
        """Queue one item of ``size`` bytes; never waits for a collector. The newest is dropped where the queue is
        full."""
        if self._takes(size):
            self._waiting.append((item, size))
        else:
            self._lost(1, DropReason.QUEUE_FULL)

    def step(self) -> None:
        """Send what waits, batch by batch, until a batch fails."""
        while (self._offered or self._waiting) and not self._rests():
            while self._waiting and len(self._offered) < self._batch:
                self._offered.append(self._waiting.popleft())
            error_type = self._deliver([item for item, _ in self._offered])
            if self._closed:  # abandoned while it was under way, and counted
                return
            self._attempts += 1
            if error_type and not _hopeless(error_type) and self._attempts < MAX_ATTEMPTS:
                return
            if error_type:
                self._lost(len(self._offered), EXPORT_FAILED)
            self._release()

    def close(self) -> None:
        """Count what nobody will send any more. A batch still under way counts too, though it may yet arrive."""
        self._closed = True
        self._lost(len(self._offered) + len(self._waiting), DropReason.SHUTDOWN)

    def _takes(self, size: int) -> bool:
        with self._lock:
            if self._held >= self._limit or self._held_bytes + size > MAX_QUEUE_BYTES:
                return False
            self._held += 1
            self._held_bytes += size
            return True

    def _release(self) -> None:
        """What was offered is somebody else's now, or lost."""
        with self._lock:
            self._held -= len(self._offered)
            self._held_bytes -= sum(size for _, size in self._offered)
        self._offered, self._attempts = [], 0


def _hopeless(error_type: str) -> bool:
    """The collector answered, and will answer the same again."""
    return error_type in _HOPELESS or (error_type.startswith("4") and error_type not in _WORTH_REPEATING)
