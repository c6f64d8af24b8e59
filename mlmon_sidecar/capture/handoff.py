"""The bounded hand-off between the event loop and the recorder. Nobody waits on either side, and nothing is lost
uncounted: ``accepted == drained + dropped_full + items_in_queue`` at every moment.

A number has one writer. Each thread that runs an event loop owns a ``_Lane`` of produced counters and the recorder owns
the consumed ones, so no count needs a lock; ``deque.append`` and ``deque.popleft`` are atomic. With one loop, the usual
case, both bounds are exact. With n loops in n threads every count is still exact, and the queue may exceed a bound by
at most n - 1 exchanges, because two loops may find the same last place.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from mlmon_sidecar.capture import compiled
from mlmon_sidecar.records import Annotation, Exchange, WhenFull

DEFAULT_MAX_ITEMS = 65_536
DEFAULT_MAX_BYTES = 64 * 1024 * 1024

EXCHANGE_BYTES = 768  # the flat tuple, its id, numbers and queue entry, without what is charged by size
CHUNK_BYTES = 41  # a bytes object's header and its place in the tuple
HEADER_BYTES = 128  # the pair, its name and its value's header
ANNOTATION_BYTES = 320  # the tuple and an empty mapping
VALUE_BYTES = 96  # one named value: its entry, its key and a number


class HandoffStats(NamedTuple):
    """Cumulative counts since the start, and what is queued now."""

    accepted: int  # every exchange offered
    dropped_full: int
    drained: int
    items_in_queue: int
    bytes_in_queue: int
    ignored: int = 0  # left out because a trusted caller asked for it; none of the above


@dataclass(slots=True)
class _Lane:
    """What one producing thread counted. Only that thread writes."""

    accepted: int = 0
    dropped: int = 0
    ignored: int = 0
    bytes_queued: int = 0  # put minus evicted by this thread; the sum over all lanes means something, one may not


class _PureStore:
    _all_lanes: tuple[_Lane, ...]
    _drained_bytes: int
    _lanes: dict[int, _Lane]
    _max_items: int
    _queue: deque[tuple[tuple[Any, ...], int]]
    max_bytes: int


if TYPE_CHECKING or compiled.tap is None:
    _NEW_LANE: Callable[[], _Lane] = _Lane
    _Store = _PureStore
else:
    _NEW_LANE, _Store = compiled.tap.Lane, compiled.tap.Store


class Handoff(_Store):
    """A queue of finished exchanges, bounded by items and bytes. ``put`` never blocks and never wakes anybody."""

    def __init__(
        self,
        max_items: int = DEFAULT_MAX_ITEMS,  # > 0
        max_bytes: int = DEFAULT_MAX_BYTES,  # > 0
        when_full: WhenFull = WhenFull.DROP_NEWEST,
    ) -> None:
        self._max_items = max_items
        self.max_bytes = max_bytes
        self._evicts = when_full is WhenFull.DROP_OLDEST
        self._queue = deque()  # of exchanges and their sizes; the compiled tap's make a pair when they are unpacked
        self._lanes = {}  # thread id -> lane, for good; an id is used again only after its thread ended
        self._all_lanes = ()
        self._new_lane = threading.Lock()
        self._drained = 0  # written by the recorder only, as the next
        self._drained_bytes = 0

    def put(self, exchange: tuple[Any, ...], size: int | None = None) -> bool:
        """Offer one exchange, a flat tuple in the order of ``Exchange``'s fields. False: it was dropped.

        ``size`` is what ``size_of`` says of it, where the caller knows. What raises in here leaves the counts as
        they were.
        """
        if size is None:
            size = size_of(exchange)
        lane = self._lanes.get(get_ident()) or self._lane()
        lane.accepted += 1  # before the append: a reader must never see more drained than accepted
        try:
            # The recorder's count is read first: stale, it says too much is queued, never too little.
            queued = size - self._drained_bytes
            for each in self._all_lanes:
                queued += each.bytes_queued
            if (queued > self.max_bytes or len(self._queue) >= self._max_items) and not (
                self._evicts and self._evict(lane, size)
            ):
                lane.dropped += 1
                return False
            added = lane.bytes_queued + size
            self._queue.append((exchange, size))
        except BaseException:
            lane.accepted -= 1  # it never came in: the caller counts it as lost
            raise
        lane.bytes_queued = added
        return True

    def pass_over(self) -> None:
        """An exchange that is not captured because its caller may ask for that. From a loop's thread."""
        lane = self._lanes.get(get_ident()) or self._lane()
        lane.ignored += 1

    def drain(self, limit: int) -> list[Exchange]:
        """Take up to ``limit`` exchanges, oldest first. For the recorder's thread alone."""
        return self.drain_within(limit, sys.maxsize)[0]

    def drain_within(self, limit: int, most_bytes: int) -> tuple[list[Exchange], int, bool]:
        """Exchanges as ``drain`` takes them, as near to ``most_bytes`` as whole ones come, where the next is as large
        as the last; at least one. Then how many bytes they have, as ``size_of`` says, and whether there are more."""
        taken: list[Exchange] = []
        size = bytes_queued = 0
        try:
            while len(taken) < limit and size + bytes_queued // 2 < most_bytes:
                exchange, bytes_queued = self._queue.popleft()
                taken.append(Exchange._make(exchange))
                size += bytes_queued
        except IndexError:
            pass  # empty
        self._drained_bytes += size
        self._drained += len(taken)
        return taken, size, bool(self._queue)

    def stats(self) -> HandoffStats:
        """A consistent reading from any thread: what is being put or taken at this moment counts as queued."""
        drained = self._drained  # what grows last is read first, so that nothing is counted twice
        lanes = self._all_lanes
        dropped = sum(lane.dropped for lane in lanes)
        accepted = sum(lane.accepted for lane in lanes)
        ignored = sum(lane.ignored for lane in lanes)
        return HandoffStats(accepted, dropped, drained, accepted - dropped - drained, max(0, self._bytes()), ignored)

    def _bytes(self) -> int:
        # The recorder's count is read first: stale, it says too much is queued, never too little.
        queued = -self._drained_bytes
        for lane in self._all_lanes:
            queued += lane.bytes_queued
        return queued

    def _evict(self, lane: _Lane, size: int) -> bool:
        """Make room from the oldest on. False: the exchange would not fit into an empty queue."""
        if size > self.max_bytes:
            return False
        while len(self._queue) >= self._max_items or self._bytes() + size > self.max_bytes:
            try:
                _, evicted = self._queue.popleft()
            except IndexError:
                return True  # the recorder took the rest just now
            lane.bytes_queued -= evicted
            lane.dropped += 1
        return True

    def _lane(self) -> _Lane:
        with self._new_lane:  # once a thread
            lane = self._lanes[get_ident()] = _NEW_LANE()
            self._all_lanes = (*self._all_lanes, lane)
        return lane


