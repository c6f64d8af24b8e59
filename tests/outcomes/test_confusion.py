"""scikit-learn says what the matrix is; a label's own dates say when its slice may close."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix

from mlmon_sidecar.outcomes.confusion import closed_on, closing_day, confusion, right
from mlmon_sidecar.records import OutcomeCell

CLASSES = st.sampled_from(["no", "yes", "perhaps", ""])
ROWS = st.lists(st.tuples(CLASSES, CLASSES, st.integers(0, 3), st.integers(0, 3)), min_size=1)


def cells_of(rows: list[tuple[str, str, int, int]]) -> list[OutcomeCell]:
    """(predicted, actual, day, age), each with a correction that was taken back."""
    return [OutcomeCell("v", day, age, p, a, sign * n) for p, a, day, age in rows for sign, n in ((1, 2), (-1, 1))]


@given(ROWS)
def test_counts_are_those_of_scikit_learn(rows: list[tuple[str, str, int, int]]) -> None:
    predicted, actual = [row[0] for row in rows], [row[1] for row in rows]
    cells = cells_of(rows)
    classes = ("yes", "no", "perhaps", "")
    assert np.array_equal(confusion(cells, classes), confusion_matrix(actual, predicted, labels=classes))
    correct, total = right(cells)
    assert (correct / total, total) == (accuracy_score(actual, predicted), len(rows))


def test_no_cells_are_no_labels() -> None:
    assert right([]) == (0, 0)
    assert confusion([], ("a",)).tolist() == [[0]]


@given(st.floats(0, 10), st.floats(0, 10))
def test_a_slice_closes_on_the_first_day_no_label_of_it_can_be_observed(predicted: float, later: float) -> None:
    """Times in days: the label is observed before the closing day begins, and some label of it on the day before."""
    day, age = int(predicted), int(later)
    assert predicted + later < closing_day(day, age)
    assert (day + 0.999) + (age + 0.999) >= closing_day(day, age) - 1


@given(ROWS, st.integers(0, 12))
def test_every_slice_closes_exactly_once(rows: list[tuple[str, str, int, int]], first: int) -> None:
    cells = cells_of(rows)
    closed = [cell for day in range(13) for cell in closed_on(cells, day)]
    assert sorted(closed) == sorted(cells)
    assert all(cell.day + cell.age + 2 == first for cell in closed_on(cells, first))
