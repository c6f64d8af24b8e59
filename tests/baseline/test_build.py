"""Baselines of synthetic tables, judged by numpy, scipy and scikit-learn."""

import hashlib
import json
import stat
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.columns import rank_correlation
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.tokens import unseen_rate
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import MINUTE_NS
from mlmon_sidecar.statistics.joint_space import ALL_TOGETHER
from mlmon_sidecar.statistics.layout import CategoricalFeature, NumericFeature, hashed_token
from mlmon_sidecar.statistics.wander import PRIOR_TAU

ROLES = Roles(timestamp="at", id="key", prediction="approved", score="p", label="repaid")


def same(_column: str, token: str) -> str:
    return token


def table(rows: int = 6000, minutes_apart: int = 10, seed: int = 1) -> dict[str, list[object]]:
    rng = np.random.default_rng(seed)
    score = rng.beta(1, 1, rows)
    age = rng.normal(40, 9, rows)
    return {
        "age": [None if k % 50 == 0 else float(value) for k, value in enumerate(age)],
        "doors": rng.integers(2, 6, rows).tolist(),
        "town": [str(t) for t in rng.choice(["Ulm", "Jena", "Trier"], rows, p=[0.7, 0.2, 0.1])],
        "rare": ["common"] * (rows - 5) + ["secret"] * 5,
        "member": [bool(m) for m in rng.random(rows) < 0.3],
        "constant": [1.5] * rows,
        "counter": list(range(rows)),
        "token": [f"id-{k}" for k in range(rows)],
        "drifting": [k / 10 + float(noise) for k, noise in enumerate(rng.normal(0, 20, rows))],
        "at": [k * minutes_apart * MINUTE_NS for k in range(rows)],
        "key": [f"k{k}" for k in range(rows)],
        "approved": ["yes" if s >= 0.5 else "no" for s in score],
        "p": score.tolist(),
        "repaid": ["yes" if r else "no" for r in rng.random(rows) < score],
    }


def build(columns: dict[str, list[object]] | None = None, roles: Roles = ROLES, **purpose: object) -> Baseline:
    return build_baseline(
        columns or table(), roles, Purpose("loans", **purpose),  # type: ignore[arg-type]
        redact_category=same, policy="policy-1", created="2026-01-01T00:00:00Z", source="loans.csv",
    )  # fmt: skip


BUILT = build()


def test_roles_and_columns_that_are_no_features_are_left_out_and_said() -> None:
    names = [feature.name for feature in BUILT.layout.features]
    assert names == ["age", "doors", "town", "rare", "member", "constant"]
    assert set(BUILT.notes) == {
        "counter: follows time (left out)",
        "token: every value is different, like an id (left out)",
        "drifting: follows time (left out)",
        "constant: constant",
    }


def test_kinds_follow_the_values() -> None:
    kinds = {f.name: f.kind for f in BUILT.layout.features}
    assert kinds["age"] == kinds["doors"] == kinds["constant"] == "numeric"
    assert kinds["town"] == kinds["member"] == "categorical"
    member = BUILT.layout.feature("member")
    assert isinstance(member, CategoricalFeature)
    assert member.categories == ("false", "true")


def test_extremes_and_rare_categories_are_not_in_the_document() -> None:
    age = BUILT.layout.feature("age")
    values = [v for v in table()["age"] if v is not None]
    assert isinstance(age, NumericFeature)
    assert min(values) < age.minimum < age.maximum < max(values)
    text = json.dumps(BUILT.to_document())
    assert "secret" not in text
    rare = BUILT.layout.feature("rare")
    assert isinstance(rare, CategoricalFeature)
    assert (rare.categories, rare.known) == (("common",), (hashed_token("secret"),))


def test_the_reference_is_what_serving_counts_on_the_same_rows() -> None:
    columns = table()
    batch = batch_from_columns(
        "loans", now_ns=0, features={f.name: columns[f.name] for f in BUILT.layout.features},
        predictions=columns["approved"], scores=columns["p"], times=columns["at"],
        options=DecodeOptions("loans", kind="binary", positive="yes", negative="no"),
    )  # fmt: skip
    builder = PaneBuilder(BUILT.layout, same)
    builder.add_batch(batch)
    served, end = sum(pane.vector for pane in builder.take()), BUILT.layout.embedding_start
    assert np.array_equal(served[:end], BUILT.reference.vector[:end])
    joint = BUILT.layout.joint_cells[ALL_TOGETHER].bins  # of these the reference has the rows it was not fitted on
    assert 0 < BUILT.reference.vector[joint].sum() < served[joint].sum()
    assert (served - BUILT.reference.vector >= 0).all()


def test_categories_pass_the_redactor_before_they_are_kept() -> None:
    hidden = build_baseline(
        table(), ROLES, Purpose("loans"), redact_category=lambda column, token: f"<{column}>", policy="p", created=""
    )
    town = hidden.layout.feature("town")
    assert isinstance(town, CategoricalFeature)
    assert town.categories == ("<town>",)
    assert "Jena" not in json.dumps(hidden.to_document())


def test_predictions_of_a_binary_model() -> None:
    space = BUILT.layout.prediction
    assert (space.kind, space.classes, space.positive, space.threshold) == ("binary", ("no", "yes"), "yes", 0.5)
    assert len(space.score_edges) == 199
    assert len(space.score_alarm) == 9


