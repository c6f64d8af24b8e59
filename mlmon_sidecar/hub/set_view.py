"""Figures of labelled predictions that are sets of classes."""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.hub.view import AveragesView, SetClassView, SetView
from mlmon_sidecar.outcomes.classification import LabelSets, Scores
from mlmon_sidecar.outcomes.label_sets import label_sets
from mlmon_sidecar.records import OutcomeCell

CLASSES_SHOWN = 50


def set_view(cells: Sequence[OutcomeCell]) -> SetView | None:
    """None without labels."""
    classes, found = label_sets(cells)
    exact = found.exact()
    if exact is None:
        return None
    return {
        "rows": sum(found.rows.values()),
        "exact": exact,
        "micro": _averages(found.classes.average("micro")),
        "macro": _averages(found.classes.average("macro")),
        "weighted": _averages(found.classes.average("weighted")),
        "samples": _averages(found.samples()),
        "classes": _classes(classes, found),
    }


def _averages(scores: Scores) -> AveragesView:
    return {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1}


def _classes(names: Sequence[str], found: LabelSets) -> list[SetClassView]:
    counts = found.classes
    order = sorted(range(len(names)), key=lambda at: (-int(counts.true[at]), -int(counts.said[at]), names[at]))
    views: list[SetClassView] = []
    for at in order[:CLASSES_SHOWN]:
        said, true, own = int(counts.said[at]), int(counts.true[at]), counts.of_class(at)
        views.append(
            {
                "name": names[at],
                "predicted": said,
                "actual": true,
                "precision": own.precision if said else None,
                "recall": own.recall if true else None,
                "f1": own.f1,
            }
        )
    return views
