"""Keeps the exporters from filling the application's log while a collector is away."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from mlmon_sidecar.export.pump import THREAD_PREFIX

LINES_A_MINUTE = 5
_MINUTE_NS = 60_000_000_000
_LIBRARIES = ("opentelemetry.", "urllib3.")


class Quiet(logging.Filter):
    """Lets through at most ``LINES_A_MINUTE`` lines that libraries log from our own export threads.

    The application may use the same exporters: lines from its threads pass untouched.
    """

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        super().__init__()
        self._monotonic_ns = monotonic_ns
        self._passed: deque[int] = deque(maxlen=LINES_A_MINUTE)

    def install(self) -> None:
        """On every logger the libraries have by now: a filter acts only on the logger a line is logged to."""
        for name in list(logging.root.manager.loggerDict):
            if name.startswith(_LIBRARIES):
                logging.getLogger(name).addFilter(self)

    def uninstall(self) -> None:
        for name in list(logging.root.manager.loggerDict):
            if name.startswith(_LIBRARIES):
                logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if not (record.threadName or "").startswith(THREAD_PREFIX):
            return True
        now = self._monotonic_ns()
        if len(self._passed) == LINES_A_MINUTE and now - self._passed[0] < _MINUTE_NS:
            return False
        self._passed.append(now)
        return True
