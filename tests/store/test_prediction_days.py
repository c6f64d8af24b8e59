"""Kept rows by their day, whether they are all of one or not."""

from __future__ import annotations

from mlmon_sidecar.records import KeptRow, KeptRows
from mlmon_sidecar.store.sqlite_labels import DAY_NS
from mlmon_sidecar.store.sqlite_predictions import _days


def row(event_ns: int, version: str = "v1") -> KeptRow:
    return KeptRow(str(event_ns), "m", version, "", event_ns, None, None, None, None, "", "", "{}")


def test_rows_of_one_day_and_version_are_one() -> None:
    assert _days(KeptRows.of(row(2 * DAY_NS + at) for at in (5, 9, 7))) == {("m", "v1", 2): (3, 2 * DAY_NS + 9)}
    assert _days(KeptRows()) == {}


def test_rows_of_several_are_told_apart() -> None:
    assert _days(KeptRows.of([row(DAY_NS), row(1)])) == {("m", "v1", 1): (1, DAY_NS), ("m", "v1", 0): (1, 1)}
    rows = [row(-1), row(1), row(DAY_NS), row(DAY_NS - 1), row(7, "v2")]
    assert _days(KeptRows.of(rows)) == {
        ("m", "v1", 0): (3, DAY_NS - 1),
        ("m", "v1", 1): (1, DAY_NS),
        ("m", "v2", 0): (1, 7),
    }
