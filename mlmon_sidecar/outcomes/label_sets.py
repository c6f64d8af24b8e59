"""Labelled sets of classes, counted: by class, and by how many classes of a row are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from mlmon_sidecar.outcomes.classification import ClassCounts, LabelSets
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.label_sets import label_set_of


def label_sets(cells: Iterable[OutcomeCell]) -> tuple[tuple[str, ...], LabelSets]:
    """The classes that occur, by name, and the counts. Cells are signed: those that cancel out leave nothing."""
    pairs: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        pairs[cell.predicted, cell.actual] += cell.rows
    both, said, true, rows = (Counter[str](), Counter[str](), Counter[str](), Counter[tuple[int, int, int]]())
    for (predicted, actual), count in pairs.items():
        if count <= 0:
            continue
        given, real = label_set_of(predicted), label_set_of(actual)
        for counter, names in ((both, given & real), (said, given), (true, real)):
            for name in names:
                counter[name] += count
        rows[len(given & real), len(given), len(real)] += count
    classes = tuple(sorted({*said, *true}))
    columns = (np.array([counter[name] for name in classes], np.int64) for counter in (both, said, true))
    return classes, LabelSets(ClassCounts(*columns), rows)
