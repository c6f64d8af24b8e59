"""Figures of labelled predictions of one class each: every average, every class, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.hub.view import AverageView, ClassAveragesView, ClassesView, ClassFigureView, IntervalView
from mlmon_sidecar.outcomes.classification import Average, ClassCounts, Figure, accuracy, average_interval
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.intervals import wilson

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.reference import Reference

CLASSES_COUNTED = 200  # the most frequent ones; a matrix of more is not made
CLASSES_OF_A_PART = 50
CLASSES_SHOWN = 20


def class_view(cells: Sequence[OutcomeCell]) -> ClassesView | None:
    """None without labels of predicted classes, or with more than ``CLASSES_COUNTED`` classes."""
    names, matrix = _matrix(cells)
    averages = _averages(matrix)
    if averages is None:
        return None
    counts = ClassCounts.of_matrix(matrix)
    order = np.argsort(-(counts.true + counts.said), kind="stable")[:CLASSES_SHOWN].tolist()
    return {
        **averages,
        "classes": [_class(names[at], counts, at) for at in order],
        "matrix": matrix[np.ix_(order, order)].tolist(),
    }


def averages_view(cells: Sequence[OutcomeCell]) -> ClassAveragesView | None:
    """Of a version or a segment; None as ``class_view``, and with more than ``CLASSES_OF_A_PART`` classes."""
    names, matrix = _matrix(cells)
    return _averages(matrix) if len(names) <= CLASSES_OF_A_PART else None


def baseline_averages(reference: Reference | None) -> ClassAveragesView | None:
    """Of the labelled rows that the baseline was judged by; None where there are none."""
    if reference is None or not reference.confusion:
        return None
    return _averages(np.array(reference.confusion, np.int64))


def _averages(matrix: IntVector) -> ClassAveragesView | None:
    right, rows = accuracy(matrix), int(matrix.sum())
    if right is None:
        return None
    counts = ClassCounts.of_matrix(matrix)
    return {
        "rows": rows,
        "accuracy": _interval(right, wilson(int(np.trace(matrix)), rows)),
        "micro": _average(matrix, counts, "micro"),
        "macro": _average(matrix, counts, "macro"),
        "weighted": _average(matrix, counts, "weighted"),
    }


def _matrix(cells: Sequence[OutcomeCell]) -> tuple[list[str], IntVector]:
    """Names, and (K, K) rows, actual-major; empty where there are too many classes. Ratings have no predicted class."""
    cells = [cell for cell in cells if cell.predicted]
    names = sorted({name for cell in cells for name in (cell.predicted, cell.actual)})
    place = {name: at for at, name in enumerate(names)}
    size = len(names) if len(names) <= CLASSES_COUNTED else 0
    matrix = np.zeros((size, size), np.int64)
    for cell in cells if size else ():
        matrix[place[cell.actual], place[cell.predicted]] += cell.rows
    return names, matrix


def _average(matrix: IntVector, counts: ClassCounts, how: Average) -> AverageView:
    scores = counts.average(how)
    return {
        "precision": _interval(scores.precision, average_interval(matrix, "precision", how)),
        "recall": _interval(scores.recall, average_interval(matrix, "recall", how)),
        "f1": _interval(scores.f1, average_interval(matrix, "f1", how)),
    }


def _class(name: str, counts: ClassCounts, at: int) -> ClassFigureView:
    return {
        "name": name,
        "predicted": int(counts.said[at]),
        "actual": int(counts.true[at]),
        "precision": _figure(counts, "precision", at),
        "recall": _figure(counts, "recall", at),
        "f1": _figure(counts, "f1", at),
    }


def _figure(counts: ClassCounts, name: Figure, at: int) -> IntervalView | None:
    return _interval(getattr(counts.of_class(at), name), counts.interval(name, at))


def _interval(value: float, reach: tuple[float, float] | None) -> IntervalView | None:
    return None if reach is None else {"value": value, "low": reach[0], "high": reach[1]}
