"""What works beside the capture in a process that ships raw: the sender, the exporter, the page's way to the hub."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.interfaces import HubClient, Source
from mlmon_sidecar.records import BaselineOrder, Erased, Flush, FlushReceipt, HeldBaseline, Label, LabelReceipt
from mlmon_sidecar.runtime.surroundings import Surroundings
from mlmon_sidecar.runtime.wiring import export_options, make_clock
from mlmon_sidecar.shipper import Shipper, window_of

if TYPE_CHECKING:
    from mlmon_sidecar.runtime.process import MonitoredProcess

LEAST_SECONDS = 0.5  # for the last export, however late it is


class AskedHub:
    """Implements ``interfaces.HubClient``. Only who opens the page here or sends a label makes its libraries load."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._client: HubClient | None = None
        self._making = threading.Lock()

    def _asked(self) -> HubClient:
        with self._making:
            if self._client is None:
                from mlmon_sidecar.hub.socket_client import SocketHubClient

                self._client = SocketHubClient(self._path)
            return self._client

    def flush(self, flush: Flush) -> FlushReceipt:
        return self._asked().flush(flush)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return self._asked().labels(labels, key)

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        return self._asked().erase(ids, aliases)

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        return self._asked().baseline(order)

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return self._asked().query(path, params)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class RawWorker:
    """Made in a thread of its own after the server's start-up."""

    def __init__(self, process: MonitoredProcess) -> None:
        settings = process.settings
        path = settings.hub.socket
        assert path is not None, "the settings ship raw to a unix socket alone"
        options = export_options(settings, dict(os.environ))
        self.hub = AskedHub(path)
        process.slot.fill(self.hub)
        self.shipper = Shipper(
            path,
            process.handoff,
            process.telemetry,
            process.faults,
            window_bytes=window_of(settings.queue_max_bytes),
            count_seconds=settings.flush_interval_seconds / 2,
        )
        self._surroundings = Surroundings(process)
        self._metered = settings.export.scraped
        sources: list[Source] = [self.shipper.measurements, *self._surroundings.sources]
        self.exporter = Exporter(options, sources, process.telemetry, make_clock(settings))

    def start(self) -> None:
        self.exporter.start()
        if self._metered or self.exporter.sends_metrics:
            self._surroundings.start()
        self.shipper.start()

    def stop(self, deadline_seconds: float) -> None:
        """What was captured first, then the last export with what is left of the time."""
        until = time.monotonic() + deadline_seconds
        try:
            self.shipper.stop(deadline_seconds * (1 if self.exporter.idle else 2 / 3))
            self.hub.close()
        finally:
            self._surroundings.stop()
            self.exporter.shutdown(max(LEAST_SECONDS, until - time.monotonic()))

    @property
    def problem(self) -> str:
        """Why nothing can be recorded at present; "" as far as is known here."""
        return self.shipper.problem
