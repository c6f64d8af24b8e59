"""Metrics as shares of counts: equal to scikit-learn's, and honest about what is new."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mlmon_sidecar.outcomes.metric import METRICS, Metric, new_counts
from mlmon_sidecar.records import OutcomeCell

CLASSES = ("no", "yes")


def labelled(seed: int, rows: int = 500) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    actual = rng.choice(CLASSES, rows, p=[0.8, 0.2]).tolist()
    predicted = [a if rng.random() < 0.85 else str(rng.choice(CLASSES)) for a in actual]
    return actual, predicted


def cells_of(actual: list[str], predicted: list[str]) -> list[OutcomeCell]:
    return [OutcomeCell("v", 3, 1, p, a, 1) for a, p in zip(actual, predicted, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_is_scikit_learns(seed: int) -> None:
    actual, predicted = labelled(seed)
    precision, recall, f1, _ = precision_recall_fscore_support(actual, predicted, pos_label="yes", average="binary")
    right = np.mean([a == p for a, p in zip(actual, predicted, strict=True)])
    matrix = confusion_matrix(actual, predicted, labels=CLASSES)
    for name, expected in zip(METRICS, (right, precision, recall, f1), strict=True):
        metric = Metric(name, "yes")
        hits, total = metric.counts(cells_of(actual, predicted))
        assert metric.shown(hits / total) == pytest.approx(expected, abs=1e-12)
        assert metric.counts_of_matrix(matrix, CLASSES) == (hits, total)
        low, high = metric.interval(hits, total)
        assert low < metric.shown(hits / total) < high


@pytest.mark.parametrize("name", METRICS)
def test_chance_is_what_answering_without_looking_reaches(name: str) -> None:
    """Of answers drawn without a look at the row, many of them: always one class, or a class as often as the model."""
    actual, predicted = labelled(1)
    matrix = confusion_matrix(actual, predicted, labels=CLASSES)
    blind = {
        "accuracy": ["no"] * len(actual), "precision": ["yes"] * len(actual), "f1": ["yes"] * len(actual),
        "recall": np.random.default_rng(2).permutation(predicted * 200).tolist(),
    }[name]  # fmt: skip
    metric = Metric(name, "yes")
    hits, total = metric.counts(cells_of(actual * (len(blind) // len(actual)), blind))
    assert metric.chance(matrix, CLASSES) == pytest.approx(hits / total, abs=0.01 if name == "recall" else 1e-12)


def test_a_correction_is_no_new_label() -> None:
    accuracy = Metric("accuracy")
    corrected = [OutcomeCell("v", 3, 0, "yes", "yes", -1), OutcomeCell("v", 3, 4, "yes", "no", 1)]
    assert new_counts(accuracy, corrected) == (0, 0)
    came = [OutcomeCell("v", 4, 0, "yes", "yes", 5), OutcomeCell("v", 4, 1, "yes", "no", 2)]
    assert new_counts(accuracy, [*corrected, *came]) == (5, 7)
    assert new_counts(accuracy, []) == (0, 0)
    f1 = Metric("f1", "yes")
    turned = [OutcomeCell("v", 3, 0, "yes", "no", -2), OutcomeCell("v", 3, 0, "no", "no", 2)]
    assert new_counts(f1, turned) == (0, 0), "what is left of a day is never negative"
