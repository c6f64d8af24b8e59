"""Figures of what stands around the model: process, event loop, GPUs, and what the application tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlmon_sidecar.interfaces import Source
from mlmon_sidecar.resources.active import ActiveSource
from mlmon_sidecar.resources.gpu import GpuSource
from mlmon_sidecar.resources.loading import LoadingSource
from mlmon_sidecar.resources.pauses import GcPauses, LoopLag
from mlmon_sidecar.resources.process import ProcessSource
from mlmon_sidecar.resources.queues import QueueSource

if TYPE_CHECKING:
    from mlmon_sidecar.runtime.process import MonitoredProcess


class Surroundings:
    """Of one serving process. Nothing is hooked into interpreter or loop before ``start``."""

    def __init__(self, process: MonitoredProcess) -> None:
        models = process.settings.captured()
        self._hooked: list[GcPauses | LoopLag] = [GcPauses()]
        if process.loop is not None:
            self._hooked.append(LoopLag(process.loop))
        self.sources: Sequence[Source] = [
            ProcessSource(),
            GpuSource(),
            QueueSource(process.telemetry),
            LoadingSource(models, process.start_up_seconds),
            ActiveSource(models, process.active),
            *self._hooked,
        ]

    def start(self) -> None:
        for hooked in self._hooked:
            hooked.start()

    def stop(self) -> None:
        for hooked in self._hooked:
            hooked.stop()
