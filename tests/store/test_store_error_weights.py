"""Weighted errors of a regression model out of the store are scikit-learn's with ``sample_weight``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score, root_mean_squared_error
from store_parts import DAY_NS, flush, label, row

from mlmon_sidecar.outcomes.regression import Errors, ErrorSums, errors_of
from mlmon_sidecar.records import LABEL_UNIT, Label, LabelErrors
from mlmon_sidecar.statistics.error_scale import CLIP, STEPS, Scale
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.contract import Keep

ROWS = 300


def predict(store: Store, scores: Sequence[float]) -> None:
    """Number n is predicted on day 3 or 4 by version v1 or v2."""
    rows = [
        row(f"p{n}", version=f"v{n % 2 + 1}", event_ns=(3 + n % 2) * DAY_NS, predicted=None)._replace(score=score)
        for n, score in enumerate(scores)
    ]
    store.commit_flush(flush(1, rows=rows), 0)


def say(store: Store, labels: Sequence[Label], at_once: int = 70) -> None:
    store.commit_labels(labels, 10 * DAY_NS)
    while store.join_labels(at_once):
        pass


def weighing(number: int, actual: float, weight: float, day: int = 5) -> Label:
    return label(f"p{number}", repr(actual), day * DAY_NS)._replace(weight=weight)


def figures(labelled: LabelErrors | None) -> tuple[Errors, float]:
    """And the quantum."""
    assert labelled is not None
    found = errors_of(ErrorSums(*labelled.sums), Scale(labelled.center, labelled.unit))
    assert found is not None
    return found, labelled.unit / STEPS


@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
def test_weighted_errors_are_scikit_learns_after_corrections(store: Store, spread: float) -> None:
    rng = np.random.default_rng(7)
    actual = 20 + 5 * rng.standard_normal(ROWS)
    predicted = actual + rng.standard_normal(ROWS) * rng.gamma(0.5, 2, ROWS)
    weight = np.where(np.arange(ROWS) % 3 == 0, 1.0, 0.001 * np.exp(rng.normal(0, spread, ROWS)))
    predict(store, predicted.tolist())
    say(store, [weighing(n, float(actual[-n]), 3.7) for n in range(ROWS)])
    say(store, [weighing(n, float(actual[n]), float(weight[n]), 6) for n in range(ROWS)])
    found, quantum = figures(store.weighted_errors("m", 3, 4))
    assert found.rows == sum(max(1, round(w * LABEL_UNIT)) for w in weight.tolist())
    assert found.mae == pytest.approx(mean_absolute_error(actual, predicted, sample_weight=weight), abs=quantum)
    assert found.rmse == pytest.approx(root_mean_squared_error(actual, predicted, sample_weight=weight), abs=quantum)
    assert found.bias == pytest.approx(float(np.average(predicted - actual, weights=weight)), abs=quantum)
    assert found.r2 == pytest.approx(r2_score(actual, predicted, sample_weight=weight), abs=0.005)
    wanted = mean_absolute_percentage_error(actual, predicted, sample_weight=weight)
    assert found.mape == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    plain, _ = figures(store.label_errors("m", 3, 4))
    assert plain.mae == pytest.approx(mean_absolute_error(actual, predicted), abs=quantum), "counted once each"


def test_the_size_of_a_join_and_the_order_of_labels_change_no_sum(store: Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    score, actual, weight = rng.normal(0, 1, 90).tolist(), rng.normal(0, 1, 90).tolist(), rng.random(90).tolist()
    labels = [weighing(n, actual[n], weight[n]) for n in range(90)]
    first = [weighing(0, 1.0, 1.0), weighing(1, 0.0, 1.0)]  # the same scale for both
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    other.take_over()
    for each, said, at_once in ((store, labels, 1_000), (other, labels[::-1], 7)):
        predict(each, score)
        say(each, first, 1_000)
        say(each, said, at_once)
    assert store.weighted_errors("m", 0, 9) == other.weighted_errors("m", 0, 9)
    other.close()


def test_labels_of_weight_one_add_nothing_and_corrections_take_out_what_was_put_in(store: Store) -> None:
    predict(store, [1.0, 2.0, 3.0])
    say(store, [weighing(n, 2.5, 1.0) for n in range(3)])
    assert store.weighted_errors("m", 0, 9) is None and store.weighted_errors("other", 0, 9) is None
    say(store, [weighing(1, 2.0, 5.0, 6)])
    found, _ = figures(store.weighted_errors("m", 0, 9))
    assert found.mae == pytest.approx((1.5 + 5 * 0 + 0.5) / 7)
    assert store.weighted_errors("m", 3, 3) is None, "the weight is in the day before"
    say(store, [weighing(1, 2.0, 1.0, 7)])
    assert store.weighted_errors("m", 0, 9) is None


def test_the_greatest_errors_of_the_greatest_weights_stop_no_join(store: Store) -> None:
    predict(store, [1e300] * 40)
    say(store, [weighing(n, 1.0 + n % 2, 1e6) for n in range(40)])
    labelled = store.weighted_errors("m", 0, 9)
    assert labelled is not None
    assert labelled.sums[3] == 40 * 10**6 * LABEL_UNIT * CLIP**2 > 2**63
    assert store.forget_figures("m", Keep(0, 0, outcome_day=9), 100)
    assert store.weighted_errors("m", 0, 9) is None


@pytest.mark.parametrize("weight", [1e-12, 1e6])
def test_one_label_alone_has_its_own_error(store: Store, weight: float) -> None:
    predict(store, [4.0])
    say(store, [weighing(0, 3.0, weight)])
    found, quantum = figures(store.weighted_errors("m", 0, 9))
    assert (found.mae, found.bias, found.rmse) == pytest.approx((1.0, 1.0, 1.0), abs=quantum)
    assert found.mape == pytest.approx(1 / 3, abs=1e-5) and found.r2 is None
