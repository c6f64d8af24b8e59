"""Scales and places of columns, told from values alone."""

from __future__ import annotations

import numpy as np
import pytest

from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.schema import ANY, NUMBER, TEXT, ExpectedColumn, exchanged, expected_schema, power_of_ten

CHANCE = np.random.default_rng(5)
HEALTHY = {
    "around_zero": lambda n: CHANCE.normal(0, 1, n),
    "income": lambda n: CHANCE.lognormal(10.5, 0.4, n),
    "share": lambda n: CHANCE.beta(2, 5, n),
    "age": lambda n: CHANCE.integers(18, 90, n).astype(float),
}


def schema_of(samples: dict[str, np.ndarray]) -> dict[str, ExpectedColumn]:
    """As a baseline of these samples would be cut: 32 bins at their quantiles."""
    features, counts = [], []
    for name, values in samples.items():
        edges = tuple(np.unique(np.quantile(values, np.arange(1, 32) / 32)).tolist())
        features.append(NumericFeature(name, edges, (), float(values.min()), float(values.max()), 0.0, 1.0))
        counts.append(np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1))
    layout = Layout("m", tuple(features), PredictionSpace("none"))
    vector = np.zeros(layout.size, np.int64)
    for (_, cells), count in zip(layout.numeric(), counts, strict=True):
        vector[cells.bins] = count
    return dict(expected_schema(layout, vector).columns)


SCHEMA = schema_of({name: draw(20_000) for name, draw in HEALTHY.items()})


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("power", [-6, -3, -2, -1, 1, 2, 3, 6])
def test_a_power_of_ten_is_found(name: str, power: int) -> None:
    assert power_of_ten(HEALTHY[name](256) * 10.0**power, SCHEMA[name]) == power


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_values_and_ordinary_drift_are_none(name: str) -> None:
    for _ in range(300):
        assert power_of_ten(HEALTHY[name](256), SCHEMA[name]) == 0
    spread = SCHEMA[name].quartiles[2] - SCHEMA[name].quartiles[0]  # type: ignore[index]
    for factor in (0.5, 2.0, 3.0):
        assert power_of_ten(HEALTHY[name](256) * factor, SCHEMA[name]) == 0
    assert power_of_ten(HEALTHY[name](256) + 3 * spread, SCHEMA[name]) == 0


def test_what_cannot_be_judged_is_not() -> None:
    constant = np.full(256, 7.0)
    assert power_of_ten(constant, SCHEMA["income"]) == 0
    assert power_of_ten(constant, ExpectedColumn(NUMBER, (7.0, 7.0, 7.0), (7.0,) * 40)) == 0
    assert power_of_ten(constant, ExpectedColumn(NUMBER)) == 0


def test_columns_in_each_other_s_places_are_named() -> None:
    values = {name: draw(256) for name, draw in HEALTHY.items()}
    assert exchanged(values, SCHEMA) == {}
    swapped = values | {"income": values["age"], "age": values["income"]}
    assert exchanged(swapped, SCHEMA) == {"income": "age", "age": "income"}
    turned = values | {"income": values["age"], "age": values["share"], "share": values["income"]}
    assert exchanged(turned, SCHEMA) == {"income": "age", "age": "share", "share": "income"}


def test_two_that_hold_the_same_are_no_exchange() -> None:
    values = {name: draw(256) for name, draw in HEALTHY.items()}
    assert exchanged(values | {"income": values["age"]}, SCHEMA) == {}
    assert exchanged(values | {"income": values["age"], "share": values["age"]}, SCHEMA) == {}


def test_drift_of_one_column_is_no_exchange() -> None:
    for _ in range(100):
        values = {name: draw(256) for name, draw in HEALTHY.items()}
        assert exchanged(values | {"income": values["income"] * 4}, SCHEMA) == {}


def test_a_category_is_text_only_where_no_number_can_mean_it() -> None:
    features = (
        CategoricalFeature("color", ("red", "green"), 2),
        CategoricalFeature("code", ("red", "7"), 2),
        CategoricalFeature("flag", ("true", "false"), 2),
        CategoricalFeature("rare", ("red",), 1, known=("#0011223344556677",)),
    )
    layout = Layout("m", features, PredictionSpace("none"))
    columns = expected_schema(layout, np.zeros(layout.size, np.int64)).columns
    assert {name: column.kind for name, column in columns.items()} == {
        "color": TEXT, "code": ANY, "flag": ANY, "rare": ANY
    }  # fmt: skip
