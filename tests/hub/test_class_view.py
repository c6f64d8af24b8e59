"""Figures of classes against scikit-learn's, as they are shown."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from mlmon_sidecar.hub.class_view import CLASSES_COUNTED, CLASSES_OF_A_PART, CLASSES_SHOWN, averages_view, class_view
from mlmon_sidecar.records import OutcomeCell

NAMES = st.sampled_from("abcd")
FIGURES = ("precision", "recall", "f1")


def cells(pairs: list[tuple[str, str]]) -> list[OutcomeCell]:
    """One row each, of (predicted, actual)."""
    return [OutcomeCell("v1", at % 3, 0, predicted, actual, 1) for at, (predicted, actual) in enumerate(pairs)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=40))
def test_every_figure_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    view: Any = class_view(cells(pairs))
    said, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert view["rows"] == len(pairs)
    assert view["accuracy"]["value"] == pytest.approx(accuracy_score(true, said), abs=1e-9)
    assert view["accuracy"]["low"] - 1e-9 <= view["accuracy"]["value"] <= view["accuracy"]["high"] + 1e-9
    for how in ("micro", "macro", "weighted"):
        wanted = precision_recall_fscore_support(true, said, average=how, zero_division=0)
        assert [view[how][name]["value"] for name in FIGURES] == pytest.approx(wanted[:3], abs=1e-9)
    order = [found["name"] for found in view["classes"]]
    assert view["matrix"] == [[pairs.count((column, line)) for column in order] for line in order]
    wanted = precision_recall_fscore_support(true, said, average=None, labels=order, zero_division=np.nan)
    for at, found in enumerate(view["classes"]):
        assert (found["predicted"], found["actual"]) == (said.count(order[at]), true.count(order[at]))
        for name, values in zip(FIGURES, wanted[:3], strict=True):
            assert (found[name] is None) == np.isnan(values[at])
            assert found[name] is None or found[name]["value"] == pytest.approx(values[at], abs=1e-9)


def test_without_labels_or_classes_and_with_too_many_of_them_there_is_nothing() -> None:
    assert class_view([]) is None
    assert class_view([OutcomeCell("v1", 0, 0, "", "up", 3)]) is None, "a rating"
    assert class_view([OutcomeCell("v1", 0, 0, "a", "a", 1), OutcomeCell("v1", 1, 0, "a", "a", -1)]) is None
    assert class_view(cells([(f"{at}", "x") for at in range(CLASSES_COUNTED)])) is None
    view = class_view(cells([(f"{at}", f"{at}") for at in range(CLASSES_SHOWN)] + [("x", "x")] * 2))
    assert view is not None and view["classes"][0]["name"] == "x" and len(view["classes"]) == CLASSES_SHOWN
    assert view["rows"] == CLASSES_SHOWN + 2 and view["macro"]["f1"] is not None
    assert view["macro"]["f1"]["value"] == 1, "of all classes, shown or not"


def test_a_part_with_very_many_classes_has_no_averages() -> None:
    few, many = (cells([(f"{at}", f"{at}") for at in range(CLASSES_OF_A_PART + more)]) for more in (0, 1))
    found = averages_view(few)
    assert found is not None and found["rows"] == CLASSES_OF_A_PART
    assert averages_view(many) is None and class_view(many) is not None
