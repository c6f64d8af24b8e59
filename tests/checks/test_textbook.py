"""The rules everybody knows, against scipy and numpy on the rows themselves; and that they alarm only when asked."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlmon_sidecar.baseline.cuts import FIGURE_BINS, cut
from mlmon_sidecar.baseline.sketch import Cells
from mlmon_sidecar.checks import CheckContext
from mlmon_sidecar.checks.textbook import TEXTBOOK
from mlmon_sidecar.interfaces import TextbookRule
from mlmon_sidecar.records import Tier, Window
from mlmon_sidecar.statistics.distances import kolmogorov_smirnov
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.textbook import ks_p_value, low_mean_confidence

sys.path.insert(0, str(Path(__file__).parent))
from service_traffic import baseline, pane, rows

LAYOUT = baseline().layout
HEALTHY = rows(1, 8000)  # the rows of the baseline


def context(window: Window, **more: float) -> CheckContext:
    return CheckContext("loans", 9, LAYOUT, baseline().reference, recent={"1h": window}, **more)  # type: ignore[arg-type]


def binned(edges: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def test_every_rule_of_the_settings_is_there_and_silent_without_a_baseline() -> None:
    assert set(get_args(TextbookRule)) == TEXTBOOK.keys()
    bare = CheckContext("m", 5, Layout.bare("m"))
    for check in TEXTBOOK.values():
        assert check.ready(bare) == "no baseline"
        assert check.evaluate(bare) == []
        assert check.resolved(bare) == ()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(-2, 2),
    spread=st.floats(0.3, 3),
    atom=st.floats(0, 0.6),
    moved=st.sampled_from([0.0, 0.05, 1.0]),
)
def test_binned_ks_is_near_the_exact_one_and_never_above(
    seed: int, shift: float, spread: float, atom: float, moved: float
) -> None:
    """Atoms included: a spike of any share, which may have moved past its neighbours."""
    rng = np.random.default_rng(seed)
    before = np.where(rng.random(4000) < atom, 0.5, rng.normal(size=4000))
    after = np.where(rng.random(3000) < atom, 0.5 - moved, rng.normal(shift, spread, 3000))
    edges = cut(Cells.of(before), FIGURE_BINS).edges
    found = kolmogorov_smirnov(binned(edges, before), binned(edges, after))
    exact = stats.ks_2samp(before, after, method="asymp").statistic
    assert found is not None
    assert exact - 0.02 - 1e-12 <= found <= exact + 1e-12


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.2, 1.0])
def test_p_values_are_scipys(shift: float) -> None:
    rng = np.random.default_rng(3)
    edges = tuple(np.linspace(-3, 3, 41))
    # Values on the grid of the bins: binned and exact distance are one, so are the p-values.
    before, after = (np.searchsorted(edges, rng.normal(mean, 1, 600)).astype(float) for mean in (0, shift))
    grid = tuple(np.arange(40) + 0.5)
    found = ks_p_value(binned(grid, before), binned(grid, after))
    assert found == pytest.approx(stats.ks_2samp(before, after, method="asymp").pvalue, abs=0.015)


def test_ks_p_values_fire_on_the_moved_feature() -> None:
    figures = TEXTBOOK["ks_p_value"].figures(context(pane(0, rows(50, 500, moved={"income": 0.4}))))
    assert figures["income"].fires
    columns = rows(50, 500, moved={"income": 0.4})
    exact = stats.ks_2samp(HEALTHY["income"], columns["income"]).pvalue
    assert figures["income"].value < 1e-6
    assert exact < 1e-6
    assert set(figures) == {"age", "income", "height", "weight"}


@pytest.mark.parametrize(("moved", "fires"), [(1.8, False), (2.3, True)])
def test_means_move_by_standard_deviations(moved: float, fires: bool) -> None:
    columns = rows(51, 2000, moved={"height": moved})
    figure = TEXTBOOK["mean_shift_2sd"].figures(context(pane(0, columns)))["height"]
    healthy = np.array(HEALTHY["height"], dtype=float)
    expected = (np.mean(np.array(columns["height"], dtype=float)) - healthy.mean()) / healthy.std()
    assert figure.value == pytest.approx(expected, abs=0.01)
    assert figure.fires is fires


def test_nulls_are_compared_with_twice_their_share() -> None:
    vector = baseline().reference.vector.copy()
    cells = LAYOUT.cells["age"]
    vector[cells.null] = 800  # of 8,800
    usual = replace(baseline().reference, vector=vector)
    for nulls, fires in ((0.14, False), (0.24, True)):
        window = pane(0, rows(52, 3000, nulls=nulls))
        figure = TEXTBOOK["null_rate_doubled"].figures(replace(context(window), reference=usual))["age"]
        assert figure.threshold == pytest.approx(2 * 800 / 8800)
        assert figure.value == pytest.approx(nulls, abs=0.02)
        assert figure.fires is fires


def test_the_mean_score_moves_by_standard_deviations() -> None:
    figure = TEXTBOOK["prediction_mean_shift_2sd"].figures(context(pane(0, rows(53, 300, score=0.97))))["score"]
    scores = np.array(HEALTHY["score"], dtype=float)
    assert figure.value == pytest.approx((0.97 - scores.mean()) / scores.std(), abs=0.02)
    assert not figure.fires


def test_mean_confidence_has_a_floor_told_or_configured() -> None:
    healthy, unsure = (pane(0, rows(54, 400, unsure=unsure)) for unsure in (1.0, 0.7))
    rule = TEXTBOOK["confidence_floor"]
    assert not rule.figures(context(healthy))["confidence"].fires
    assert rule.figures(context(unsure))["confidence"].fires
    assert not rule.figures(context(unsure, confidence_floor=0.5))["confidence"].fires
    assert rule.figures(context(healthy, confidence_floor=0.99))["confidence"].fires


def test_the_floor_is_the_first_percentile_of_such_means() -> None:
    rng = np.random.default_rng(8)
    confidences = rng.beta(8, 2, 20_000)
    bins = np.histogram(confidences, np.arange(51) / 50)[0]
    floor = low_mean_confidence(bins, float(confidences.mean()), 60)
    means = rng.choice(confidences, (20_000, 60)).mean(axis=1)
    assert floor == pytest.approx(np.quantile(means, 0.01), abs=0.004)


@pytest.mark.parametrize(("count", "fires"), [(100, False), (101, True)])
def test_more_than_a_hundred_identical_predictions(count: int, fires: bool) -> None:
    rule = TEXTBOOK["identical_predictions"]
    assert rule.figures(context(pane(0, rows(55, count, score=0.4))))["prediction"].fires is fires
    assert not rule.figures(context(pane(0, rows(55, count))))["prediction"].fires


def test_a_rule_that_fires_is_a_finding_that_ends_when_it_does_not() -> None:
    check = TEXTBOOK["mean_shift_2sd"]
    moved, back = (context(pane(0, rows(56, 500, moved=m))) for m in ({"income": 3.0}, {}))
    (finding,) = check.evaluate(moved)
    assert (finding.rule, finding.tier, finding.features) == ("mean_shift_2sd", Tier.P3, ("income",))
    assert finding.summary.startswith("income: mean moved by 3")
    json.dumps(dict(finding.details))
    assert "income" not in check.resolved(moved)
    assert "income" in check.resolved(back)
    assert check.evaluate(back) == []
