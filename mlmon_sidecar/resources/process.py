"""CPU, memory, threads and descriptors of this process, under the names of the semantic conventions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import psutil

from mlmon_sidecar.records import Measurement


class ProcessSource:
    """Called at each export. Follows a fork: the figures are always those of the calling process.

    A figure the system does not give (another system, a hardened container) is left out.
    """

    def __init__(self, now_seconds: Callable[[], float] = time.time) -> None:
        self._now_seconds = now_seconds  # Unix time, to hold against the process's start
        self._process = psutil.Process()

    def __call__(self) -> Sequence[Measurement]:
        if self._process.pid != os.getpid():
            self._process = psutil.Process()
        found: list[Measurement] = []
        with self._process.oneshot():
            for read in (self._cpu, self._memory, self._threads, self._descriptors, self._uptime):
                try:
                    found += read()
                except (psutil.Error, AttributeError, OSError):  # AttributeError: no such figure on this system
                    continue
        return found

    def _cpu(self) -> list[Measurement]:
        times = self._process.cpu_times()
        return [
            Measurement("process.cpu.time", times.user, (("cpu.mode", "user"),)),
            Measurement("process.cpu.time", times.system, (("cpu.mode", "system"),)),
        ]

    def _memory(self) -> list[Measurement]:
        return [Measurement("process.memory.usage", self._process.memory_info().rss)]

    def _threads(self) -> list[Measurement]:
        return [Measurement("process.thread.count", self._process.num_threads())]

    def _descriptors(self) -> list[Measurement]:
        return [Measurement("process.unix.file_descriptor.count", self._process.num_fds())]

    def _uptime(self) -> list[Measurement]:
        return [Measurement("process.uptime", max(0.0, self._now_seconds() - self._process.create_time()))]
