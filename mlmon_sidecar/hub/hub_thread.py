"""The thread that a hub works in."""

from __future__ import annotations

import threading

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.hub.hub import Hub


class HubThread:
    """Ticks a hub until it is stopped or fenced."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlmon-hub", daemon=True)
        self.fenced = False

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """One last tick after the thread has ended, so that what was flushed is sealed if it is complete."""
        until_ns = self._hub.clock.monotonic_ns() + int(deadline_seconds * 1e9)
        self._stopping.set()
        self._thread.join(deadline_seconds)
        if not self._thread.is_alive() and not self.fenced:
            self._tick(until_ns)

    def _run(self) -> None:
        pause = self._hub.options.flush_interval_seconds / 2
        while not self._stopping.wait(pause) and not self.fenced:
            self.turn()

    def turn(self) -> None:
        """One tick, unless the last one failed a moment ago."""
        if not self._hub.troubles.waits(""):
            self._tick()

    def _tick(self, until_ns: int | None = None) -> None:
        hub = self._hub
        try:
            hub.tick(until_ns)
        except Exception as error:  # The hub outlives any fault of one tick; what was not committed is read again.
            self.fenced = isinstance(error, StoreError) and error.code == "fenced"
            hub.telemetry.failed("hub", error)
            hub.troubles.failed("", error)
        else:
            hub.troubles.well("")
