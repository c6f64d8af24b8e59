"""The embedded hub: whichever process of the host holds the store's lock is the hub; the others reach it by socket.

When the holder dies the kernel frees the lock, and the next process that finds no hub takes it. Nobody waits for an
election: a flush that finds no hub stays with its recorder until the next try.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.hub import Hub, HubThread
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.hub.socket_path import socket_path_for
from mlmon_sidecar.hub.socket_server import SocketServer
from mlmon_sidecar.interfaces import HubClient
from mlmon_sidecar.records import Flush, FlushReceipt, Label, LabelReceipt

STOP_SECONDS = 5.0

Answer = TypeVar("Answer")


class HubHost:
    """A hub with its socket and its thread: the part that both the embedded and the separate hub run."""

    def __init__(self, hub: Hub, socket_path: Path) -> None:
        self.hub = hub
        self._server = SocketServer(socket_path, hub)
        self._thread = HubThread(hub)

    @property
    def fenced(self) -> bool:
        return self._thread.fenced

    def start(self) -> None:
        self._server.start()
        self._thread.start()

    def stop(self, deadline_seconds: float = STOP_SECONDS) -> None:
        self._server.stop(deadline_seconds)
        self._thread.stop(deadline_seconds)
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

    @property
    def hub(self) -> Hub | None:
        """The hub, where it is this process."""
        return self._host.hub if self._host is not None else None

    def flush(self, flush: Flush) -> FlushReceipt:
        return self._reach(lambda hub: hub.flush(flush))

    def labels(self, labels: Sequence[Label]) -> Sequence[LabelReceipt]:
        return self._reach(lambda hub: hub.labels(labels))

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
            if self._host is not None and (self._host.fenced or not self._election.held):
                self._give_up()
            if self._host is None and self._election.try_acquire():
                try:
                    host = HubHost(self._make_hub(), self._socket_path)
                    host.start()
                except BaseException:
                    self._election.release()
                    raise
                self._host = host
            return self._host

    def _give_up(self) -> None:
        if self._host is not None:
            self._host.stop()
            self._host = None
            self._election.release()

    def close(self) -> None:
        """Other workers may still flush: the lock is free for the next of them as soon as this returns."""
        self._remote.close()
        with self._changing:
            self._give_up()
