"""The newest trace of each bucket, of requests whose trace is sampled."""

from __future__ import annotations

from typing import Any

from mlmon_sidecar.recorder.trace_exemplars import DURATION, FIRST_BYTE, TraceExemplars
from mlmon_sidecar.records import End, Exchange, TraceExemplar

SECOND = 1_000_000_000
UNIX = 1_700_000_000 * SECOND


def exchange(seconds: float, trace: int, **changes: Any) -> Exchange:
    made = Exchange(
        "id", "m", "POST", "/score", SECOND, SECOND + int(seconds * SECOND / 2), SECOND + int(seconds * SECOND), 200,
        End.COMPLETE, "", (), (), 0, (), (), 0, trace, trace + 1, True, (),
    )  # fmt: skip
    return made._replace(**changes)


def book() -> TraceExemplars:
    return TraceExemplars(lambda monotonic_ns: UNIX + monotonic_ns)


def test_each_bucket_has_its_newest() -> None:
    traces = book()
    for seconds, trace in ((0.004, 10), (8.0, 20), (0.0041, 30), (100.0, 40)):
        traces.add("v1", exchange(seconds, trace))
    assert [(one.value, one.trace_id, one.span_id) for one in traces.of(DURATION, "m", "v1")] == [
        (0.0041, 30, 31),
        (8.0, 20, 21),
        (100.0, 40, 41),
    ]
    first = traces.of(FIRST_BYTE, "m", "v1")
    assert first[0] == TraceExemplar(0.00205, UNIX + SECOND + 2_050_000, 30, 31)
    assert traces.of(DURATION, "m", "v2") == traces.of(DURATION, "other", "v1") == ()


def test_only_traces_that_lead_somewhere() -> None:
    traces = book()
    traces.add("v1", exchange(1.0, 10, trace_sampled=False))
    traces.add("v1", exchange(1.0, 0))
    assert traces.of(DURATION, "m", "v1") == ()
    traces.add("v1", exchange(1.0, 10, first_byte_ns=0))
    assert len(traces.of(DURATION, "m", "v1")) == 1 and traces.of(FIRST_BYTE, "m", "v1") == ()
