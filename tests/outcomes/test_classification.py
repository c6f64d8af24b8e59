"""Figures from counts equal scikit-learn's from rows, in every average, on any input."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from mlmon_sidecar.outcomes.classification import Average, ClassCounts, LabelSets, accuracy, average_interval

AVERAGES: tuple[Average, ...] = ("micro", "macro", "weighted")
EXACT = pytest.approx

pairs = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60)
)
zero = st.sampled_from([0.0, 1.0])


def matrix_of(rows: list[tuple[int, int]], weight: list[int] | None = None) -> np.ndarray:
    matrix = np.zeros((6, 6), np.int64)  # more classes than ever occur
    for at, (actual, predicted) in enumerate(rows):
        matrix[actual, predicted] += 1 if weight is None else weight[at]
    return matrix


@given(pairs, zero)
def test_multiclass_figures_are_scikit_learns(rows: list[tuple[int, int]], zero_division: float) -> None:
    actual, predicted = zip(*rows, strict=True)
    matrix = matrix_of(rows)
    counts = ClassCounts.of_matrix(matrix)
    assert accuracy(matrix) == EXACT(accuracy_score(actual, predicted), abs=1e-9)
    for average in AVERAGES:
        expected = precision_recall_fscore_support(actual, predicted, average=average, zero_division=zero_division)[:3]
        assert counts.average(average, zero_division) == EXACT(expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60), zero)
def test_binary_figures_are_scikit_learns(rows: list[tuple[int, int]], zero_division: float) -> None:
    """One class alone, nothing predicted, nothing actual: all among these."""
    actual, predicted = zip(*rows, strict=True)
    counts = ClassCounts.of_matrix(confusion_matrix(actual, predicted, labels=[0, 1]))
    expected = precision_recall_fscore_support(
        actual, predicted, average="binary", pos_label=1, zero_division=zero_division, labels=[0, 1]
    ) if {0, 1} <= set(actual) | set(predicted) or set(actual) | set(predicted) == {1} else None  # fmt: skip
    if expected is not None:
        assert counts.of_class(1, zero_division) == EXACT(expected[:3], abs=1e-9)


@given(pairs, st.data())
def test_weighted_figures_are_scikit_learns_within_the_quantum(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Weights in 2**-20: a weight is off by half of it, a figure by no more than that over the smallest total."""
    size = len(rows)
    weights = data.draw(st.lists(st.floats(0.1, 3), min_size=size, max_size=size))
    actual, predicted = zip(*rows, strict=True)
    matrix = matrix_of(rows, [round(w * 2**20) for w in weights])
    quantum = size * 2.0**-20 / min(weights)
    assert accuracy(matrix) == EXACT(accuracy_score(actual, predicted, sample_weight=weights), abs=quantum)
    for average in AVERAGES:
        expected = precision_recall_fscore_support(
            actual, predicted, average=average, sample_weight=weights, zero_division=0.0
        )
        assert ClassCounts.of_matrix(matrix).average(average) == EXACT(expected[:3], abs=quantum)


multilabel = st.integers(1, 5).flatmap(
    lambda k: st.lists(st.tuples(*[st.tuples(*[st.booleans()] * k)] * 2), min_size=1, max_size=40)
)


@given(multilabel, zero)
def test_multilabel_figures_are_scikit_learns(rows: list[tuple[tuple[bool, ...], ...]], zero_division: float) -> None:
    actual, predicted = (np.array(side, dtype=int) for side in zip(*rows, strict=True))
    both = actual & predicted
    sizes = Counter(zip(*(side.sum(axis=1).tolist() for side in (both, predicted, actual)), strict=True))
    counts = ClassCounts(both.sum(axis=0), predicted.sum(axis=0), actual.sum(axis=0))
    sets = LabelSets(counts, sizes)
    assert sets.exact() == EXACT(accuracy_score(actual, predicted), abs=1e-9)
    if actual.shape[1] == 1:
        return  # scikit-learn reads one column as a binary model
    expected = precision_recall_fscore_support(actual, predicted, average="samples", zero_division=zero_division)[:3]
    assert sets.samples(zero_division) == EXACT(expected, abs=1e-9)
    expected = precision_recall_fscore_support(actual, predicted, average="micro", zero_division=zero_division)[:3]
    assert counts.average("micro", zero_division) == EXACT(expected, abs=1e-9)


def test_nothing_counted_is_said() -> None:
    empty = np.zeros((3, 3), np.int64)
    assert accuracy(empty) is None and average_interval(empty, "f1", "macro") is None
    assert ClassCounts.of_matrix(empty).average("macro", 1.0) == (1.0, 1.0, 1.0)
    assert ClassCounts.of_matrix(empty).interval("f1", 0) is None
    assert LabelSets(ClassCounts.of_matrix(empty), {}).exact() is None
    assert LabelSets(ClassCounts.of_matrix(empty), {}).samples() == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("how", AVERAGES)
@pytest.mark.parametrize("figure", ["precision", "recall", "f1"])
def test_intervals_hold_the_truth_about_95_times_in_100(figure: str, how: Average) -> None:
    share = np.array([[0.35, 0.04, 0.03], [0.05, 0.25, 0.03], [0.02, 0.05, 0.18]])
    index = ("precision", "recall", "f1").index(figure)
    truth = ClassCounts.of_matrix(np.rint(share * 1e9).astype(np.int64)).average(how)[index]
    rng, held = np.random.default_rng(5), 0
    for _ in range(600):
        low, high = average_interval(rng.multinomial(400, share.ravel()).reshape(3, 3), figure, how) or (1, 0)
        held += low <= truth <= high
    assert 0.92 < held / 600 < 0.98


def test_one_class_has_wilsons_interval() -> None:
    counts = ClassCounts.of_matrix(np.array([[80, 10], [4, 6]]))
    scores = counts.of_class(1)
    for figure, value in zip(("precision", "recall", "f1"), scores, strict=True):
        low, high = counts.interval(figure, 1) or (1, 0)
        assert 0 < low < value < high < 1
