"""Failed exchanges as examples: bounded, the same however the traffic was split, and never a prediction."""

from __future__ import annotations

from typing import Any

import pytest

from mlmon_sidecar.aggregate.exemplars import error_samples
from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.records import End, Exchange
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.samples import ERRORS, ERRORS_KEPT, merge_samples

LAYOUT = Layout.bare("m")


def exchange(name: str, **changes: Any) -> Exchange:
    fields: dict[str, Any] = dict.fromkeys(Exchange._fields, ())
    fields |= {"prediction_id": name, "path": "/secret", "started_ns": 2_000_000, "ended_ns": 9_000_000, "status": 200}
    fields |= {"end": End.COMPLETE, "error_type": "", "first_byte_ns": 0, "request_bytes": 0, "response_bytes": 0}
    return Exchange(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"status": 503}, "1002 7 503 complete -"),
        ({"end": End.ERROR, "error_type": "KeyError", "status": 0}, "1002 7 0 error KeyError"),
        ({"end": End.DISCONNECT, "error_type": "CancelledError"}, "1002 7 200 disconnect CancelledError"),
    ],
)
def test_what_an_example_says(changes: dict[str, Any], value: str) -> None:
    (found,) = error_samples([exchange("a", **changes)], lambda ns: ns + 1_000_000_000)
    assert found.value == value


@pytest.mark.parametrize("status", [200, 204, 302, 404, 422, 499])
def test_other_answers_are_no_failures(status: int) -> None:
    assert error_samples([exchange("a", status=status)], lambda ns: ns) == ()


def test_examples_are_few_and_do_not_depend_on_the_split() -> None:
    failed = [exchange(str(number), status=500) for number in range(200)]
    whole = error_samples(failed, lambda ns: ns)
    assert len(whole) == ERRORS_KEPT
    merged: dict[str, Any] = {}
    for start in range(0, 200, 7):
        merged = merge_samples(merged, {ERRORS: error_samples(failed[start : start + 7], lambda ns: ns)})
    assert merged == {ERRORS: whole}


def test_a_failure_counts_once_and_as_no_prediction() -> None:
    panes = PaneBuilder(LAYOUT, lambda name, token: token)
    members = [exchange("a", status=500), exchange("b"), exchange("c", end=End.ERROR, error_type="E")]
    panes.add_exchanges({None: [members[0], members[2]], "v1": members[1:2]}, "v1", lambda ns: ns)
    (pane,) = panes.take()
    cells = LAYOUT.traffic
    assert (pane.vector[cells.requests], pane.vector[cells.server_error], pane.vector[cells.decoded]) == (3, 2, 1)
    assert pane.vector[cells.rows] == 0
    assert len(pane.samples[ERRORS]) == 2
