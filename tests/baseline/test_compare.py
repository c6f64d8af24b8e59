"""Two baselines side by side, against scipy on the rows they were built from."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.compare import compare, least_ks
from mlmon_sidecar.baseline.describe import describe
from mlmon_sidecar.baseline.document import Baseline, Roles

Columns = dict[str, list[object]]


def same(_column: str, token: str) -> str:
    return token


def table(seed: int, shift: float = 0.0, ulm: float = 0.5, nulls: int = 50) -> Columns:
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 2 + 4 * shift, 4000)
    return {
        "x": [None if k % nulls == 0 else float(v) for k, v in enumerate(rng.normal(shift, 1, 4000))],
        "doors": rng.integers(1, 6, 4000).tolist(),
        "town": rng.choice(["Ulm", "Jena", "Trier"], 4000, p=[ulm, 0.8 - ulm, 0.2]).tolist(),
        "score": score.tolist(),
        "label": (rng.random(4000) < score).astype(int).tolist(),
    }


def built(columns: Columns) -> Baseline:
    return build_baseline(
        columns, Roles(score="score", label="label"), Purpose("m"), redact_category=same, policy="", created="",
    )  # fmt: skip


BEFORE, AFTER = table(1), table(2, shift=0.5, ulm=0.3, nulls=5)
A, B = built(BEFORE), built(AFTER)


def test_distances_are_the_exact_ones_from_below() -> None:
    changes = {column.name: column for column in (*compare(A, B).columns, *compare(A, B).predictions)}
    for name in ("x", "score"):
        exact = stats.ks_2samp(*([v for v in side[name] if v is not None] for side in (BEFORE, AFTER))).statistic
        found = changes[name].distance
        assert found is not None
        assert exact - 0.04 < found <= exact + 1e-9
    shares = [
        np.array([side["town"].count(town) for town in ("Ulm", "Jena", "Trier")]) / 4000 for side in (BEFORE, AFTER)
    ]
    assert changes["town"].distance == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    assert changes["x"].nulls == (0.02, 0.2)
    assert changes["doors"].distance == pytest.approx(stats.ks_2samp(BEFORE["doors"], AFTER["doors"]).statistic)


def test_a_baseline_does_not_differ_from_itself() -> None:
    comparison = compare(A, A)
    assert comparison.figures == comparison.added == comparison.removed == ()
    assert {column.distance for column in (*comparison.columns, *comparison.predictions)} == {0.0}


def test_columns_and_categories_come_and_go() -> None:
    changed = {**BEFORE, "town": [f"new {town}" for town in BEFORE["town"]], "extra": BEFORE["x"]}
    del changed["doors"]
    comparison = compare(A, built({**changed, "x": ["text", "other"] * 2000}))
    assert (comparison.added, comparison.removed) == (("extra",), ("doors",))
    town = next(column for column in comparison.columns if column.name == "town")
    assert town.appeared == ("new Jena", "new Trier", "new Ulm")
    assert town.vanished == ("Jena", "Trier", "Ulm")
    x = next(column for column in comparison.columns if column.name == "x")
    assert (x.kinds, x.distance) == (("numeric", "categorical"), None)


def test_figures_said_once_are_listed_where_they_differ() -> None:
    figures = {name: (before, after) for name, before, after in compare(A, B).figures}
    assert figures.keys() >= {"layout", "accuracy", "calibration rows"}
    assert "rows" not in figures
    json.dumps(compare(A, B).to_document())


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60), st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.sets(st.integers(0, 30), min_size=1, max_size=8), st.sets(st.integers(0, 30), min_size=1, max_size=8),
)  # fmt: skip
def test_the_least_distance_is_never_above_the_exact_one(
    first: list[int], second: list[int], cuts: set[int], other_cuts: set[int]
) -> None:
    edges, other_edges = sorted(cuts), sorted(other_cuts)
    bins = np.bincount(np.searchsorted(edges, first), minlength=len(edges) + 1)
    other_bins = np.bincount(np.searchsorted(other_edges, second), minlength=len(other_edges) + 1)
    found = least_ks(edges, bins, other_edges, other_bins)
    assert found is not None
    assert (
        found <= max(abs(np.mean(np.array(first) <= at) - np.mean(np.array(second) <= at)) for at in range(31)) + 1e-12
    )
    same_cuts = least_ks(edges, bins, edges, np.bincount(np.searchsorted(edges, second), minlength=len(edges) + 1))
    exact_at_edges = max(abs(np.mean(np.array(first) <= e) - np.mean(np.array(second) <= e)) for e in edges)
    assert same_cuts == pytest.approx(exact_at_edges)


def test_empty_sides_have_no_distance() -> None:
    assert least_ks([1.0], np.zeros(2, dtype=np.int64), [1.0], np.array([1, 1])) is None


def test_a_description_tells_what_the_rows_were() -> None:
    found = describe(A)
    x = next(feature for feature in found.features if feature.name == "x")
    values = [v for v in BEFORE["x"] if v is not None]
    assert x.quantiles == pytest.approx(np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)), abs=0.05)
    assert x.nulls == 0.02
    assert x.unusable == 0.0
    town = next(feature for feature in found.features if feature.name == "town")
    assert dict(town.categories)["Ulm"] == BEFORE["town"].count("Ulm") / 4000
    assert found.score == pytest.approx(np.quantile(BEFORE["score"], (0.05, 0.25, 0.5, 0.75, 0.95)), abs=0.01)
    right = [(s >= 0.5) == bool(y) for s, y in zip(BEFORE["score"], BEFORE["label"], strict=True)]
    assert found.accuracy == pytest.approx(np.mean(right))
    assert sum(feature.weight for feature in found.features) == pytest.approx(1)
    assert 0.1 < x.detectable < 0.3
    assert found.collapse_rows == 101
    json.dumps(found.to_document())


def test_a_larger_reference_makes_smaller_shifts_visible() -> None:
    small = {name: column[:300] for name, column in BEFORE.items()}
    shifts = [next(f for f in describe(side).features if f.name == "x").detectable for side in (built(small), A)]
    assert shifts[0] > shifts[1]
