"""The queue of log records: bounded in bytes, and patient where a collector asks for patience."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest

from mlmon_sidecar.export import lane as lane_module
from mlmon_sidecar.export.catalog import CONTENT, PREDICTION_EVENT
from mlmon_sidecar.export.lane import MAX_QUEUE_BYTES
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.export.otel_logs import LogsLane
from mlmon_sidecar.export.otel_senders import MAX_REST_SECONDS, Sender
from mlmon_sidecar.export.outcome import LOGS, Outcomes
from mlmon_sidecar.export.quiet import Quiet
from mlmon_sidecar.export.witness import Witness
from mlmon_sidecar.records import Event, Measurement
from mlmon_sidecar.telemetry import Telemetry

SOON = 20.0
FIGURES = [lambda: [Measurement("mlmon.window.samples", 7)]]


def event(number: int, letter: str = "x") -> Event:
    """With a long prompt and a long answer, a new text each."""
    said = f"{number}" + letter * 20_000
    return Event(PREDICTION_EVENT, f"{number}", 1, attributes=tuple((key, f"{key}{said}") for key in CONTENT))


def refuse(events: Sequence[Event]) -> str:
    return "503"


def test_long_texts_fill_the_queue_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = MAX_QUEUE_BYTES // 16  # tracing memory is slow
    monkeypatch.setattr(lane_module, "MAX_QUEUE_BYTES", limit)
    for letter in ("x", "ж", "𝔘"):  # one, two and four bytes a character in memory
        telemetry = Telemetry()
        lane = LogsLane(refuse, telemetry, queue=100_000, batch=3)
        tracemalloc.start()
        for number in range(30):
            lane.put(event(number, letter))
            if number == 10:
                lane.step()  # what is on its way is held too
        really = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        held, size = lane.held
        assert 0.6 * limit < size <= limit
        assert 0.9 * size < really < 1.1 * size, "the sum is what the memory says"
        assert held + telemetry.snapshot()["events.dropped.queue_full"] == 30


def test_what_was_sent_makes_room() -> None:
    telemetry, taken = Telemetry(), list[Event]()

    def take(events: Sequence[Event]) -> str:
        taken.extend(events)
        return ""

    lane = LogsLane(take, telemetry, queue=3, batch=2)
    for number in range(9):
        lane.put(event(number))
        if number % 3 == 2:
            lane.step()
    assert [one.body for one in taken] == [f"{number}" for number in range(9)]
    assert lane.held == (0, 0) and telemetry.snapshot() == {}


def test_a_collector_that_asks_for_time_is_not_asked_again_at_once(raw: Any, clock: Any, options_for: Any) -> None:
    for status in (429, 503):
        raw.statuses, raw.headers, telemetry = [status], {"retry-after": "30"}, Telemetry()
        raw.requests.clear()
        exporter = Exporter(options_for(raw.url), FIGURES, telemetry, clock)
        exporter.start()
        exporter.event(Event("mlmon.alert", "The score collapsed.", 1))
        assert not exporter.flush(SOON)
        assert len(raw.requests) == 2, "one of each signal"
        assert not exporter.flush(SOON), "put off, which is no success"
        assert exporter.shutdown(SOON)
        assert len(raw.requests) == 2
        counted = {f"export.failures.metrics.{status}": 1, f"export.failures.logs.{status}": 1}
        assert telemetry.snapshot() == {**counted, "events.dropped.shutdown": 1}


def test_it_is_asked_again_when_it_said(clock: Any) -> None:
    now, answers = [0.0], iter([("429", 30.0), ("429", 1e9), ("", 0.0)])

    def build(witness: Witness) -> Any:
        def attempt(payload: Any) -> bool:
            witness.error_type, witness.retry_after_seconds = next(answers)
            return not witness.error_type

        return attempt, lambda: None

    quiet = Quiet(lambda: 0)
    sender = Sender(LOGS, build, Outcomes(Telemetry(), clock), quiet, lambda: now[0])
    assert not sender.resting
    assert sender.send([]) == "429" and sender.resting
    now[0] = 29.9
    assert sender.resting
    now[0] = 30.0
    assert not sender.resting
    assert sender.send([]) == "429", "it asks for thirty years"
    now[0] += MAX_REST_SECONDS
    assert not sender.resting and sender.send([]) == "" and not sender.resting
    quiet.uninstall()
