"""Dead collectors: nothing waits for them beyond its deadline, and every failure is counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import pytest

from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.export.quiet import LINES_A_MINUTE
from mlmon_sidecar.records import Event, Measurement
from mlmon_sidecar.telemetry import Telemetry

SOON = 20.0
ONE_REQUEST_SECONDS = 0.5  # below the exporters' first back-off: one request an attempt
SLACK = 1.0  # of a busy machine; far below any time-out that would hold the caller instead of the deadline


def source() -> Sequence[Measurement]:
    return [Measurement("mlmon.predictions", 1)]


def started(options: Any, clock: Any, telemetry: Telemetry) -> Exporter:
    exporter = Exporter(options, [source], telemetry, clock)
    exporter.start()
    exporter.event(Event("mlmon.alert", "The score collapsed.", 1))
    return exporter


def test_a_black_hole_holds_shutdown_to_one_deadline(black_hole: Any, clock: Any, options_for: Any) -> None:
    telemetry = Telemetry()
    exporter = started(options_for(black_hole.url, timeout_seconds=30.0), clock, telemetry)
    before = time.monotonic()
    assert not exporter.shutdown(deadline_seconds=0.5)
    assert time.monotonic() - before < 0.5 + SLACK, "two signals share one deadline"
    assert telemetry.snapshot()["events.dropped.shutdown"] == 1
    again = time.monotonic()
    assert exporter.shutdown(deadline_seconds=5.0)
    assert time.monotonic() - again < SLACK


def test_a_black_hole_is_a_counted_time_out(black_hole: Any, clock: Any, options_for: Any) -> None:
    telemetry = Telemetry()
    exporter = started(options_for(black_hole.url, timeout_seconds=0.2), clock, telemetry)
    assert not exporter.flush(SOON)
    counted = telemetry.snapshot()
    assert counted["export.failures.metrics.ReadTimeout"] == 1
    assert counted["export.failures.logs.ReadTimeout"] == 1
    assert exporter.last_outcome()["metrics"] == ("failed: ReadTimeout", clock.now_ns)
    exporter.shutdown(deadline_seconds=SOON)


def test_a_refused_connection_is_counted_and_the_count_is_exported(
    refused: str, raw: Any, clock: Any, options_for: Any
) -> None:
    telemetry = Telemetry()
    exporter = started(options_for(refused, timeout_seconds=0.2), clock, telemetry)
    assert not exporter.flush(SOON)
    assert exporter.shutdown(deadline_seconds=SOON)
    assert telemetry.snapshot()["export.failures.metrics.ConnectionError"] == 2
    later = started(options_for(raw.url), clock, telemetry)
    assert later.flush(SOON) and later.shutdown(SOON)
    body = b"".join(request.body for request in raw.requests)
    assert b"mlmon.self.export.failures" in body and b"ConnectionError" in body


def test_recovery_needs_nothing_but_the_collector(raw: Any, clock: Any, options_for: Any) -> None:
    telemetry = Telemetry()
    raw.statuses = [503, 503, 200]
    exporter = started(options_for(raw.url, timeout_seconds=ONE_REQUEST_SECONDS), clock, telemetry)
    assert not exporter.flush(SOON)
    assert exporter.flush(SOON)
    assert {outcome.text for outcome in exporter.last_outcome().values()} == {"ok"}
    assert exporter.shutdown(SOON)


def test_the_log_stays_quiet(
    raw: Any, clock: Any, options_for: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK leaves a line out that is the last one again; alternating ones it lets through, and so must the test.
    monkeypatch.setattr("opentelemetry.sdk._shared_internal.DuplicateFilter.filter", lambda *_: True)
    raw.statuses = [503]
    exporter = started(options_for(raw.url, timeout_seconds=ONE_REQUEST_SECONDS), clock, Telemetry())
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            exporter.flush(SOON)
    exporter.shutdown(SOON)
    assert len(caplog.records) == LINES_A_MINUTE
