"""Sets of classes against scikit-learn, in every average."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from mlmon_sidecar.outcomes.label_sets import label_sets
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.label_sets import label_set_of, label_set_text

NAMES = ("a", "b", 'c"', "ä, d")
SETS = st.sets(st.sampled_from(NAMES))


@given(st.lists(st.tuples(SETS, SETS), min_size=1, max_size=30))
def test_every_average_is_scikit_learns(rows: list[tuple[set[str], set[str]]]) -> None:
    cells = [OutcomeCell("v", 1, 0, label_set_text(said), label_set_text(true), 1) for said, true in rows]
    classes, found = label_sets(cells)
    said, true = (np.array([[name in row[at] for name in NAMES] for row in rows]) for at in (0, 1))
    seen = [at for at, name in enumerate(NAMES) if name in classes]
    assert found.exact() == pytest.approx(accuracy_score(true, said), abs=1e-9)
    if not seen:
        return
    for how, scores in (
        ("micro", found.classes.average("micro")),
        ("macro", found.classes.average("macro")),
        ("weighted", found.classes.average("weighted")),
        ("samples", found.samples()),
    ):
        if how == "weighted" and not true.any():
            continue  # scikit-learn has no weights then
        average = None if how == "macro" else how
        wanted = precision_recall_fscore_support(true, said, average=average, zero_division=0)[:3]
        if how == "macro":  # over the classes that occur
            wanted = [column[seen].mean() for column in wanted]
        assert tuple(scores) == pytest.approx(wanted, abs=1e-9), how


def test_cells_that_cancel_out_leave_nothing() -> None:
    cells = [OutcomeCell("v", 1, age, '["a"]', '["b"]', rows) for age, rows in ((0, 2), (3, -2))]
    classes, found = label_sets([*cells, OutcomeCell("v", 1, 0, "a", '["a"]', 1)])
    assert classes == ("a",) and found.exact() == 1.0 and dict(found.rows) == {(1, 1, 1): 1}


def test_a_text_that_is_no_list_is_a_class() -> None:
    assert label_set_of("[a") == {"[a"} and label_set_of("[]") == frozenset() and label_set_of("7") == {"7"}
