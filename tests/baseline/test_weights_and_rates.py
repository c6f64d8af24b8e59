"""Rows that stand for many, a base rate that is put right, and features that matter more than others."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.importances import importances_of, read_importances
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.statistics.indicators import feature_weights

Columns = dict[str, list[object]]


def same(_column: str, token: str) -> str:
    return token


def built(columns: Columns, roles: Roles, **options: object) -> Baseline:
    return build_baseline(
        columns, roles, Purpose("m"), redact_category=same, policy="", created="", **options,  # type: ignore[arg-type]
    )  # fmt: skip


def table(rows: int = 200, seed: int = 1) -> Columns:
    rng = np.random.default_rng(seed)
    score = rng.random(rows)
    return {
        "at": [int(k) * 10**12 for k in rng.integers(0, 2000, rows)],
        "x": rng.normal(size=rows).round(2).tolist(),
        "town": rng.choice(["Ulm", "Jena", "Trier"], rows).tolist(),
        "score": score.round(3).tolist(),
        "label": (rng.random(rows) < score).astype(int).tolist(),
    }


ROLES = Roles(timestamp="at", score="score", label="label")
WEIGHTED = Roles(timestamp="at", score="score", label="label", weight="w")


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=200, max_size=200).filter(lambda weights: sum(weights) >= 200))
def test_a_row_of_weight_w_counts_as_w_rows(weights: list[int]) -> None:
    columns = table()
    repeated = {name: np.repeat(np.array(column, dtype=object), weights).tolist() for name, column in columns.items()}
    weighted = built({**columns, "w": list(weights)}, WEIGHTED)
    plain = built(repeated, ROLES)
    assert weighted.reference.vector.dtype == np.int64
    assert weighted.rows == sum(weights)
    documents = weighted.to_document(), plain.to_document()
    for document in documents:
        del document["roles"]
    assert documents[0] == documents[1]


@pytest.mark.parametrize("weight", [0.5, -1, None, "2", True, float("inf"), 1 << 40])
def test_a_weight_that_is_no_number_of_rows_is_refused(weight: object) -> None:
    with pytest.raises(BaselineError, match="weight_invalid") as caught:
        built({**table(), "w": [1] * 199 + [weight]}, WEIGHTED)
    assert caught.value.hint


def test_weights_too_large_together_are_refused() -> None:
    with pytest.raises(BaselineError, match="too_many_rows"):
        built({**table(), "w": [1 << 30] * 200}, WEIGHTED)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_the_base_rate_becomes_the_populations(rate: float) -> None:
    columns = table(8000, 2)
    labels = np.array(columns["label"])
    share = labels.mean()
    before, after = built(columns, ROLES), built(columns, ROLES, base_rate=rate)
    confusion = np.array(after.reference.confusion)
    found = confusion[1].sum() / confusion.sum()
    assert found == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / confusion.sum()))
    kept = (1 - share) / (1 - rate) if rate < share else share / rate
    assert after.rows == pytest.approx(8000 * kept, rel=0.05)
    assert after.notes[-1] == f"{after.rows} of 8000 rows are kept, for a base rate of {rate:g}"
    at = 0 if rate < share else 1  # of the class that is too rare, every row is kept
    assert confusion[at].sum() == np.array(before.reference.confusion)[at].sum()
    score = after.layout.prediction
    assert score.score_center == pytest.approx(rate * 2 / 3 + (1 - rate) / 3, abs=0.03)  # E[s | label] of this table


def test_rows_without_a_label_say_nothing_of_the_base_rate() -> None:
    columns = table(4000, 3)
    columns["label"] = [None if k % 2 else label for k, label in enumerate(columns["label"])]
    assert built(columns, ROLES, base_rate=0.5).rows == pytest.approx(2000, abs=100)


@pytest.mark.parametrize(
    ("roles", "rate"), [(ROLES, 0.0), (ROLES, 1.0), (Roles(score="score"), 0.2), (Roles(label="label"), 0.2)]
)
def test_a_base_rate_without_meaning_is_refused(roles: Roles, rate: float) -> None:
    with pytest.raises(BaselineError, match="base_rate_invalid") as caught:
        built(table(), roles, base_rate=rate)
    assert caught.value.hint


def test_a_base_rate_needs_both_classes() -> None:
    with pytest.raises(BaselineError, match="base_rate_invalid"):
        built({**table(), "label": [1] * 200}, ROLES, base_rate=0.2)


def test_importances_become_weights() -> None:
    built_with = built(table(), ROLES, importances={"x": 3, "town": 1, "gone": 4})
    assert dict(built_with.reference.weight) == {"x": 0.75, "town": 0.25}
    assert built_with.notes[-1] == "gone: given an importance, but no feature"
    assert feature_weights(built_with.layout, built_with.reference) == {"x": 0.75, "town": 0.25}


def test_a_text_shares_its_importance_among_its_figures() -> None:
    columns: Columns = {"note": ["word " * (110 + k % 9) for k in range(200)], "x": table()["x"]}
    weight = built(columns, Roles(), importances={"note": 1.0, "x": 1.0}).reference.weight
    parts = [value for name, value in weight.items() if name.startswith("note.")]
    assert len(parts) > 6
    assert sum(parts) == pytest.approx(0.5)
    assert len(set(parts)) == 1


def test_importances_of_a_file_and_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_text(json.dumps({"x": 2, "town": 0.5}))
    assert read_importances(path) == {"x": 2.0, "town": 0.5}
    model = SimpleNamespace(feature_names_in_=np.array(["x", "town"]), feature_importances_=np.array([0.8, 0.2]))
    assert importances_of(model) == {"x": 0.8, "town": 0.2}


@pytest.mark.parametrize("text", ["{", "[1]", '{"x": -1}', '{"x": "1"}', '{"x": 0}', '{"x": true}', '{"x": NaN}', "{}"])
def test_importances_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "i.json"
    path.write_text(text)
    with pytest.raises(BaselineError, match="importances_invalid") as caught:
        read_importances(path)
    assert caught.value.hint
    with pytest.raises(BaselineError, match="importances_invalid"):
        read_importances(tmp_path / "gone.json")


def test_importances_of_other_features_are_refused() -> None:
    with pytest.raises(BaselineError, match="importances_invalid"):
        built(table(), ROLES, importances={"other": 1.0})
