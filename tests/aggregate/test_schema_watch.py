"""Batches that break the schema, and those that do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlmon_sidecar.aggregate.schema import (
    LEARNING_ROWS,
    MAX_NAMES,
    OTHER_NAME,
    PAUSE_ROWS,
    SchemaWatch,
    Wrong,
    _numbers,
)
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.schema import ExpectedColumn, ExpectedSchema, expected_schema

ROW: dict[str, Any] = {"color": "red", "x": 0.5, "constant": 1.0, "only": "a", "y": 9.0}


@pytest.fixture(name="watch")
def _watch(layout: Layout) -> SchemaWatch:
    healthy = np.zeros(layout.size, np.int64)
    for name, cells in layout.cells.items():
        healthy[cells.bins] = 1
        healthy[cells.null] = int(name == "only")  # the others always have a value
    return SchemaWatch(expected_schema(layout, healthy, frozenset({"made_at"})))


def look(watch: SchemaWatch, make_batch: Any, *rows: dict[str, Any]) -> dict[tuple[str, str], int]:
    found = watch.look(make_batch([{"features": row} for row in rows]))
    return {(violation.kind.value, violation.feature): violation.rows for violation in found}


def test_rows_as_expected_are_no_violation(watch: SchemaWatch, make_batch: Any) -> None:
    assert look(watch, make_batch, ROW, ROW | {"only": None}, ROW | {"x": True}, ROW | {"made_at": "today"}) == {}
    arrays = make_batch([{"features": ROW}] * 3)
    arrays.features["x"] = np.array([1.0, 2.0, 3.0])
    assert watch.look(arrays) == []
    assert watch.look(make_batch([])) == ()


def test_missing_and_additional_columns_are_counted_by_row(watch: SchemaWatch, make_batch: Any) -> None:
    short = {name: value for name, value in ROW.items() if name != "y"}
    assert look(watch, make_batch, short, short) == {("missing_feature", "y"): 2}
    assert look(watch, make_batch, short, ROW, ROW | {"y": None}) == {("missing_feature", "y"): 2}
    assert look(watch, make_batch, {name: value for name, value in ROW.items() if name != "only"}) == {}
    assert look(watch, make_batch, ROW | {"z": 1}, ROW, ROW | {"z": 2}) == {("additional_feature", "z"): 2}


def test_types_are_counted_by_row(watch: SchemaWatch, make_batch: Any) -> None:
    rows = [ROW, ROW | {"x": "0.5"}, ROW | {"x": "n/a"}, ROW, ROW | {"x": [1]}]
    assert look(watch, make_batch, *rows) == {("type_change", "x"): 3}
    assert look(watch, make_batch, ROW | {"color": 7}) == {}, "7 is one of its categories"


def test_a_number_in_a_column_of_texts_is_a_change(make_batch: Any) -> None:
    watch = SchemaWatch(ExpectedSchema({"color": ExpectedColumn("text")}))
    assert look(watch, make_batch, {"color": "red"}, {"color": 7}, {"color": None}, {"color": False}) == {
        ("type_change", "color"): 2
    }
    arrays = make_batch([{"features": {"color": 1.0}}] * 4)
    arrays.features["color"] = np.arange(4.0)
    assert [violation.rows for violation in watch.look(arrays)] == [4]


def test_names_without_end_are_one(watch: SchemaWatch, make_batch: Any) -> None:
    found: dict[tuple[str, str], int] = {}
    for at in range(MAX_NAMES + 50):
        found |= look(watch, make_batch, ROW | {f"z{at}": 1})
    assert len(found) == MAX_NAMES + 1
    assert ("additional_feature", OTHER_NAME) in found


def test_without_a_baseline_the_first_rows_teach(make_batch: Any) -> None:
    watch = SchemaWatch(ExpectedSchema())
    rows = [{"a": 1.5, "b": "red", "c": at if at % 2 else "odd"} for at in range(LEARNING_ROWS)]
    rows[3]["sometimes"] = 1
    assert look(watch, make_batch, *rows) == {}
    assert look(watch, make_batch, {"a": 1, "b": "blue", "c": 2.5}) == {}
    assert look(watch, make_batch, {"a": "1", "b": 7, "c": "x", "sometimes": 2, "new": 1}) == {
        ("type_change", "a"): 1, ("type_change", "b"): 1, ("additional_feature", "new"): 1
    }  # fmt: skip
    assert look(watch, make_batch, {"a": 1, "b": "x", "c": 2, "new": 1}) == {}, "learned now"


def test_values_are_looked_at_now_and_then(make_batch: Any) -> None:
    chance = np.random.default_rng(3)
    healthy = np.sort(chance.normal(5, 1, 4_000))
    points = tuple(np.quantile(healthy, [(at + 0.5) / 40 for at in range(40)]).tolist())
    quartiles = np.quantile(healthy, [0.25, 0.5, 0.75]).tolist()
    watch = SchemaWatch(ExpectedSchema({"x": ExpectedColumn("number", tuple(quartiles), points)}))

    def feed(factor: float, rows: int) -> list[tuple[str, str, str]]:
        found = []
        for _ in range(rows // 16):
            batch = make_batch([{"features": {"x": float(value)}} for value in chance.normal(5, 1, 16) * factor])
            found += [(v.kind, v.feature, v.detail) for v in watch.look(batch)]
        return found

    assert feed(1.0, 10 * PAUSE_ROWS) == []
    assert set(feed(100.0, 2 * PAUSE_ROWS)) == {(Wrong.RESCALED, "x", "by 10**2")}
    batch = make_batch([{"features": {"x": value}} for value in (1e308, -1e308, float("inf"), None, "x")] * 100)
    assert {violation.kind for violation in watch.look(batch)} == {Wrong.TYPE}


def test_floats_of_a_window_are_those_found_one_by_one() -> None:
    floats = [1.5, -0.0, float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 9.9e299, 5e-324]
    found = _numbers(floats)
    assert found.tolist() == _numbers([*floats, "text"]).tolist() == [1.5, -0.0, 9.9e299, 5e-324]
