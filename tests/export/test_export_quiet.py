"""At most five lines a minute from our threads; the application's own lines pass untouched."""

import logging
import threading
from typing import Any

import pytest

from mlmon_sidecar.export.quiet import LINES_A_MINUTE, Quiet

NAME = "opentelemetry.exporter.otlp.some_exporter"


def log_lines(count: int, thread_name: str) -> None:
    def speak() -> None:
        for _ in range(count):
            logging.getLogger(NAME).error("Failed to export")

    thread = threading.Thread(target=speak, name=thread_name)
    thread.start()
    thread.join()


def test_lines_are_limited_a_minute_and_by_thread(caplog: pytest.LogCaptureFixture, clock: Any) -> None:
    logging.getLogger(NAME)
    quiet = Quiet(clock.monotonic_ns)
    quiet.install()
    try:
        log_lines(20, "mlmon-export-metrics")
        assert len(caplog.records) == LINES_A_MINUTE
        log_lines(7, "application")
        assert len(caplog.records) == LINES_A_MINUTE + 7
        clock.advance(59)
        log_lines(20, "mlmon-export-logs")
        assert len(caplog.records) == LINES_A_MINUTE + 7
        clock.advance(1)
        log_lines(20, "mlmon-export-logs")
        assert len(caplog.records) == 2 * LINES_A_MINUTE + 7
    finally:
        quiet.uninstall()
    log_lines(20, "mlmon-export-metrics")
    assert len(caplog.records) == 2 * LINES_A_MINUTE + 27
