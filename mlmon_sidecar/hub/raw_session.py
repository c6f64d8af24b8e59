"""One sender's exchanges, over one connection after the other, into a recorder of their own in the hub's process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.errors import HubUnavailable, WireError
from mlmon_sidecar.hub.raw_ledger import Ledger
from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.records import Distribution, DropReason, Measurement
from mlmon_sidecar.shipping.exchange import moved, unpack_exchange
from mlmon_sidecar.shipping.frames import (
    MAX_FRAME_BYTES,
    OPENED,
    Counts,
    Frame,
    FrameReader,
    Kind,
    Opening,
    malformed,
    pack,
    pack_message,
    pack_number,
    unpack_counts,
)
from mlmon_sidecar.telemetry import Telemetry

QUEUE_BYTES = 32 * 1024 * 1024  # received and not decoded, of one sender; beyond it nothing is read from its socket
QUEUE_ITEMS = 16_384
RECEIVE_BYTES = 256 * 1024
FRAME_SECONDS = 10.0  # between two pieces of one frame
ROOM_SECONDS = 0.005  # between two looks for room
EARLY_SECONDS = 0.05  # between two flushes that are made because the sender's window fills
EARLY_SHARE = 4  # of the window
SAME_CLOCK_NS = 1_000_000_000  # two readings of one clock, and of one that is set meanwhile, differ by less
STOP_SECONDS = 5.0
TURN_SECONDS = 5.0  # for the thread of a sender's lost connection to notice


class RawRecorder(Protocol):
    """As much of the recorder as is used here."""

    def start(self) -> None: ...
    def stop(self, deadline_seconds: float) -> int: ...
    def flush(self) -> bool: ...
    def measurements(self) -> Sequence[Measurement | Distribution]: ...


MakeRecorder = Callable[[Handoff, HubClient, Telemetry], RawRecorder]


class RawSession:
    """Lives as long as its sender, or until that one has been silent for long.

    Args:
        stored: the last number that the store has.
        through: the last number that is known to be committed.
        silence_ns: a sender unheard for so long holds up nobody's minutes.
        wall_ns: the machine's wall clock, to hold against the sender's.
    """

    def __init__(
        self,
        opening: Opening,
        stored: int,
        through: int,
        make: MakeRecorder,
        hub: HubClient,
        clock: Clock,
        *,
        flush_interval_seconds: float,
        silence_ns: int,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.sender = opening.sender
        self.telemetry = Telemetry()
        self.ended = False
        self._clock, self._silence_ns = clock, silence_ns
        self._received = max(stored, through, opening.first - 1)
        self._ahead_ns = _ahead(opening, clock.monotonic_ns(), wall_ns())
        self.heard_ns = clock.monotonic_ns()
        self._handoff = Handoff(2 * QUEUE_ITEMS, QUEUE_BYTES + 2 * MAX_FRAME_BYTES)
        self.ledger = Ledger(
            opening.sender,
            opening.origin,
            stored,
            self._received,
            hub,
            clock,
            flush_interval_seconds=flush_interval_seconds,
            heard=lambda: clock.monotonic_ns() - self.heard_ns < silence_ns,
            settled=self._acknowledge,
        )
        self.recorder = make(self._handoff, self.ledger, self.telemetry)
        self._turn = threading.Lock()  # one connection at a time
        self._stream: socket.socket | None = None
        self._stopping = threading.Event()
        self._early_bytes = 0
        self._next_early = 0.0
        self._unreadable = 0  # number of the frame that could not be read
        self.recorder.start()

    @property
    def forsaken(self) -> bool:
        """No connection, for too long."""
        return self._stream is None and self._clock.monotonic_ns() - self.heard_ns > self._silence_ns

    def serve(self, stream: socket.socket, opening: Opening) -> None:
        """Until the sender closes, is done, or says what nobody understands (``WireError``). A sender that comes again
        has lost its old connection, which is then closed here too."""
        if _is_over(stream):
            return  # it has come again before this thread ran
        former = self._stream
        if former is not None:
            with contextlib.suppress(OSError):
                former.shutdown(socket.SHUT_RDWR)
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise WireError("another connection of this sender is served", code="sender_busy")
        try:
            if self.ended or self._stopping.is_set():
                raise HubUnavailable("this sender's recorder has ended", code="hub_closed", hint="Connect again.")
            self._early_bytes = max(1, opening.window_bytes // EARLY_SHARE)
            stream.sendall(pack_message(OPENED, pack_number(self.ledger.through)))
            self._stream = stream
            if self._read(stream):
                self._finish()
        finally:
            self._stream = None
            self.heard_ns = self._clock.monotonic_ns()
            self._turn.release()

    def stop(self, deadline_seconds: float, *, forsaken: bool = False) -> None:
        """Record what was received, as far as the time allows. What is not, the sender still has."""
        self.ledger.over |= forsaken
        self._stopping.set()
        with contextlib.suppress(OSError, AttributeError):
            self._stream.shutdown(socket.SHUT_RD)  # type: ignore[union-attr]  # it may be None, now or in a moment
        if not self._turn.acquire(timeout=deadline_seconds):
            return
        try:
            self._end(deadline_seconds)
        finally:
            self._turn.release()

    def _end(self, deadline_seconds: float) -> None:
        if not self.ended:
            self.ended = True
            self.recorder.stop(deadline_seconds)

    def _finish(self) -> None:
        """The sender is done. It may not wait for us, but we have all the time its exchanges need."""
        while self._handoff.stats().items_in_queue and not self._stopping.wait(ROOM_SECONDS):
            pass
        self.ledger.over = not self._stopping.is_set()
        self._end(STOP_SECONDS)

    # ------------------------------------------------------------ frames

    def _read(self, stream: socket.socket) -> bool:
        """True: the sender said that nothing follows."""
        reader = FrameReader()
        while not self._stopping.is_set():
            early = self.ledger.bytes_waiting >= self._early_bytes
            stream.settimeout(EARLY_SECONDS if early else FRAME_SECONDS if reader.inside else None)
            try:
                data = stream.recv(RECEIVE_BYTES)
            except TimeoutError:
                if not early:
                    raise
                self.recorder.flush()
                continue
            if not data:
                return False
            self.heard_ns = self._clock.monotonic_ns()
            for frame in reader.feed(data):
                self._take(frame)
                if frame.kind is Kind.BYE:
                    return True
            if early and time.monotonic() >= self._next_early:
                self.recorder.flush()
                self._next_early = time.monotonic() + EARLY_SECONDS
        return False

    def _take(self, frame: Frame) -> None:
        if frame.number <= self._received:
            return  # sent again
        if frame.number != self._received + 1:
            raise malformed("leaves numbers out")
        try:
            self._take_new(frame)
        except WireError:
            if self._unreadable != frame.number:
                self._unreadable = frame.number
                raise
            # Sent again as it was. It must not keep everything behind it from ever being taken.
            lost = {names.DROPPED_PREFIX + DropReason.INTERNAL_ERROR: 1}
            self.ledger.expect(frame.number, len(frame.payload), Counts(lost, self._clock.monotonic_ns()))
        self._received = frame.number

    def _take_new(self, frame: Frame) -> None:
        size = len(frame.payload)
        if frame.kind is Kind.EXCHANGE:
            exchange = moved(unpack_exchange(frame.payload), self._ahead_ns)
            self._wait_for_room()
            self.ledger.expect(frame.number, size)
            self._handoff.put(tuple(exchange))
        elif frame.kind is Kind.COUNTS:
            counts = unpack_counts(frame.payload)
            self.ledger.expect(frame.number, size, counts._replace(emptied_ns=counts.emptied_ns + self._ahead_ns))
        elif frame.kind is Kind.BYE:
            self.ledger.expect(frame.number, size, Counts({}, self._clock.monotonic_ns()))
        else:
            raise WireError("a sender acknowledges nothing", code="frame_kind")

    def _wait_for_room(self) -> None:
        stats = self._handoff.stats()
        while stats.bytes_in_queue > QUEUE_BYTES or stats.items_in_queue > QUEUE_ITEMS:
            if self._stopping.wait(ROOM_SECONDS):
                raise ConnectionAbortedError("the hub is ending")
            stats = self._handoff.stats()

    def _acknowledge(self, through: int) -> None:
        stream = self._stream
        if stream is not None:
            # A sender that does not read hears the next one: it says this one too.
            with contextlib.suppress(OSError):
                stream.send(b"".join(pack(Kind.ACK, through)), socket.MSG_DONTWAIT)


def _is_over(stream: socket.socket) -> bool:
    """Whether the sender has closed it already."""
    stream.setblocking(False)
    try:
        return not stream.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        stream.settimeout(FRAME_SECONDS)


def _ahead(opening: Opening, mono_ns: int, wall_ns: int) -> int:
    """By how much this process's monotonic clock is ahead of the sender's, ns.

    Processes of one Linux host share it, unless one has a time namespace of its own; the wall clock they share always.
    """
    ahead = (opening.wall_ns - opening.mono_ns) - (wall_ns - mono_ns)
    return 0 if abs(ahead) < SAME_CLOCK_NS else ahead
