"""Distances, intervals, quantiles and calibration against scipy and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.calibration import isotonic
from mlmon_sidecar.statistics.distances import kolmogorov_smirnov, population_stability, total_variation
from mlmon_sidecar.statistics.intervals import arcsine, f1_interval, wilson
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.quantiles import mean_and_deviation, quantiles
from mlmon_sidecar.statistics.wander import burstiness, clustering, wander

COUNTS = st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any).map(np.array)


def test_binned_ks_is_the_exact_one_when_no_bin_holds_two_values() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.integers(0, 15, 400), rng.integers(3, 18, 300)
    binned = (np.bincount(side, minlength=18) for side in (old, new))
    assert kolmogorov_smirnov(*binned) == pytest.approx(stats.ks_2samp(old, new).statistic, abs=1e-12)


@given(COUNTS, COUNTS)
def test_distances_are_bounded_symmetric_and_zero_on_equal(p: np.ndarray, q: np.ndarray) -> None:
    ks, tv, psi = (f(p, q) for f in (kolmogorov_smirnov, total_variation, population_stability))
    assert ks is not None
    assert tv is not None
    assert psi is not None
    assert 0 <= ks <= tv + 1e-12 <= 1 + 2e-12
    assert psi >= 0
    assert total_variation(q, p) == pytest.approx(tv)
    assert kolmogorov_smirnov(p, 3 * p) == pytest.approx(0, abs=1e-12)


def test_no_rows_is_no_distance() -> None:
    empty, some = np.zeros(3, np.int64), np.ones(3, np.int64)
    assert kolmogorov_smirnov(empty, some) is None
    assert total_variation(some, empty) is None


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (8, 10), (10, 10), (1, 5000)])
def test_wilson_equals_scipy(hits: int, total: int) -> None:
    oracle = stats.binomtest(hits, total).proportion_ci(0.95, method="wilson")
    assert wilson(hits, total) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def test_arcsine_interval_covers_as_promised() -> None:
    share, n = 0.1, 400
    hits = np.random.default_rng(2).binomial(n, share, 4000)
    covered = [low <= share <= high for low, high in (arcsine(int(x), n) for x in hits)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_f1_interval_holds_the_estimate() -> None:
    low, high = f1_interval(80, 40)
    assert low < 2 * 80 / (2 * 80 + 40) < high


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 1000)), min_size=1, max_size=40))
def test_isotonic_equals_scikit_learn(points: list[tuple[float, int]]) -> None:
    values, weights = (np.array(side, dtype=float) for side in zip(*points, strict=True))
    oracle = IsotonicRegression().fit_transform(np.arange(len(values)), values, sample_weight=weights)
    assert isotonic(values, weights) == pytest.approx(oracle, abs=1e-9)


def feature(values: np.ndarray, bins: int = 50) -> NumericFeature:
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    low, high = np.quantile(values, [0.001, 0.999])
    return NumericFeature("x", tuple(map(float, edges)), (), float(low), float(high), float(values.mean()), 2.0)


def test_quantiles_from_bins_are_near_the_exact_ones() -> None:
    values = np.random.default_rng(5).gamma(2, 3, 20_000)
    this = feature(values)
    bins = np.bincount(np.searchsorted(this.edges, values), minlength=50)
    shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    assert quantiles(this, bins, shares) == pytest.approx(np.quantile(values, shares), rel=0.02)


def test_quantiles_never_lie_in_empty_bins() -> None:
    this = NumericFeature("x", (1.0, 2.0, 3.0), (), 0.0, 4.0, 0.0, 1.0)
    assert quantiles(this, np.array([0, 0, 5, 0]), [0.0, 0.5, 1.0]) == pytest.approx([2.0, 2.5, 3.0])
    assert quantiles(this, np.array([4, 0, 0, 4]), [0.25, 0.75]) == pytest.approx([0.5, 3.5])
    assert quantiles(this, np.zeros(4, np.int64), [0.5]) is None


def test_moments_from_fixed_point_sums() -> None:
    values = np.random.default_rng(6).normal(100, 7, 5000)
    this = NumericFeature("x", (100.0,), (), 80.0, 120.0, 100.0, 7.0)
    layout = Layout("m", (this,), PredictionSpace("none"))
    cells = next(layout.numeric())[1]
    vector = np.zeros(layout.size, np.int64)
    q = np.rint((values - 100) / 7 * 1024).astype(np.int64)
    vector[cells.bins] = [np.sum(values <= 100), np.sum(values > 100)]
    vector[cells.moments : cells.moments + 2] = [q.sum(), (q * q).sum()]
    assert mean_and_deviation(this, cells, vector) == pytest.approx((values.mean(), values.std()), rel=1e-4)
    vector[cells.moments : cells.moments + 2] = [5000 * 333, 5000 * 333 * 333]
    figures = mean_and_deviation(this, cells, vector)
    assert figures is not None
    assert figures[1] == 0
    assert mean_and_deviation(this, cells, np.zeros(layout.size, np.int64)) is None


@pytest.mark.parametrize("true_tau", [0.0, 0.1, 0.3])
def test_wander_is_recovered_and_never_much_understated(true_tau: float) -> None:
    rng, hours, rows = np.random.default_rng(7), 500, 300
    angle = math.asin(math.sqrt(0.3)) + rng.normal(0, true_tau / 2, (hours, 1))
    n = np.full((hours, 1), float(rows))
    x = rng.binomial(rows, np.sin(angle) ** 2).astype(float)
    found = wander(np.arange(hours), x, n, np.array([0.3]))
    assert true_tau * 0.93 <= found <= true_tau * 1.25 + 0.03


def test_slow_wander_is_raised_more_than_quick_wander() -> None:
    rng, hours = np.random.default_rng(8), 400
    noise = rng.normal(0, 1, hours)
    slow = np.convolve(rng.normal(0, 1, hours + 23), np.ones(24) / math.sqrt(24), "valid")
    n = np.full((hours, 1), 2000.0)
    found = [
        wander(np.arange(hours), n * np.sin(math.pi / 4 + 0.05 * s[:, None] / s.std()) ** 2, n, np.array([0.5]))
        for s in (noise, slow)
    ]
    assert found[1] > 1.2 * found[0]


def test_burstiness_is_one_for_poisson_and_the_size_of_bursts() -> None:
    rng, busy = np.random.default_rng(9), np.tile([50.0, 150.0], 10_000)
    steady = np.full(20_000, 100.0)
    assert burstiness(rng.poisson(3, 20_000).astype(float), steady) == pytest.approx(1, abs=0.05)
    assert burstiness(rng.poisson(0.03 * busy).astype(float), busy) == pytest.approx(1, abs=0.05)
    bursts = 30.0 * rng.poisson(0.1, 20_000)
    assert burstiness(bursts, steady) == pytest.approx(30, rel=0.05)
    assert burstiness(np.zeros(10), np.ones(10)) == 1.0
    assert WEIGHT_UNIT == 1 << 20


def test_clustering_is_the_design_effect_of_rows_that_come_together_and_no_part_of_wander() -> None:
    rng, hours = np.random.default_rng(10), 2000
    half_hours = np.arange(2 * hours)
    share = np.repeat(np.sin(np.pi / 4 + rng.normal(0, 0.05, hours)) ** 2, 2)[:, None]
    groups = rng.binomial(40, share).astype(float)  # of five equal rows each
    x, n = 5 * groups, np.full((2 * hours, 1), 200.0)
    deff = clustering(half_hours, x, n, np.array([0.5]))
    assert deff == pytest.approx(5, rel=0.1)
    whole = [counts.reshape(hours, 2, 1).sum(axis=1) for counts in (x, n)]
    assert wander(np.arange(hours), *whole, np.array([0.5]), deff) == pytest.approx(0.1, rel=0.15)
    assert clustering(2 * half_hours, x, n, np.array([0.5])) == 1.0  # no hour has two halves
