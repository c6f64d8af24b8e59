"""Labelled scores and errors: what is counted is what scikit-learn says of the labels in force."""

from collections import Counter
from importlib.resources import files
from pathlib import Path

import apsw
import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from store_parts import DAY_NS, flush, label, row

from mlmon_sidecar.outcomes.ranking import ScoreCell, mean_loss, ranked
from mlmon_sidecar.outcomes.regression import ErrorSums, errors_of
from mlmon_sidecar.records import KeptRow, Label
from mlmon_sidecar.statistics.error_bins import bin_in
from mlmon_sidecar.statistics.error_scale import STEPS, Scale
from mlmon_sidecar.statistics.score_grid import bin_of
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.contract import Keep
from mlmon_sidecar.store.sqlite import SCHEMA_SCRIPTS


def fill(store: Store, rows: list[KeptRow], *batches: list[Label]) -> None:
    """Every batch of labels is joined before the next."""
    store.commit_flush(flush(1, rows=rows, recorder=str(len(store.recorders()))), 0)
    for labels in batches:
        store.commit_labels(labels, 10 * DAY_NS)
        while store.join_labels(70):
            pass


def scored(number: int, score: float, day: int = 3) -> KeptRow:
    return row(f"p{number}", event_ns=day * DAY_NS, predicted="yes" if score >= 0.5 else "no")._replace(score=score)


def test_figures_of_scores_are_scikit_learns_after_corrections(store: Store) -> None:
    rng = np.random.default_rng(1)
    score = np.concatenate((rng.beta(0.5, 2, 598), [0.0, 1.0]))
    actual = (rng.random(600) < score).astype(int)
    first = [label(f"p{n}", "yes" if rng.random() < 0.5 else "no", 4 * DAY_NS) for n in range(600)]
    last = [label(f"p{n}", "yes" if actual[n] else "no", 5 * DAY_NS) for n in range(600)]
    fill(store, [scored(n, float(score[n]), 3 + n % 2) for n in range(600)], first, last)
    found = store.label_scores("m", "yes", 3, 4)
    figures = ranked([ScoreCell(*cell) for cell in found.cells])
    assert found.rows == figures.rows == 600
    assert [cell[0] for cell in found.cells if cell[1] or cell[2]] == sorted(set(bin_of(score).tolist()))
    assert figures.auc == pytest.approx(roc_auc_score(actual, score), abs=1e-3)
    assert figures.average_precision == pytest.approx(average_precision_score(actual, score), abs=1e-3)
    assert mean_loss(found.log_loss, 600) == pytest.approx(log_loss(actual, score), abs=1e-5)
    assert mean_loss(found.squared, 600) == pytest.approx(brier_score_loss(actual, score), abs=1e-5)
    swapped = ranked([ScoreCell(*cell) for cell in store.label_scores("m", "no", 3, 4).cells])
    assert swapped.auc == pytest.approx(1 - figures.auc)
    assert store.label_scores("m", "yes", 5, 9).rows == 0 and store.label_scores("other", "yes", 3, 4).cells == ()


def test_errors_of_numbers_are_scikit_learns_after_corrections(store: Store) -> None:
    rng = np.random.default_rng(2)
    actual = 1e4 + 300 * rng.standard_normal(400)
    predicted = actual + 50 * rng.standard_normal(400)
    rows = [row(f"p{n}", event_ns=3 * DAY_NS, predicted=None)._replace(score=float(predicted[n])) for n in range(400)]
    wrong = [label(f"p{n}", repr(float(actual[n] * 1.1)), 4 * DAY_NS) for n in range(100)]
    right = [label(f"p{n}", repr(float(actual[n])), 5 * DAY_NS) for n in range(400)]
    fill(store, rows, wrong, right)
    found = store.label_errors("m", 3, 3)
    assert found is not None
    errors = errors_of(ErrorSums(*found.sums), Scale(found.center, found.unit))
    assert errors is not None and errors.rows == 400
    assert errors.mae == pytest.approx(mean_absolute_error(actual, predicted), abs=found.unit / STEPS)
    assert errors.r2 == pytest.approx(r2_score(actual, predicted), abs=0.005)
    assert errors.mape == pytest.approx(float(np.mean(np.abs(predicted / actual - 1))), rel=1e-3)
    cells = store.outcome_cells("m", 3, 3)
    assert {cell.predicted for cell in cells} == {""} and sum(cell.rows for cell in cells) == 400
    found_rows = Counter({bin_in(cell.actual): cell.rows for cell in cells})
    edges = 2.0 ** (np.arange(-513, 514) / 8)  # an error lies above the edge before its bin and not above its own
    expected = Counter((np.searchsorted(edges, np.abs(predicted - actual)) - 513).tolist())
    assert +found_rows == expected, "a cell for each size of error, and nothing is left of labels that were corrected"
    assert sum(cell.rows for cell in cells) == 400


def test_labels_that_are_no_number_and_extreme_ones_do_no_harm(store: Store) -> None:
    rows = [row(f"p{n}", event_ns=0, predicted=None)._replace(score=1.0) for n in range(5)]
    fill(store, rows, [label("p0", "good", 1), label("p1", "0", 1), label("p2", "1e999", 1), label("p3", "-1e300", 1)])
    found = store.label_errors("m", 0, 0)
    assert found is not None and found.sums[0] == 3 and found.sums[-1] == 2
    assert store.label_scores("m", "good", 0, 0).rows == 0, "a number alone is no class with a score"
    assert store.label_errors("other", 0, 0) is None


def test_figures_of_old_days_are_forgotten(store: Store) -> None:
    number = row("n", event_ns=2 * DAY_NS, predicted=None)._replace(score=3.0)
    said = [label(name, text, 10 * DAY_NS) for name, text in (("p1", "no"), ("p2", "yes"), ("n", "4"))]
    fill(store, [scored(1, 0.3, 2), scored(2, 0.7, 9), number], said)
    store.forget_figures("m", Keep(0, 0, outcome_day=5), 100)
    assert store.label_scores("m", "yes", 0, 20).rows == 1
    assert len(store.label_scores("m", "yes", 0, 20).cells) == 1
    errors = store.label_errors("m", 0, 20)
    assert errors is None or errors.sums[0] == 0


def test_a_store_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.db"
    with apsw.Connection(str(path)) as old:
        old.execute((files("mlmon_sidecar.store") / "schema" / SCHEMA_SCRIPTS[0]).read_text()).fetchall()
        old.execute("INSERT INTO meta VALUES ('epoch', '1')").fetchall()
        old.execute("INSERT INTO outcome_panes VALUES ('m', 'v1', 3, 1, 'no', 'no', 1, 0)").fetchall()
        old.execute("PRAGMA user_version = 1").fetchall()
    old.close()
    store = open_store(f"sqlite:///{path}")
    store.take_over()
    assert [cell.rows for cell in store.outcome_cells("m", 3, 3)] == [1]
    fill(store, [scored(2, 0.8)], [label("p2", "yes", 4 * DAY_NS)])
    assert store.label_scores("m", "yes", 3, 3).rows == 1
    store.close()
