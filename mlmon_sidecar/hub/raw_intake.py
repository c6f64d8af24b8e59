"""Where raw exchanges come in: one session a sender, its recorder beside it, and the sum of their figures."""

from __future__ import annotations

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.export.own import TelemetrySource
from mlmon_sidecar.hub.raw_session import MakeRecorder, RawSession
from mlmon_sidecar.hub.recorders import MIN_SILENCE_NS, SILENT_INTERVALS
from mlmon_sidecar.hub.summed import only_cumulative, summed
from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.records import Distribution, Measurement
from mlmon_sidecar.shipping.frames import Opening, unpack_opening

LOOK_SECONDS = 1.0  # between two looks for senders that are gone
SENDERS_KNOWN = 1_024  # gone, and remembered should they come back


class RawIntake:
    """Between the hub's socket and recorders in the hub's process. ``serve`` runs in each connection's thread.

    Args:
        make: a recorder for one sender.
        progress: of a sender, the last number that the store has.
    """

    def __init__(
        self,
        hub: HubClient,
        make: MakeRecorder,
        clock: Clock,
        progress: Callable[[str], int],
        *,
        flush_interval_seconds: float = 1.0,
    ) -> None:
        self._hub, self._make, self._clock, self._progress = hub, make, clock, progress
        self._interval_seconds = flush_interval_seconds
        self._silence_ns = max(MIN_SILENCE_NS, int(SILENT_INTERVALS * flush_interval_seconds * 1e9))
        self._lock = threading.Lock()
        self._sessions: dict[str, RawSession] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()  # sender -> the last number that is committed
        self._past: Sequence[Measurement | Distribution] = ()  # what sessions that are gone have counted
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._look, name="mlmon-hub-raw", daemon=True)
        self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """Everything received is recorded, as far as the time allows; the rest its senders still have."""
        until = time.monotonic() + deadline_seconds
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(deadline_seconds)
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.stop(max(0.0, until - time.monotonic()))
            self._forget(session)

    def serve(self, stream: socket.socket, message: bytes | bytearray) -> None:
        """Until the connection is over. Raises ``WireError`` and ``OSError``, which end it."""
        opening = unpack_opening(message)
        session = self._session(opening)
        try:
            session.serve(stream, opening)
        finally:
            if session.ended:
                self._forget(session)

    def measurements(self) -> Sequence[Measurement | Distribution]:
        """What all senders' exchanges became since the hub started."""
        with self._lock:
            sessions, past = list(self._sessions.values()), self._past
        return summed([past, *map(_figures, sessions)])

    def _session(self, opening: Opening) -> RawSession:
        with self._lock:
            if self._stopping.is_set():
                raise HubUnavailable("the hub is ending", code="hub_closed", hint="Connect again.")
            known = self._sessions.get(opening.sender)
            if known is None or known.ended:
                known = self._sessions[opening.sender] = RawSession(
                    opening,
                    self._progress(opening.sender),
                    self._gone.pop(opening.sender, 0),
                    self._make,
                    self._hub,
                    self._clock,
                    flush_interval_seconds=self._interval_seconds,
                    silence_ns=self._silence_ns,
                )
            return known

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            with self._lock:
                forsaken = [session for session in self._sessions.values() if session.forsaken]
            for session in forsaken:
                session.stop(self._interval_seconds, forsaken=True)
                self._forget(session)

    def _forget(self, session: RawSession) -> None:
        with self._lock:
            if self._sessions.get(session.sender) is not session:
                return
            del self._sessions[session.sender]
            self._past = summed([self._past, only_cumulative(_figures(session))])
            self._gone[session.sender] = session.ledger.through
            if len(self._gone) > SENDERS_KNOWN:
                self._gone.popitem(last=False)


def _figures(session: RawSession) -> Sequence[Measurement | Distribution]:
    return [*session.recorder.measurements(), *TelemetrySource(session.telemetry)()]