def test_confusion_equals_scikit_learn() -> None:
    columns = table()
    oracle = confusion_matrix(columns["repaid"], columns["approved"], labels=["no", "yes"])
    assert np.array_equal(BUILT.reference.confusion, oracle)


def test_calibration_is_learned_on_about_half_of_the_rows_and_is_right() -> None:
    assert 2700 < BUILT.reference.calibration_rows < 3300
    probability = np.array(BUILT.reference.calibration)
    middles = (np.arange(200) + 0.5) / 200  # the score is uniform and calibrated by construction
    assert (np.diff(probability) >= 0).all()
    assert np.abs(probability - middles).mean() < 0.04


def test_wander_is_known_after_two_weeks_and_prior_before() -> None:
    assert BUILT.reference.hours == 1000
    assert BUILT.reference.tau["age"] < 0.05
    short = build(table(1500))
    assert short.reference.hours == 250
    assert dict(short.reference.tau) == {"*": PRIOR_TAU}


def test_without_timestamps_there_are_no_hours_and_no_time_to_follow() -> None:
    columns = table()
    del columns["at"]
    built = build(columns, Roles(id="key", prediction="approved", score="p", label="repaid"))
    assert built.reference.hours == 0
    assert dict(built.reference.tau) == {}
    assert "counter: numbers the rows (left out)" in built.notes


@pytest.mark.parametrize(
    ("prediction", "kind"),
    [(["a", "b", "c"] * 100, "multiclass"), ([0.1, 7.3, 2.0] * 100, "regression"), ([0, 1, 1] * 100, "binary")],
)
def test_kind_of_prediction_is_told_by_its_values(prediction: list[object], kind: str) -> None:
    columns = {"x": list(range(150)) + list(range(150)), "y": prediction}
    built = build(columns, Roles(prediction="y"))
    assert built.layout.prediction.kind == kind
    assert bool(built.layout.prediction.score_edges) is (kind == "regression")


def test_no_predictions_at_all() -> None:
    built = build({"x": list(range(150)) * 2}, Roles())
    assert built.layout.prediction.kind == "none"
    assert built.reference.confusion == ()


def test_a_wide_table_keeps_alarm_edges_only() -> None:
    rng = np.random.default_rng(5)
    columns: dict[str, list[object]] = {f"x{k}": rng.normal(size=200).tolist() for k in range(1000)}
    built = build(columns, Roles())
    assert built.layout.size <= 65_536
    first = built.layout.feature("x0")
    assert isinstance(first, NumericFeature)
    assert first.alarm == tuple(range(len(first.edges)))


def test_row_order_does_not_matter_when_there_are_times() -> None:
    columns = table(2000)
    order = np.random.default_rng(6).permutation(2000)
    shuffled = {name: [column[at] for at in order] for name, column in columns.items()}
    assert build(shuffled).to_document() == build(columns).to_document()


def test_good_turing_rate_is_never_zero() -> None:
    assert unseen_rate([98, 1, 1]) == 0.02
    assert unseen_rate([2]) == 0.5


def test_rank_correlation_equals_scipy() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 20, 500).astype(float), rng.normal(size=500)
    y += x
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert rank_correlation(x, np.ones(500)) == 0.0


@pytest.mark.parametrize(
    ("columns", "roles", "code"),
    [({"x": [1, 2]}, Roles(), "too_few_rows"), ({"x": [1] * 200}, Roles(label="y"), "column_missing")],
)
def test_data_that_cannot_make_a_baseline_is_refused(columns: dict[str, list[object]], roles: Roles, code: str) -> None:
    with pytest.raises(BaselineError) as caught:
        build(columns, roles)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_document_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "loans.json"
    BUILT.save(path)
    loaded = Baseline.load(path)
    assert loaded.to_document() == BUILT.to_document()
    assert loaded.layout == BUILT.layout
    assert loaded.reference.vector.dtype == np.int64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["loans.json"]


def spoil_layout(document: dict) -> None:  # type: ignore[type-arg]
    document["layout"]["features"][0]["center"] += 1


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda d: d.update(format=99), "baseline_format"),
        (lambda d: d.pop("reference"), "baseline_invalid"),
        (lambda d: d["reference"].update(unknown=1), "baseline_invalid"),
        (lambda d: d["reference"]["vector"].pop(), "layout_mismatch"),
        (lambda d: d["layout"].update(format=99), "layout_format"),
        (spoil_layout, "layout_mismatch"),
    ],
)
def test_a_damaged_document_is_refused_with_a_hint(tmp_path: Path, spoil, code: str) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(json.dumps(BUILT.to_document()))
    spoil(document)
    path = tmp_path / "b.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BaselineError) as caught:
        Baseline.load(path)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(("text", "code"), [("{", "baseline_invalid"), ("[]", "baseline_invalid")])
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(BaselineError, match=code):
        Baseline.load(path)
    with pytest.raises(BaselineError, match="baseline_unreadable"):
        Baseline.load(tmp_path / "absent.json")


def test_another_redaction_policy_is_refused() -> None:
    BUILT.require_policy("policy-1")
    with pytest.raises(BaselineError, match="policy_mismatch"):
        BUILT.require_policy("policy-2")


def test_hashed_tokens_are_not_the_token() -> None:
    assert hashed_token("secret") != "#" + hashlib.sha256(b"secret").hexdigest()[:16]
    assert "secret" not in hashed_token("secret")
