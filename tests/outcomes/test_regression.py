"""Errors from fixed-point sums against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score, root_mean_squared_error

from mlmon_sidecar.outcomes.regression import ErrorSums, errors_of, sums_of
from mlmon_sidecar.statistics.error_scale import STEPS, scale_of


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(-1e6, 1e6))
@settings(deadline=None, max_examples=40)
def test_figures_are_scikit_learns_within_the_quantum(seed: int, spread: float, center: float) -> None:
    rng = np.random.default_rng(seed)
    actual = center + spread * rng.standard_normal(300)
    predicted = actual + 0.3 * spread * rng.standard_normal(300) + 0.05 * spread
    scale = scale_of(actual.tolist())
    parts = [sums_of(predicted[part], actual[part], scale) for part in (slice(0, 100), slice(100, 300))]
    found = errors_of(parts[0].plus(parts[1]), scale)
    assert found is not None and found.rows == 300
    quantum = scale.unit / STEPS
    assert found.mae == pytest.approx(mean_absolute_error(actual, predicted), abs=quantum)
    assert found.rmse == pytest.approx(root_mean_squared_error(actual, predicted), abs=quantum)
    assert found.bias == pytest.approx(float((predicted - actual).mean()), abs=quantum)
    assert found.r2 == pytest.approx(r2_score(actual, predicted), abs=0.005)
    if (np.abs(predicted - actual) < 1000 * np.abs(actual)).all():
        assert found.mape == pytest.approx(mean_absolute_percentage_error(actual, predicted), rel=1e-3, abs=1e-5)
    assert found.mae_interval[0] < found.mae < found.mae_interval[1]
    assert found.bias_interval[0] < found.bias < found.bias_interval[1]


def test_what_is_not_defined_is_none() -> None:
    constant = np.zeros(5)
    found = errors_of(sums_of(constant + 1, constant, scale_of(constant.tolist())), scale_of(constant.tolist()))
    assert found is not None and (found.mae, found.mape, found.r2) == (1.0, None, None)
    assert errors_of(ErrorSums(), scale_of(constant.tolist())) is None


def test_a_correction_takes_out_what_was_put_in() -> None:
    scale = scale_of([1.0, 2.0, 3.0])
    was, now = (sums_of(np.array([2.0]), np.array([actual]), scale) for actual in (3.0, 1.5))
    undone = ErrorSums(*(-value for value in was))
    assert was.plus(undone).plus(now) == now


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_sums_by_weight_are_scikit_learns_with_sample_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    actual = 50 + 10 * rng.standard_normal(60)
    predicted = actual + 3 * rng.standard_normal(60)
    weight = rng.integers(1, 2**40, 60).tolist()
    scale = scale_of(actual.tolist())
    sums = ErrorSums()
    for at, heavy in enumerate(weight):
        own = sums_of(predicted[at : at + 1], actual[at : at + 1], scale)
        sums = sums.plus(ErrorSums(*(heavy * value for value in own)))
    found = errors_of(sums, scale, rows=40.0)
    assert found is not None and found.rows == 40
    quantum = scale.unit / STEPS
    assert found.mae == pytest.approx(mean_absolute_error(actual, predicted, sample_weight=weight), abs=quantum)
    assert found.rmse == pytest.approx(root_mean_squared_error(actual, predicted, sample_weight=weight), abs=quantum)
    assert found.bias == pytest.approx(float(np.average(predicted - actual, weights=weight)), abs=quantum)
    assert found.r2 == pytest.approx(r2_score(actual, predicted, sample_weight=weight), abs=0.005)
    wanted = mean_absolute_percentage_error(actual, predicted, sample_weight=weight)
    assert found.mape == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    spread = float(np.sqrt(np.cov(np.abs(predicted - actual), aweights=weight, ddof=0)))
    assert found.mae_interval[1] - found.mae == pytest.approx(1.96 * spread / 40**0.5, rel=0.01)
