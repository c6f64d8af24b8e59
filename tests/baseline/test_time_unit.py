"""Times as whole numbers: their unit is told by the column, and a baseline of any unit is the same."""

from datetime import UTC, datetime

import pytest

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.time_unit import TimeUnit

FIRST = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
SECONDS = [FIRST + 600 * k for k in range(2_000)]


def unit(*columns: list[object]) -> int:
    found = TimeUnit()
    for column in columns:
        found.add(column)
    return found.ns


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_the_unit_is_the_one_in_which_all_lie_near_our_time(per_second: int) -> None:
    assert (
        unit([at * per_second for at in SECONDS[:1_000]], [at * per_second for at in SECONDS[1_000:]])
        == 10**9 // per_second
    )


def test_what_lies_near_our_time_in_no_unit_is_nanoseconds_and_other_forms_say_nothing() -> None:
    assert unit([0, *SECONDS]) == unit([*SECONDS, 2**62]) == 1
    assert unit(["2026-03-02", None, 1.5, True]) == unit() == 1
    assert unit([None, "x", *SECONDS]) == 10**9


def build(times: list[object]) -> Baseline:
    columns: dict[str, list[object]] = {"at": times, "x": [float(k % 37) for k in range(len(times))]}
    return build_baseline(
        columns, Roles(timestamp="at"), Purpose("m"), redact_category=lambda _name, token: token, policy="",
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip


def test_a_baseline_is_the_same_whatever_its_times_are_written_in() -> None:
    as_text = build([datetime.fromtimestamp(at, UTC).isoformat() for at in SECONDS])
    assert as_text.reference.hours == 334  # two weeks and a bit, ten minutes apart
    for per_second in (1, 10**3, 10**6, 10**9):
        assert build([at * per_second for at in SECONDS]).to_document() == as_text.to_document()
