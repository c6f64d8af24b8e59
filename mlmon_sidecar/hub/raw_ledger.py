"""Which of a sender's numbers are settled: the recorder's flushes, with what makes them count once end to end.

A sender numbers exchanges and tellings of its counts alike. The recorder that decodes them says in each flush how many
exchanges it is done with, decoded or dropped by reason, in the order of their numbers; so the flush settles a number,
and that number goes into the same transaction, as a counter of the sender's own. Whoever serves the sender next, this
hub or another on the store, begins after it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.errors import WireError
from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.records import (
    MINUTE_NS,
    BaselineOrder,
    DropReason,
    Erased,
    Flush,
    FlushReceipt,
    FlushStatus,
    HeldBaseline,
    Label,
    LabelReceipt,
)
from mlmon_sidecar.shipping.frames import Counts

GRACE_INTERVALS = 1.2  # a minute is complete this many flush intervals after its end
_NOT_TOLD = (  # by the recorder: it never drops for want of room, and what it leaves behind is sent again
    names.ACCEPTED,
    names.DROPPED_PREFIX + DropReason.QUEUE_FULL,
    names.DROPPED_PREFIX + DropReason.SHUTDOWN,
)


class _Item(NamedTuple):
    number: int
    size: int  # bytes
    counts: Counts | None  # None: an exchange


@dataclass(frozen=True, slots=True)
class _Frozen:
    """A flush as the hub is given it: as long as it is in doubt, the same one."""

    given: Flush
    told: Flush
    items: int  # settled by it
    through: int


class Ledger:
    """Implements ``interfaces.HubClient`` for the recorder of one sender.

    ``expect`` is called by the connection's thread before the recorder can see the exchange, ``flush`` by one thread at
    a time.

    Args:
        stored: the last number that the store has.
        through: the last number that is committed, as far as anybody knows; >= ``stored``.
        heard: whether the sender has been heard lately; one that has not does not hold up anybody's minutes.
        settled: told the last number that is committed, each time it moves.
    """

    def __init__(
        self,
        sender: str,
        origin: str,
        stored: int,
        through: int,
        hub: HubClient,
        clock: Clock,
        *,
        flush_interval_seconds: float,
        heard: Callable[[], bool],
        settled: Callable[[int], None],
    ) -> None:
        self.through, self._stored = through, stored
        self.over = False  # the sender will never ask for its number again
        self._sender, self._origin = sender, origin
        self._hub, self._clock = hub, clock
        self._grace_ns = int(GRACE_INTERVALS * flush_interval_seconds * 1e9)
        self._heard, self._settled = heard, settled
        self._items: deque[_Item] = deque()  # received, not settled
        self._came_bytes, self._gone_bytes = 0, 0  # one writer each
        self._frozen: _Frozen | None = None
        self._emptied_ns: int | None = None

    @property
    def bytes_waiting(self) -> int:
        """Received and not settled."""
        return self._came_bytes - self._gone_bytes

    def expect(self, number: int, size: int, counts: Counts | None = None) -> None:
        """That number has come; without counts it is an exchange."""
        self._came_bytes += size
        self._items.append(_Item(number, size, counts))

    def flush(self, flush: Flush) -> FlushReceipt:
        if self._frozen is None or self._frozen.given is not flush:
            self._frozen = self._freeze(flush)
        frozen = self._frozen
        try:
            receipt = self._hub.flush(frozen.told)
        except WireError:  # refused for good: its counters come again with the next
            self._frozen = None
            raise
        self._frozen = None
        if receipt.status is not FlushStatus.UNKNOWN_RECORDER:  # those contents come again under another number
            self._settle(frozen)
        return receipt

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return self._hub.labels(labels, key)

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        return self._hub.erase(ids, aliases)

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        return self._hub.baseline(order)

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return self._hub.query(path, params)

    def close(self) -> None:
        """The hub goes on without this sender."""

    def _freeze(self, flush: Flush) -> _Frozen:
        own = Counter({name: value for name, value in flush.counters.items() if name not in _NOT_TOLD})
        done = own[names.DECODED] + _dropped(own)
        left, settled, through = done, 0, self.through
        sender: Counter[str] = Counter()
        for item in list(self._items):
            if item.counts is None:
                if not left:
                    break
                left -= 1
            else:
                sender.update(item.counts.counters)
                self._emptied_ns = item.counts.emptied_ns
            settled, through = settled + 1, item.number
        own[names.ACCEPTED] = done + _dropped(sender)
        own.update(sender)
        # At the end nobody will ask for the number any more.
        stored = 0 if flush.closing and self.over else through
        own[names.SHIPPED_PREFIX + self._sender] = stored - self._stored
        told = replace(
            flush,
            counters={name: value for name, value in own.items() if value},
            complete_through=self._complete_through(flush.complete_through),
            origin=self._origin,
        )
        return _Frozen(flush, told, settled, through)

    def _complete_through(self, minutes: Mapping[str, int]) -> Mapping[str, int]:
        """Not further than the sender itself is: what it still holds may belong to an earlier minute."""
        if not self._heard():
            return minutes
        if self._emptied_ns is None:
            return dict.fromkeys(minutes, -1)
        last = self._clock.unix_at(self._emptied_ns - self._grace_ns) // MINUTE_NS - 1
        return {model: min(minute, last) for model, minute in minutes.items()}

    def _settle(self, frozen: _Frozen) -> None:
        for _ in range(frozen.items):
            self._gone_bytes += self._items.popleft().size
        self.through = self._stored = frozen.through
        if frozen.items:
            self._settled(frozen.through)


def _dropped(counts: Mapping[str, int]) -> int:
    return sum(value for name, value in counts.items() if name.startswith(names.DROPPED_PREFIX))
