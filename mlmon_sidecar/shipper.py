"""``ship = "raw"``: the serving process decodes nothing. One thread takes finished exchanges from the hand-off and
sends their bytes over a unix socket to the hub of the same host, which decodes, counts and redacts them.

What is sent stays here, under its number, until the hub has committed it; after a lost connection it is sent again, and
the hub leaves out what it has. While no hub takes anything the window fills, then the hand-off, then the newest
exchanges are dropped and counted. This module loads neither numpy nor any stage behind the capture.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.after_fork import abandon_in_children
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.errors import HubUnavailable, WireError
from mlmon_sidecar.export.catalog import DROP_KIND, DROP_REASON
from mlmon_sidecar.records import DropReason, Exchange, Measurement
from mlmon_sidecar.shipping.exchange import pack_exchange, without_bodies
from mlmon_sidecar.shipping.frames import Counts, Kind, Opening, pack_counts
from mlmon_sidecar.shipping.link import BUFFERS_AT_ONCE, Link
from mlmon_sidecar.shipping.outbox import Outbox
from mlmon_sidecar.telemetry import Telemetry, logger

EXCHANGES_AT_ONCE = 64  # a few microseconds each; the server's own threads wait for the interpreter meanwhile
BUSY_PAUSE_SECONDS = 0.001
CALM_PAUSE_SECONDS = 0.05  # nothing is waiting: gather some before the next batch
LEAST_RETRY_SECONDS = 0.05
MOST_RETRY_SECONDS = 2.0
PATIENCE_NS = 5_000_000_000  # a hub may start a moment after its servers; who is away for longer is spoken of
WINDOW_SHARE = 4  # the window is this part of the bytes that may wait; the hand-off has the rest
DRAIN_SHARE = 0.9  # of the time for stopping; in the rest the hub is told what was left behind


def window_of(queue_max_bytes: int) -> int:
    """Bytes that may wait for their acknowledgement, of those that may wait at all."""
    return max(1, queue_max_bytes // WINDOW_SHARE)


class Shipper:
    """One in every serving process that ships raw. ``start`` after the server's start-up; never before a fork.

    Args:
        path: the hub's unix socket.
        window_bytes: > 0; sent and not acknowledged.
        count_seconds: > 0; between two tellings of what was counted, by which the hub knows how far it is complete.
        now_ns, wall_ns: the two clocks, ns.
    """

    def __init__(
        self,
        path: str,
        handoff: Handoff,
        telemetry: Telemetry,
        faults: Faults,
        *,
        window_bytes: int,
        count_seconds: float = 0.5,
        now_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.sender_id = str(uuid.uuid4())
        self.problem = ""  # why no hub takes anything at present
        self._path, self._window_bytes = path, window_bytes
        self._handoff, self._telemetry, self._faults = handoff, telemetry, faults
        self._now_ns, self._wall_ns = now_ns, wall_ns
        self._count_ns = int(count_seconds * 1e9)
        self._link = Link(path)
        self._outbox = Outbox(window_bytes)
        self._told: Counter[str] = Counter()
        self._emptied_ns = self._heard_ns = now_ns()
        self._next_count_ns = self._next_try_ns = 0
        self._retry_seconds = LEAST_RETRY_SECONDS
        self._alone_since_ns: int | None = None  # without a hub
        self._drain_until_ns, self._end_ns = 0, 0
        self._stopping = False
        self._said_bye = False
        self._left_behind = 0  # exchanges
        self._thread: threading.Thread | None = None
        abandon_in_children(self)

    # ------------------------------------------------------------ life

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="mlmon-shipper", daemon=True)
        self._thread.start()

    def stop(self, deadline_seconds: float = 5.0) -> int:
        """Drain and hand everything over. How many exchanges no hub has acknowledged at the deadline; the log says."""
        now = self._now_ns()
        self._drain_until_ns = now + int(deadline_seconds * DRAIN_SHARE * 1e9)
        self._end_ns = now + int(deadline_seconds * 1e9)
        self._stopping = True
        if self._thread is not None:
            self._thread.join(deadline_seconds + CALM_PAUSE_SECONDS)
        doubtful = self._outbox.exchanges_kept
        if self._left_behind or doubtful:
            logger.warning(
                "mlmon: the time to stop was up: %d exchanges are lost, and no hub has said that it has %d others",
                self._left_behind,
                doubtful,
            )
        return self._left_behind + doubtful

    def abandon(self) -> None:
        """In a forked child: the connection is the parent's, and so is what waits."""
        self._link.close()

    def _run(self) -> None:
        over = False
        while not over:
            try:
                more = self._turn()
            except Exception as error:  # The shipper outlives any fault of one turn.
                self._telemetry.failed("shipper", error)
                self._lose_connection(type(error).__name__)
                more = False
            over = self._stopping and (self._nothing_waits() or self._now_ns() >= self._end_ns)
            if not over:
                to_send = self._link.open and not self._outbox.all_sent
                self._link.wait(BUSY_PAUSE_SECONDS if more else CALM_PAUSE_SECONDS, to_send=to_send)
        self._link.close()

    def _nothing_waits(self) -> bool:
        nobody_asks = not self._link.open and not self._outbox.exchanges_kept
        return self._said_bye and (self._outbox.empty or nobody_asks)

    # ------------------------------------------------------------ one turn

    def _turn(self) -> bool:
        """True: more is waiting, and there is room for it."""
        if not self._link.open and self._now_ns() >= self._next_try_ns:
            self._connect()
        more = not self._said_bye and self._gather()
        if self._link.open:
            self._exchange_bytes()
        return more

    def _gather(self) -> bool:
        """What is to be sent, in its order."""
        more = self._take_some()
        if self._stopping:
            self._end_if_drained()
        elif self._now_ns() >= self._next_count_ns and self._link.open and self._outbox.has_room:
            self._count()
        return more

    def _take_some(self) -> bool:
        """From the hand-off into numbered frames, as far as the window has room."""
        begun = self._now_ns()
        for _ in range(EXCHANGES_AT_ONCE):
            if not self._outbox.has_room:
                return False
            found = self._handoff.drain(1)
            if not found:
                self._emptied_ns = begun
                return False
            self._add(found[0])
        return True

    def _add(self, exchange: Exchange) -> None:
        try:
            try:
                self._outbox.add(Kind.EXCHANGE, pack_exchange(exchange))
            except WireError:  # too large for any frame: told without its bodies
                self._outbox.add(Kind.EXCHANGE, pack_exchange(without_bodies(exchange)))
        except Exception as error:  # A fault of ours costs this exchange, never the server.
            self._telemetry.failed("shipper", error)
            self._telemetry.dropped(1, DropReason.INTERNAL_ERROR)

    def _count(self) -> None:
        """What was counted here since the last time: it is numbered like everything else, and so counts once."""
        self._next_count_ns = self._now_ns() + self._count_ns
        now = self._totals()
        increments = {name: value - self._told[name] for name, value in now.items() if value != self._told[name]}
        self._outbox.add(Kind.COUNTS, [pack_counts(Counts(increments, self._emptied_ns))])
        self._told = now

    def _totals(self) -> Counter[str]:
        """All but the exchanges that are sent: those the hub counts as it takes them."""
        now = Counter(self._telemetry.snapshot())
        now[names.DROPPED_PREFIX + DropReason.QUEUE_FULL] += self._handoff.stats().dropped_full
        now[names.DROPPED_PREFIX + DropReason.INTERNAL_ERROR] += self._faults.lost  # never offered to the hand-off
        for (component, error), count in self._faults.snapshot().items():
            now[f"{names.ERRORS_PREFIX}{component}.{error}"] = count
        return now

    def _end_if_drained(self) -> None:
        left = self._handoff.stats().items_in_queue
        if left and self._now_ns() < self._drain_until_ns:
            return
        self._left_behind = left
        self._telemetry.dropped(left, DropReason.SHUTDOWN)
        self._count()
        self._outbox.add(Kind.BYE)
        self._said_bye = True

    # ------------------------------------------------------------ the connection

    def _connect(self) -> None:
        mono_ns, wall_ns = self._now_ns(), self._wall_ns()
        origin = f"{socket.gethostname()}:{os.getpid()}"
        opening = Opening(self.sender_id, origin, self._outbox.first, self._window_bytes, mono_ns, wall_ns)
        try:
            through = self._link.connect(opening)
        except HubUnavailable as error:
            self._lose_connection(str(error))
            self._telemetry.warn("shipper", f"not recording: {error}")
        except (OSError, WireError) as error:
            self._lose_connection(type(error).__name__)
        else:
            self._outbox.begin_again(through)
            self._alone_since_ns, self.problem = None, ""
            self._retry_seconds = LEAST_RETRY_SECONDS

    def _lose_connection(self, why: str) -> None:
        self._link.close()
        now = self._now_ns()
        self._next_try_ns = now + int(self._retry_seconds * 1e9)
        self._retry_seconds = min(2 * self._retry_seconds, MOST_RETRY_SECONDS)
        if self._alone_since_ns is None:
            self._alone_since_ns = now
        elif now - self._alone_since_ns > PATIENCE_NS:
            self.problem = f"no hub answers at {self._path} ({why}); exchanges wait in bounded memory"
            self._telemetry.warn("shipper", self.problem)

    def _exchange_bytes(self) -> None:
        """What can be sent and heard without waiting."""
        try:
            while not self._outbox.all_sent:
                taken = self._link.send(self._outbox.unsent(BUFFERS_AT_ONCE))
                self._outbox.sent(taken)
                if not taken:
                    break
            for frame in self._link.received():
                if frame.kind is not Kind.ACK:
                    raise WireError("the hub says what only a sender says", code="frame_kind")
                self._outbox.acknowledged(frame.number)
                self._heard_ns = self._now_ns()
        except (OSError, WireError) as error:
            self._lose_connection(type(error).__name__)

    # ------------------------------------------------------------ figures

    def measurements(self) -> Sequence[Measurement]:
        """What waits here, and what was lost for want of room."""
        stats = self._handoff.stats()
        full = ((DROP_KIND, "exchange"), (DROP_REASON, DropReason.QUEUE_FULL.value))
        lag_ns = 0 if self._outbox.empty else self._now_ns() - self._heard_ns
        return [
            Measurement("mlmon.self.queue.size", stats.bytes_in_queue + self._outbox.bytes_kept),
            Measurement("mlmon.self.queue.limit", self._handoff.max_bytes + self._window_bytes),
            Measurement("mlmon.self.dropped", stats.dropped_full, full),
            Measurement("mlmon.self.flush.lag", lag_ns / 1e9),
        ]
