"""Groups of features that say the same, judged by scipy's rank correlation."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.describe import describe
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.groups import correlated_groups, rank_correlations

NAMES = ("a", "b", "c", "d", "e")


def sample(rows: int = 800, nulls: float = 0.0) -> np.ndarray:
    """a with b (downwards, not linear) and b with c go together closely, a with c less so; d and e are alone."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=rows)
    b = -np.exp(a + 0.55 * rng.normal(size=rows))
    c = np.argsort(np.argsort(b)) / rows + 0.16 * rng.normal(size=rows)
    values = np.array([a, b, c, rng.normal(size=rows), np.round(rng.normal(size=rows))])
    values[rng.random(values.shape) < nulls] = np.nan
    return values


def test_correlations_are_those_of_scipy_ties_included() -> None:
    values = sample()
    assert rank_correlations(values, slice(0, 5)) == pytest.approx(spearmanr(values.T).statistic, abs=1e-12)


def test_nulls_by_chance_leave_correlations_as_they_are() -> None:
    values = sample(4000, nulls=0.2)
    ours = rank_correlations(values, slice(0, 5))
    theirs = spearmanr(values.T, nan_policy="omit").statistic
    assert ours == pytest.approx(np.asarray(theirs), abs=0.02)


def test_a_group_is_all_that_hang_together() -> None:
    values = sample()
    rho = np.abs(spearmanr(values.T).statistic)
    assert rho[0, 1] > 0.8 and rho[1, 2] > 0.8 and rho[0, 2] < 0.8  # a and c belong together by b alone
    assert correlated_groups(NAMES, values) == (("a", "b", "c"),)


def test_columns_that_meet_in_few_rows_are_not_joined() -> None:
    values = sample()
    values[0, 49:] = np.nan
    assert correlated_groups(NAMES, values) == (("b", "c"),)


def test_constant_and_empty_columns_are_alone() -> None:
    values = np.array([np.ones(100), np.ones(100), np.full(100, np.nan)])
    assert correlated_groups(("x", "y", "z"), values) == ()


def build(seed: int = 0, chunk: int | None = None) -> Baseline:
    values = sample()
    order = np.random.default_rng(seed).permutation(values.shape[1])
    columns = {name: column[order].tolist() for name, column in zip(NAMES, values, strict=True)}
    columns["town"] = [str(int(code)) * 2 for code in values[0][order] > 0]
    return build_baseline(
        columns, Roles(), Purpose("m"), redact_category=lambda _column, token: token, policy="",
        created="2026-01-01T00:00:00Z", chunk_rows=chunk,
    )  # fmt: skip


def test_a_baseline_has_its_groups_whatever_the_order_of_its_rows() -> None:
    built = build()
    assert built.reference.groups == (("a", "b", "c"),)
    assert describe(built).groups == (("a", "b", "c"),)
    assert set(describe(built).together) == set(NAMES) and describe(built).embeddings == ()
    assert built.reference.group_of("b") == ("a", "b", "c")
    assert built.reference.group_of("town") == ("town",)
    assert json.dumps(built.to_document()) == json.dumps(build(seed=9, chunk=17).to_document())


def test_groups_are_in_the_document_and_older_documents_load_as_they_are() -> None:
    document = json.loads(json.dumps(build().to_document()))
    assert Baseline.from_document(document).reference.groups == (("a", "b", "c"),)
    del document["reference"]["groups"]
    older = Baseline.from_document(document)
    assert older.reference.groups == ()
    assert json.loads(json.dumps(older.to_document())) == document
