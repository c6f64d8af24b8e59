"""Every request is in one histogram, with how it failed; the newest sampled trace of each bucket stands beside it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from mlmon_sidecar.recorder.durations import DURATION, FIRST_BYTE, MAX_ERRORS, Durations
from mlmon_sidecar.records import Distribution, End, Exchange, TraceExemplar

SECOND = 1_000_000_000
UNIX = 1_700_000_000 * SECOND


def exchange(seconds: float, trace: int = 0, **changes: Any) -> Exchange:
    made = Exchange(
        "id", "m", "POST", "/score", SECOND, SECOND + int(seconds * SECOND / 2), SECOND + int(seconds * SECOND), 200,
        End.COMPLETE, "", (), (), 0, (), (), 0, trace, trace + 1, True, (),
    )  # fmt: skip
    return made._replace(**changes)


def counted(*exchanges: Exchange) -> dict[tuple[str, ...], Distribution]:
    """Metric and the values of its attributes to the distribution."""
    durations = Durations(lambda monotonic_ns: UNIX + monotonic_ns)
    durations.add("v1", exchanges)
    return {(one.name, *(value for _, value in one.attributes)): one for one in durations.measurements()}


def test_one_histogram_for_each_failure() -> None:
    failed = {
        "": [{}, {"status": 404}, {"status": 422}],
        "500": [{"status": 500}],
        "503": [{"status": 503}, {"status": 503}],
        "abort": [{"end": End.DISCONNECT, "status": 0, "first_byte_ns": 0}],
        "ValueError": [{"end": End.ERROR, "error_type": "ValueError", "status": 500}],
        "_other": [{"end": End.ERROR, "status": 0, "first_byte_ns": 0}],
    }
    found = counted(*(exchange(0.3, **changes) for several in failed.values() for changes in several))
    for error, several in failed.items():
        one = found[(DURATION, "m", "v1", error) if error else (DURATION, "m", "v1")]
        assert sum(one.counts) == len(several) and one.total == pytest.approx(0.3 * len(several))
    assert sum(sum(one.counts) for key, one in found.items() if key[0] == DURATION) == sum(map(len, failed.values()))
    assert list(found[FIRST_BYTE, "m", "v1"].counts).count(0) == len(found[FIRST_BYTE, "m", "v1"].counts) - 1
    assert sum(found[FIRST_BYTE, "m", "v1"].counts) == 7, "of those that answered, however they ended"


def test_exceptions_without_end_are_one() -> None:
    errors = [f"Error{n}" for n in range(50)] * 2
    found = counted(*(exchange(1.0, end=End.ERROR, error_type=error) for error in errors))
    kinds = Counter({key[3]: sum(one.counts) for key, one in found.items() if key[0] == DURATION})
    assert len(kinds) == MAX_ERRORS + 1 and kinds["_other"] == 100 - 2 * MAX_ERRORS


def test_each_bucket_has_its_newest_trace() -> None:
    found = counted(*(exchange(s, trace) for s, trace in ((0.004, 10), (8.0, 20), (0.0041, 30), (100.0, 40))))
    assert [(one.value, one.trace_id, one.span_id) for one in found[DURATION, "m", "v1"].exemplars] == [
        (0.0041, 30, 31),
        (8.0, 20, 21),
        (100.0, 40, 41),
    ]
    first = found[FIRST_BYTE, "m", "v1"].exemplars
    assert first[0] == TraceExemplar(0.00205, UNIX + SECOND + 2_050_000, 30, 31)


def test_only_traces_that_lead_somewhere() -> None:
    found = counted(exchange(1.0, 10, trace_sampled=False), exchange(1.0, 0), exchange(1.0, 20, first_byte_ns=0))
    assert [one.trace_id for one in found[DURATION, "m", "v1"].exemplars] == [20]
    assert found[FIRST_BYTE, "m", "v1"].exemplars == ()
