"""What is said, for what was seen."""

import io
from datetime import UTC, datetime

from mlmon_sidecar.demo.narrate import NO_TARGET, Narrator, Watcher, export_line, news, phase_line
from mlmon_sidecar.demo.phases import PHASES
from mlmon_sidecar.demo.schedule import Calendar
from mlmon_sidecar.hub.view import IncidentView

OPENED_MS = int(datetime(2026, 2, 3, 4, 5, tzinfo=UTC).timestamp() * 1000)


def incident(**changes: object) -> IncidentView:
    base = IncidentView(
        key="car_loans/drift/1", model="car_loans", rule="feature_drift", layer="data", tier=3, opened_ms=OPENED_MS,
        resolved_ms=None, summary="car_value has drifted", evidence=1.234, features=["car_value"], details={},
    )  # fmt: skip
    return {**base, **changes}  # type: ignore[typeddict-item]  # any field may be changed


def seen(*incidents: IncidentView) -> dict[str, IncidentView]:
    return {item["key"]: item for item in incidents}


def test_a_new_incident() -> None:
    assert list(news({}, [incident()])) == [
        "  2026-02-03 04:05  OPENED   P3 feature_drift: car_value has drifted (evidence 1.23, alarm at 1)"
    ]


def test_nothing_new() -> None:
    assert list(news(seen(incident()), [incident(evidence=9.0)])) == []


def test_more_urgent_or_wider() -> None:
    (line,) = news(seen(incident()), [incident(tier=2, summary="car_value is far off")])
    assert line == "                    RAISED   P2 feature_drift: car_value is far off (evidence 1.23, alarm at 1)"
    (line,) = news(seen(incident()), [incident(features=["car_value", "loan_length"])])
    assert "WIDENED  P3" in line


def test_what_was_said_is_not_said_again() -> None:
    wider = incident(features=["car_value", "loan_length"], summary="car_value has drifted; loan_length too")
    (line,) = news(seen(incident()), [wider])
    assert "WIDENED  P3 feature_drift: also loan_length too (" in line


def test_resolved_once() -> None:
    resolved = incident(resolved_ms=OPENED_MS + 3_600_000)
    assert list(news(seen(incident()), [resolved])) == ["  2026-02-03 05:05  RESOLVED P3 feature_drift"]
    assert list(news(seen(resolved), [resolved])) == []


def test_opened_and_resolved_between_two_looks() -> None:
    lines = list(news({}, [incident(resolved_ms=OPENED_MS)]))
    assert ["OPENED" in lines[0], "RESOLVED" in lines[1]] == [True, True]


def test_watcher_remembers() -> None:
    looks = iter([[], [incident()], [incident()], [incident(resolved_ms=OPENED_MS)]])
    told: list[str] = []
    watcher = Watcher(lambda: next(looks), told.append)
    counts = []
    for _ in range(4):
        watcher.look()
        counts.append(len(told))
    assert counts == [0, 1, 1, 2]


def test_export() -> None:
    assert export_line({"target": None, "last": {}}) == f"OTLP target: {NO_TARGET}"
    last = {"traces": {"outcome": "failed: refused", "at_ms": 1}, "metrics": {"outcome": "ok", "at_ms": 1}}
    assert export_line({"target": "http://127.0.0.1:4318", "last": last}) == (  # type: ignore[typeddict-item]
        "OTLP target: http://127.0.0.1:4318; last export: metrics ok, traces failed: refused"
    )
    assert export_line({"target": "http://c:1", "last": {}}).endswith("last export: none yet")


def test_phase() -> None:
    calendar = Calendar(start=int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), anchor=0.0)
    assert phase_line(PHASES[0], calendar, 0).startswith("2026-01-01  HEALTHY, 5 days: ordinary traffic")
    assert phase_line(PHASES[3], calendar, 14).startswith("2026-01-15  COLLAPSE, 1 day: the model is stuck")


def test_lines_are_written_at_once() -> None:
    stream = io.StringIO()
    Narrator(stream).say("here")
    assert stream.getvalue() == "here\n"
