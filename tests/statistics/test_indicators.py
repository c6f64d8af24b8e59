import math
from dataclasses import replace

import numpy as np
import pytest

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.indicators import (
    BUDGET_RESERVE,
    OUTCOME_STREAM_WEIGHT,
    STREAM_WEIGHT,
    Slack,
    angle_of,
    feature_weights,
    indicators,
    null_boundary,
    shrunk_shares,
)
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericCells, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference

MIXED = Layout(
    "loans",
    (
        NumericFeature("age", (10.0, 20.0, 30.0), (0, 2), 0.0, 40.0, 20.0, 5.0),
        CategoricalFeature("town", ("a", "b", "c"), 2),
        NumericFeature("constant", (), (), 0.0, 0.0, 0.0, 1.0),
    ),
    PredictionSpace("binary", ("no", "yes"), "yes", (0.2, 0.5, 0.8), (1,)),
)


def reference(rows: int = 10_000) -> Reference:
    vector = np.zeros(MIXED.size, np.int64)
    vector[MIXED.traffic.rows + 1] = rows
    age, town = MIXED.cells["age"], MIXED.cells["town"]
    vector[age.alarm] = [rows // 10, rows // 2, rows * 4 // 10]
    vector[town.alarm] = [rows // 2, rows // 4, rows // 4, 0]
    vector[town.null + 1] = rows // 100
    outputs = MIXED.outputs
    vector[outputs.class_weight] = [rows // 4, rows * 3 // 4, 0]
    vector[outputs.score_alarm] = [rows // 4, rows * 3 // 4]
    vector[outputs.confidence] = rows // 50
    vector[outputs.confidence_alarm] = rows // 10
    return Reference(MIXED.hash, "v1", vector * WEIGHT_UNIT, hours=400, tau={"*": 0.0}, new_rate={"town": 0.001})


def test_units_follow_the_layout_and_skip_what_cannot_be_watched() -> None:
    named = [(unit.stream, unit.name) for unit in indicators(MIXED, reference()).units]
    assert named == [
        ("features", "age"), ("features", "town"),
        ("nulls", "age"), ("nulls", "town"), ("nulls", "constant"),
        ("range", "age"), ("new", "town"),
        ("predictions", "score"), ("predictions", "class"), ("confidence", "confidence"),
    ]  # fmt: skip


def test_weights_of_a_stream_and_of_the_budget_sum_to_one() -> None:
    units = indicators(MIXED, reference()).units
    for stream in {unit.stream for unit in units}:
        assert sum(unit.weight for unit in units if unit.stream == stream) == pytest.approx(1)
    assert sum(STREAM_WEIGHT.values()) + sum(OUTCOME_STREAM_WEIGHT.values()) + BUDGET_RESERVE == pytest.approx(1)


def test_cells_are_read_as_the_layout_cuts_them() -> None:
    these, healthy = indicators(MIXED, reference()), reference()
    shares = these.hits.of_vector(healthy.vector) / these.totals.of_vector(healthy.vector)
    unit = these.index[("features", "age")]
    assert shares[these.unit == unit].tolist() == pytest.approx([0.1, 0.6])
    unit = these.index[("features", "town")]
    assert shares[these.unit == unit].tolist() == pytest.approx([0.5, 0.25, 0.25])
    unit = these.index[("nulls", "town")]
    assert shares[these.unit == unit].tolist() == pytest.approx([0.01, 0.0])
    assert np.sin(these.angle[these.unit == these.index[("features", "age")]]) ** 2 == pytest.approx([0.1, 0.6])


def test_tolerance_is_floor_reference_error_and_wander() -> None:
    these = indicators(MIXED, reference())
    assert these.tolerance[0] == pytest.approx(0.10 + 3 * math.sqrt(1 / 10_000))
    assert these.upper[0] - these.lower[0] == pytest.approx(these.tolerance[0])
    assert Slack(4.0, 0.3).h(100) == pytest.approx(3 * math.sqrt(0.04 + 0.09))


def test_a_new_category_is_measured_against_its_good_turing_rate() -> None:
    these = indicators(MIXED, reference())
    (new,) = np.flatnonzero(these.unit == these.index[("new", "town")])
    assert these.angle[new] == pytest.approx(angle_of(0.001))
    assert these.upper[new] == pytest.approx(angle_of(0.003) + 1.5 * math.sqrt(1 / 10_000))
    assert math.isnan(these.lower[new])


def test_categories_a_layout_could_not_list_are_expected_as_new_ones() -> None:
    healthy = reference()
    vector = healthy.vector.copy()
    vector[MIXED.cells["town"].alarm] = np.array([4000, 3000, 2000, 1000]) * WEIGHT_UNIT
    these = indicators(MIXED, replace(healthy, vector=vector))
    (new,) = np.flatnonzero(these.unit == these.index[("new", "town")])
    assert these.angle[new] == pytest.approx(angle_of(0.1 + 0.001))


def test_values_beyond_the_range_may_be_one_in_a_hundred_more() -> None:
    healthy = reference()
    vector, age = healthy.vector.copy(), MIXED.cells["age"]
    assert isinstance(age, NumericCells)
    vector[age.below + 1] = 10 * WEIGHT_UNIT
    these = indicators(MIXED, replace(healthy, vector=vector))
    below, above = np.flatnonzero(these.unit == these.index[("range", "age")])
    margin = 1.5 * math.sqrt(1 / 10_000)
    assert these.upper[[below, above]] == pytest.approx([angle_of(0.011) + margin, angle_of(0.01) + margin])
    assert np.isnan(these.lower[[below, above]]).all()


def test_nulls_may_grow_by_half_and_by_two_in_a_thousand() -> None:
    exact = Slack(1.0, 0.5)  # wander is no excuse for nulls
    many = 1e12
    assert math.sin(null_boundary(0.2, exact, many)) ** 2 == pytest.approx(0.3, abs=1e-5)
    assert math.sin(null_boundary(0.0, exact, many)) ** 2 == pytest.approx(0.002, abs=1e-5)


def test_shrinking_confidence_moves_shares_as_shrinking_the_rows_would() -> None:
    rng = np.random.default_rng(4)
    rows = 0.5 + rng.beta(2, 2, 200_000) / 2
    bins = np.histogram(rows, np.arange(51) / 50)[0].astype(float)
    shrunk = 0.5 + 0.925 * (rows - 0.5)
    shares = shrunk_shares(bins, 0.5, 0.075)
    for k, edge in enumerate((0.6, 0.7, 0.8, 0.9)):
        assert shares[5 + k] == pytest.approx(np.mean(shrunk <= edge), abs=0.004)
    assert np.isnan(shares[:5]).all()


def test_no_feature_is_weighed_out_of_sight() -> None:
    weighed = Reference(MIXED.hash, "v1", reference().vector, weight={"age": 1.0, "town": 0.0, "constant": 0.0})
    weights = feature_weights(MIXED, weighed)
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["town"] > 0.05
    assert weights["age"] > weights["town"]


def test_confidence_is_measured_against_half_the_drop_that_alarms() -> None:
    these = indicators(MIXED, reference())
    members = np.flatnonzero(these.unit == these.index[("confidence", "confidence")])
    limit = 0.5 + 0.4 / 0.925  # of uniform confidences so many lie at or below .9 after shrinking by 7.5%
    assert these.upper[members[-1]] == pytest.approx(angle_of(limit) + 1.5 * math.sqrt(1 / 10_000), abs=1e-9)
    assert np.isnan(these.lower[members]).all()
