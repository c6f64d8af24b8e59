"""Kept predictions are written once and counted by day, however many come at once and whatever came before."""

from __future__ import annotations

from collections import Counter

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.records import KeptRow, KeptRows
from mlmon_sidecar.store.sqlite_predictions import MOST_ROWS, insert_predictions

DAY_NS = 86_400 * 10**9
TABLES = """
    CREATE TABLE predictions (
        prediction_id TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, segment TEXT NOT NULL,
        event_ns INTEGER NOT NULL, score REAL, predicted TEXT, confidence REAL, alias TEXT, trace_id TEXT NOT NULL,
        span_id TEXT NOT NULL, features TEXT NOT NULL);
    CREATE TABLE prediction_days (
        model TEXT NOT NULL, version TEXT NOT NULL, day INTEGER NOT NULL, rows INTEGER NOT NULL,
        newest_ns INTEGER NOT NULL, PRIMARY KEY (model, version, day)) WITHOUT ROWID;"""


def row(number: int, day: int = 5, version: str = "v1", **changes: object) -> KeptRow:
    made = KeptRow(f"p{number}", "m", version, "", day * DAY_NS + number, 0.5, "yes", None, None, "", "", "{}")
    return made._replace(**changes)


def empty() -> apsw.Connection:
    db = apsw.Connection(":memory:")
    db.execute(TABLES).fetchall()
    return db


def held(db: apsw.Connection) -> list[KeptRow]:
    return [KeptRow._make(found) for found in db.execute("SELECT * FROM predictions")]


@pytest.mark.parametrize("count", [0, 1, 2, 255, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS + 77])
def test_every_row_is_written_whatever_their_number(count: int) -> None:
    db, rows = empty(), [row(number) for number in range(count)]
    insert_predictions(db, KeptRows.of(rows))
    assert sorted(held(db)) == sorted(rows)


def test_a_field_comes_back_as_it_was() -> None:
    db = empty()
    odd = row(
        1, score=None, predicted="caf\u00e9 '\u0000", confidence=1.0, alias="", features='{"a":[1,null]}', segment="x"
    )
    insert_predictions(db, KeptRows.of([odd]))
    assert held(db) == [odd]


@given(st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(-2, 2), st.sampled_from(["v1", "v2"])), max_size=9)))
def test_days_count_what_is_written_and_nothing_twice(flushes: list[list[tuple[int, int, str]]]) -> None:
    db, expected = empty(), dict[str, KeptRow]()
    for flush in flushes:
        rows = [row(*one) for one in flush]
        insert_predictions(db, KeptRows.of(rows))
        for one in rows:
            expected.setdefault(one.prediction_id, one)
    assert {one.prediction_id: one for one in held(db)} == expected
    days = Counter(db.execute("SELECT model, version, event_ns / 86400000000000 FROM predictions"))
    assert dict(days) == {tuple(key): count for *key, count, _ in db.execute("SELECT * FROM prediction_days")}
    newest = (
        "SELECT model, version, event_ns / 86400000000000, count(*), max(event_ns) FROM predictions GROUP BY 1, 2, 3"
    )
    assert sorted(db.execute(newest)) == sorted(db.execute("SELECT * FROM prediction_days"))
