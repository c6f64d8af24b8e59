"""Quality figures equal scikit-learn's, degenerate cases included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.quality import Average, majority_share, overlap, quality, right_answers
from mlmon_sidecar.statistics.quality_detector import counts, quality_indicators

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(PAIRS)
def test_averages_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    actual, predicted = map(list, zip(*pairs, strict=True))
    matrix = confusion_matrix(actual, predicted, labels=[0, 1, 2, 3])
    for average in Average:
        oracle = precision_recall_fscore_support(actual, predicted, average=average.value, zero_division=0)
        found = quality(matrix, average)
        assert found is not None
        assert (found.precision, found.recall, found.f1) == pytest.approx(oracle[:3], abs=1e-9)
        assert found.accuracy == pytest.approx(accuracy_score(actual, predicted), abs=1e-9)
        assert found.rows == len(pairs)


@given(PAIRS, st.integers(0, 3))
def test_one_positive_class_equals_scikit_learn(pairs: list[tuple[int, int]], positive: int) -> None:
    actual, predicted = ([int(v == positive) for v in side] for side in zip(*pairs, strict=True))
    oracle = precision_recall_fscore_support(actual, predicted, average="binary", zero_division=0)
    found = quality(confusion_matrix(*map(list, zip(*pairs, strict=True)), labels=[0, 1, 2, 3]), positive)
    assert found is not None
    assert (found.precision, found.recall, found.f1) == pytest.approx(oracle[:3], abs=1e-9)


def test_no_rows_is_no_quality() -> None:
    assert quality(np.zeros((2, 2), np.int64), 1) is None


def test_inputs_of_the_quality_detector() -> None:
    matrix = np.array([[50, 10], [5, 35]])
    assert right_answers(matrix) == (85, 100)
    assert overlap(matrix, 1) == (35, 50)
    found = quality(matrix, 1)
    assert found is not None
    assert found.f1 == pytest.approx(2 * 0.7 / 1.7)
    assert majority_share(matrix) == pytest.approx(0.6)


def labels_until_alarm(share: float, seed: int, limit: int = 6000) -> tuple[str, ...]:
    """Units named within so many labels, 20 an hour, against a baseline of .9 on 5,000 rows, chance .5."""
    watcher = Detector(quality_indicators(0.9, 5000, chance=0.5))
    rng, state, named = np.random.default_rng(seed), watcher.initial(), []
    for hour in range(limit // 20):
        step = watcher.step(state, counts(int(rng.binomial(20, share)), 20), minute=hour * 60, hours=1.0)
        state = step.state
        named += [unit for alarm in step.alarms for unit in alarm.units]
    return tuple(named)


def test_unchanged_quality_never_alarms() -> None:
    assert [labels_until_alarm(0.9, seed) for seed in range(5)] == [()] * 5


def test_a_fall_past_every_tier_names_every_tier() -> None:
    assert set(labels_until_alarm(0.75, 1, limit=1200)) == {"p1", "p2", "p3"}


def test_a_small_fall_names_the_lowest_tier_only() -> None:
    assert set(labels_until_alarm(0.865, 2)) == {"p3"}


def test_quality_alarms_close_when_the_tier_is_regained() -> None:
    watcher = Detector(quality_indicators(0.9, 5000, chance=0.5))
    rng, state, closed = np.random.default_rng(3), watcher.initial(), set()
    for hour in range(400):
        share = 0.7 if hour < 60 else 0.9
        step = watcher.step(state, counts(int(rng.binomial(20, share)), 20), minute=hour * 60, hours=1.0)
        state = step.state
        closed |= {name for _, name in step.closed}
    assert closed == {"p1", "p2", "p3"}
    assert not state.held.any()


def test_a_baseline_no_better_than_chance_has_nothing_to_lose() -> None:
    watcher = Detector(quality_indicators(0.5, 100, chance=0.5))
    step = watcher.step(watcher.initial(), counts(0, 1000), minute=0, hours=1.0)
    assert (step.alarms, dict(step.evidence)) == ((), {})
