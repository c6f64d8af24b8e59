"""Columns nobody would choose: each a stated reason or a bounded summary, and the others as if it were not there."""

import json

import numpy as np
import pytest

from mlmon_sidecar.baseline.build import MAX_CELLS, Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.errors import BaselineError, DecodeError
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import CategoricalFeature, NumericFeature

ROWS = 400
RNG = np.random.default_rng(1)
HEALTHY: list[object] = RNG.normal(size=ROWS).tolist()


def same(_column: str, token: str) -> str:
    return token


def built(columns: object, roles: Roles | None = None) -> Baseline:
    return build_baseline(
        columns, roles or Roles(), Purpose("m"), redact_category=same, policy="", created=""
    )  # fmt: skip


ALONE = built({"healthy": HEALTHY}).layout.feature("healthy")

LEFT_OUT: dict[str, tuple[list[object], str]] = {
    "all null": ([None] * ROWS, "odd: empty (left out)"),
    "infinite": ([float("inf"), float("-inf")] * (ROWS // 2), "odd: holds no finite number (left out)"),
    "beyond a double": ([10**400] * ROWS, "odd: holds no finite number (left out)"),
    "all unique": ([f"id-{k}" for k in range(ROWS)], "odd: every value is different, like an id (left out)"),
    "row numbers": (list(range(1000, 1000 + ROWS))[::-1], "odd: numbers the rows (left out)"),
    "dates": (
        [f"2026-01-{1 + k % 28:02d}" for k in range(ROWS)],
        "odd: holds dates, which do not come again (left out)",
    ),
    "times": (
        [f"2026-01-01T{k % 24:02d}:{k % 60:02d}:00.5+01:00" for k in range(ROWS)],
        "odd: holds dates, which do not come again (left out)",
    ),
    "short lists": ([[1, 2], [3]] * (ROWS // 2), "odd: holds nested values (left out)"),
    "objects": ([{"a": 1}] * ROWS, "odd: holds nested values (left out)"),
}

KEPT: dict[str, tuple[list[object], str]] = {
    "constant number": ([7] * ROWS, "odd: constant"),
    "constant text": (["x"] * ROWS, ""),
    "some infinite": (
        [float("inf") if k % 40 == 0 else float(v) for k, v in enumerate(RNG.normal(size=ROWS))],
        "odd: 10 of 400 values are no finite numbers and count as unusable",
    ),
    "huge": ((RNG.normal(size=ROWS) * 1e299).tolist(), ""),
    "tiny": ((RNG.normal(size=ROWS) * 5e-324).tolist(), ""),
    "numbers among texts": ([k % 5 if k % 3 else f"t{k % 7}" for k in range(ROWS)], ""),
    "texts among numbers": (
        [float(v) if k % 50 else "n/a" for k, v in enumerate(RNG.normal(size=ROWS))],
        "odd: 8 of 400 values are no finite numbers and count as unusable",
    ),
    "booleans and nulls": ([None if k % 4 == 0 else bool(k % 2) for k in range(ROWS)], ""),
    "long texts": (["word " * (100 + k % 20) for k in range(ROWS)], ""),
}


def sound(baseline: Baseline) -> None:
    assert Baseline.from_document(json.loads(json.dumps(baseline.to_document()))).layout == baseline.layout
    assert baseline.layout.feature("healthy") == ALONE
    assert len(indicators(baseline.layout, baseline.reference).unit)


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_column_that_is_no_feature_is_left_out_and_said(kind: str) -> None:
    column, reason = LEFT_OUT[kind]
    baseline = built({"odd": column, "healthy": HEALTHY})
    sound(baseline)
    assert [feature.name for feature in baseline.layout.features] == ["healthy"]
    assert baseline.notes == (reason,)


@pytest.mark.parametrize("kind", KEPT)
def test_an_odd_feature_is_summed_up(kind: str) -> None:
    column, note = KEPT[kind]
    baseline = built({"odd": column, "healthy": HEALTHY})
    sound(baseline)
    assert any(feature.name.startswith("odd") for feature in baseline.layout.features)
    assert all(value is not None for value in baseline.to_document().values())
    if kind != "long texts":  # whose figures say which of them are constant
        assert baseline.notes == ((note,) if note else ())


def test_numbers_and_texts_in_one_column_are_categories_or_unusable() -> None:
    categories = built({"odd": KEPT["numbers among texts"][0]}).layout.feature("odd")
    assert isinstance(categories, CategoricalFeature)
    assert {"0", "1", "t0"} <= set(categories.categories)
    numeric = built({"odd": KEPT["texts among numbers"][0]})
    assert isinstance(numeric.layout.feature("odd"), NumericFeature)
    assert numeric.reference.vector[numeric.layout.cells["odd"].invalid] == 8


def test_a_vector_becomes_figures() -> None:
    vectors: list[object] = [RNG.normal(size=128).tolist() for _ in range(ROWS)]
    names = {feature.name for feature in built({"v": vectors, "healthy": HEALTHY}).layout.features}
    assert names == {"v.dimension", "v.norm", *(f"v.embedding.{axis}" for axis in range(8)), "healthy"}


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_too_few_rows_are_refused(rows: int) -> None:
    with pytest.raises(BaselineError) as caught:
        built({"x": HEALTHY[:rows]})
    assert caught.value.code == "too_few_rows"
    assert str(rows) in str(caught.value)


def test_a_table_without_columns_or_rows_is_refused() -> None:
    for data in ({}, [], np.zeros((0, 3))):
        with pytest.raises(BaselineError, match="too_few_rows"):
            built(data)
    with pytest.raises(DecodeError, match="differ in length"):
        built({"x": [1, 2], "y": [1]})


def test_columns_without_any_feature_still_make_a_baseline() -> None:
    baseline = built({"score": RNG.random(ROWS).tolist()}, Roles(score="score"))
    assert baseline.layout.features == ()
    assert baseline.layout.prediction.kind == "binary"


def test_five_thousand_columns() -> None:
    table = np.random.default_rng(2).normal(size=(100, 5000))
    baseline = built(table)
    assert len(baseline.layout.features) == 5000
    first = baseline.layout.feature("feature_0")
    assert isinstance(first, NumericFeature)
    assert len(first.edges) == 9
    assert baseline.notes[-1].endswith(f"more than {MAX_CELLS}: numbers are counted at the edges of alarms only")


def test_a_great_many_categories() -> None:
    rng = np.random.default_rng(3)
    rows = 60_000
    tokens = np.array([f"user {k}" for k in range(rows)], dtype=object)
    often = rng.random(rows)
    tokens[often < 0.3], tokens[often > 0.8] = "guest", "crawler"
    baseline = built({"user": tokens, "healthy": rng.normal(size=rows)})
    feature = baseline.layout.feature("user")
    assert isinstance(feature, CategoricalFeature)
    assert feature.categories == ("guest", "crawler")
    assert len(feature.known) <= 8192
    assert "different values, of which the frequent ones are known" in baseline.notes[0]
    cells = baseline.layout.cells["user"]
    unknown = baseline.reference.vector[cells.bins][-1] / rows  # users too many to be known
    assert 0.3 < unknown < 0.5
    alone = float(((often >= 0.3) & (often <= 0.8)).mean())  # every one of them came once: Good-Turing's share
    assert baseline.reference.new_rate["user"] == pytest.approx(alone, abs=0.01)


def test_one_odd_column_among_many_costs_itself_alone() -> None:
    columns = {f"{kind} {at}": column for at, (kind, (column, _)) in enumerate({**LEFT_OUT, **KEPT}.items())}
    baseline = built({**columns, "healthy": HEALTHY})
    sound(baseline)
    assert sum("left out" in note for note in baseline.notes) == len(LEFT_OUT)
