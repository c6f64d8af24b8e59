"""Every phase gets its own rows, spoilt as said and no other way."""

from itertools import islice

import pytest

from mlmon_sidecar.demo.data import load
from mlmon_sidecar.demo.phases import (
    NULL_COLUMN,
    NULL_SHARE,
    PHASES,
    ROWS_PER_DAY,
    TOTAL_DAYS,
    TOTAL_ROWS,
    Phase,
    assign,
    ordinary_days,
)

LOANS = load()
ROWS = assign(LOANS)


def test_the_story_in_order() -> None:
    assert [phase.name for phase in PHASES] == ["healthy", "drifting", "null_burst", "collapse", "recovery"]
    assert (TOTAL_DAYS, TOTAL_ROWS) == (22, 10_560)


def test_no_row_is_sent_twice_and_each_phase_is_full() -> None:
    ids = [row.id for phase in PHASES for row in ROWS[phase.name]]
    assert len(set(ids)) == len(ids) == TOTAL_ROWS
    assert all(len(ROWS[phase.name]) == phase.days * ROWS_PER_DAY for phase in PHASES)


def test_only_the_drifting_phase_has_drifted_rows() -> None:
    drifted = {row.id for row in LOANS.drifted}
    assert {phase.name for phase in PHASES if {row.id for row in ROWS[phase.name]} & drifted} == {"drifting"}
    assert {row.id for row in ROWS["drifting"]} <= drifted


def test_nulls_are_where_they_belong() -> None:
    original = {row.id: row for row in LOANS.healthy}
    nulls = 0
    for row in ROWS["null_burst"]:
        changed = {name for name, value in row.features.items() if value != original[row.id].features[name]}
        assert changed <= {NULL_COLUMN}
        nulls += row.features[NULL_COLUMN] is None
    assert nulls / len(ROWS["null_burst"]) == pytest.approx(NULL_SHARE, abs=0.05)
    elsewhere = [row for phase in PHASES if not phase.nulls for row in ROWS[phase.name]]
    assert all(value is not None for row in elsewhere for value in row.features.values())
    assert assign(LOANS) == ROWS


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="too few rows for endless"):
        assign(LOANS, [Phase("short", 1, "fits"), Phase("endless", 1_000, "does not")])


def test_ordinary_days_go_on_for_ever() -> None:
    days = list(islice(ordinary_days(LOANS), 20))
    assert all(len(day) == ROWS_PER_DAY for day in days)
    assert days[0] == LOANS.healthy[:ROWS_PER_DAY]
    assert days[18] == days[0]  # 8,640 rows are 18 days
