"""The embedded hub: whichever process of the host holds the store's lock is the hub; the others reach it by socket.

When the holder dies the kernel frees the lock, and the next process that finds no hub takes it. Nobody waits for an
election: a flush that finds no hub stays with its recorder until the next try. So does one that finds a store which
cannot be opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mlmon_sidecar.errors import HubUnavailable, MlmonError
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.hub_thread import HubThread
from mlmon_sidecar.hub.raw_intake import RawIntake
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.hub.socket_path import socket_path_for
from mlmon_sidecar.hub.socket_server import SocketServer
from mlmon_sidecar.interfaces import HubClient
from mlmon_sidecar.records import BaselineOrder, Erased, Flush, FlushReceipt, HeldBaseline, Label, LabelReceipt
from mlmon_sidecar.telemetry import logger

STOP_SECONDS = 5.0
CLOSE_SECONDS = 1.5  # of a serving process's five: the seal may wait for the next hub, the process may not

Answer = TypeVar("Answer")


class HubHost:
    """A hub with its socket and its thread: the part that both the embedded and the separate hub run."""

    def __init__(
        self,
        hub: Hub,
        socket_path: Path,
        *,
        allowed_uids: frozenset[int] | None = None,
        group: int | None = None,
        raw: RawIntake | None = None,
    ) -> None:
        """``allowed_uids`` and ``group`` as in ``SocketServer``; ``raw``: takes raw exchanges; None: nobody does."""
        self.hub = hub
        self._raw = raw
        ship = None if raw is None else raw.serve
        self._server = SocketServer(
            socket_path, hub, allowed_uids=allowed_uids, group=group, ship=ship, telemetry=hub.telemetry
        )
        self._thread = HubThread(hub)

    @property
    def fenced(self) -> bool:
        return self._thread.fenced

    def start(self) -> None:
        self._server.start()
        self._thread.start()
        if self._raw is not None:
            self._raw.start()
        for companion in self.hub.companions:
            companion.start()

    def stop(self, deadline_seconds: float = STOP_SECONDS) -> None:
        """No door, then what came in by it, then one last turn, then no store. What is not sealed in time the next
        hub seals."""
        until = time.monotonic() + deadline_seconds
        try:
            for companion in self.hub.companions:
                companion.stop(deadline_seconds / 4)
            self._server.stop(deadline_seconds / 4 if self._raw else deadline_seconds / 2)
            if self._raw is not None:
                self._raw.stop(deadline_seconds / 2)
            self._thread.stop(max(0.0, until - time.monotonic()))
        finally:
            self.hub.close()


class EmbeddedHub:
    """Implements ``interfaces.HubClient``: the hub itself here, or the way to it."""

    def __init__(self, store: Path, make_hub: Callable[[], Hub]) -> None:
        self._make_hub = make_hub
        self._election = StoreLock(store)
        self._socket_path = socket_path_for(store)
        self._remote = SocketHubClient(self._socket_path)
        self._host: HubHost | None = None
        self._changing = threading.RLock()
        self._closed = False
        self.problem = ""  # why this process could not be the hub when it was its turn; "" when it could

    @property
    def hub(self) -> Hub | None:
        """The hub, where it is this process."""
        return self._host.hub if self._host is not None else None

    def flush(self, flush: Flush) -> FlushReceipt:
        return self._reach(lambda hub: hub.flush(flush))

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return self._reach(lambda hub: hub.labels(labels, key))

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        return self._reach(lambda hub: hub.erase(ids, aliases))

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        return self._reach(lambda hub: hub.baseline(order))

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return self._reach(lambda hub: hub.query(path, params))

    def _reach(self, call: Callable[[HubClient], Answer]) -> Answer:
        host = self._ours()
        if host is not None:
            return call(host.hub)
        try:
            return call(self._remote)
        except HubUnavailable:
            host = self._ours()  # it may have died just now, and its lock with it
            if host is None:
                raise
            return call(host.hub)

    def _ours(self) -> HubHost | None:
        with self._changing:
            if self._closed:
                raise HubUnavailable("this process is ending", code="hub_closed")
            if self._host is not None and (self._host.fenced or not self._election.held):
                self._give_up()
            if self._host is None:
                try:
                    if self._election.try_acquire():
                        self._host = self._new_host()
                except Exception as error:  # The disk's, the store's or the system's: it may be well again later.
                    self._election.release()
                    raise self._unusable(error) from error
                if self.problem:
                    logger.warning("mlmon: the store can be used now; what was kept meanwhile is recorded")
                    self.problem = ""
            return self._host

    def _new_host(self) -> HubHost:
        hub = self._make_hub()
        try:
            host = HubHost(hub, self._socket_path)
            host.start()
        except BaseException:
            hub.close()
            raise
        return host

    def _unusable(self, error: Exception) -> HubUnavailable:
        """Said once, however often it is tried."""
        told = str(error) if isinstance(error, MlmonError) else type(error).__name__
        if told != self.problem:
            self.problem = told
            logger.error("mlmon: recording waits for the store, in bounded memory: %s", told)
        code, hint = (error.code, error.hint) if isinstance(error, MlmonError) else ("hub_failed", "See the log.")
        return HubUnavailable("the store cannot be used", code=code, hint=hint)

    def _give_up(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            try:
                host.stop(CLOSE_SECONDS)
            finally:
                self._election.release()

    def close(self) -> None:
        """Other workers may still flush: the lock is free for the next of them as soon as this returns. A call after
        it finds no hub, and makes none."""
        self._closed = True
        self._remote.close()
        with self._changing:
            self._give_up()
