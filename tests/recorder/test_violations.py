"""Broken schemas are counted every time and told now and then, without what should not be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlmon_sidecar.recorder.violations import QUIET_NS, Violations
from mlmon_sidecar.records import Event, PredictionBatch
from mlmon_sidecar.redact import Redactor
from mlmon_sidecar.statistics.schema import ExpectedColumn, ExpectedSchema
from mlmon_sidecar.telemetry import Telemetry


class Clock:
    now_ns = 1_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_ns(self) -> int:
        return self.now_ns

    def unix_at(self, monotonic_ns: int) -> int:
        return monotonic_ns


class Told:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)


def batch(**columns: list[Any]) -> PredictionBatch:
    rows = len(next(iter(columns.values())))
    numbers, nothing = np.zeros(rows, np.int64), np.full(rows, np.nan)
    ids = [f"p{at}" for at in range(rows)]
    none: list[None] = [None] * rows
    return PredictionBatch(
        "m", "v1", numbers, numbers, ids, none, columns, nothing, none, nothing, none, [(0, 0)] * rows, [False] * rows
    )


@pytest.fixture(name="told")
def _told() -> Told:
    return Told()


def test_every_row_is_counted_and_one_event_a_minute_is_told(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    clock, telemetry = Clock(), Telemetry(lambda: 0)
    violations = Violations({"m": ExpectedSchema({"x": ExpectedColumn("number")})}, telemetry, clock, told)
    redact = Redactor().redact_text
    for _ in range(3):
        violations.look(batch(x=["1", 2.0, "3"]), redact)
        clock.now_ns += QUIET_NS // 2
    assert telemetry.snapshot() == {"schema.type_change": 6}
    (measured,) = violations.measurements()
    assert (measured.name, measured.value) == ("mlmon.schema.violations", 6)
    assert dict(measured.attributes) == {
        "mlmon.model.name": "m", "mlmon.model.version": "v1", "mlmon.schema.violation": "type_change"
    }  # fmt: skip
    assert [event.at_ns for event in told.events] == [1_000, 1_000 + QUIET_NS]
    assert told.events[0].body == "m v1: type change in 'x', 2 rows (not a number)"
    assert dict(told.events[0].attributes)["mlmon.schema.rows"] == 2
    assert len(caplog.records) == 1


def test_rows_of_another_width_are_a_violation_like_the_others(told: Told) -> None:
    telemetry = Telemetry()
    violations = Violations({"m": ExpectedSchema()}, telemetry, Clock(), told)
    for _ in range(2):
        violations.width("m", "v2", 3)
    assert telemetry.snapshot() == {"schema.wrong_width": 6}
    (measured,) = violations.measurements()
    assert (measured.value, dict(measured.attributes)["mlmon.schema.violation"]) == (6, "wrong_width")
    (event,) = told.events
    assert event.body == "m v2: wrong width, 3 rows (more or fewer values than names)"


def test_a_name_that_a_client_made_up_is_redacted(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    violations = Violations({"m": ExpectedSchema({"x": ExpectedColumn("number")})}, Telemetry(), Clock(), told)
    violations.look(batch(x=[1.0], **{"jane.doe@example.com": [1.0]}), Redactor().redact_text)
    (event,) = told.events
    assert "jane" not in event.body + caplog.text + repr(event.attributes)
    assert dict(event.attributes)["mlmon.feature.name"] == "<email>"