def size_of(exchange: tuple[Any, ...]) -> int:
    """Bytes that keeping ``exchange`` costs, near enough: kept bodies and headers exactly, objects by constants.

    The tap adds up the same as it goes along, where it can.
    """
    said = Exchange._make(exchange)
    size = EXCHANGE_BYTES + len(said.path)
    for body, length in ((said.request_body, said.request_bytes), (said.response_body, said.response_bytes)):
        if body:
            size += chunks_size(body) if said.response_tail else CHUNK_BYTES * len(body) + length
    for _, value in (*said.request_headers, *said.response_headers):
        size += HEADER_BYTES + len(value)
    return size + chunks_size(said.response_tail) + sum(map(annotation_size, said.annotations))


def chunks_size(chunks: tuple[bytes, ...]) -> int:
    return CHUNK_BYTES * len(chunks) + sum(map(len, chunks))


def annotation_size(annotation: Annotation) -> int:
    """Bytes of one annotation: texts and containers by their length, arrays by their own account, without depth."""
    size = ANNOTATION_BYTES + value_size(annotation.prediction)
    for value in (annotation.features or {}).values():
        size += value_size(value)
    return size


def value_size(value: object) -> int:
    if isinstance(value, str | bytes | bytearray):
        return VALUE_BYTES + len(value)
    if isinstance(value, list | tuple | dict | set | frozenset):
        return VALUE_BYTES + VALUE_BYTES * len(value)
    size = getattr(value, "nbytes", 0)  # numpy and friends
    return VALUE_BYTES + size if isinstance(size, int) else VALUE_BYTES
