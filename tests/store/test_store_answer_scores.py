"""Scores of the classes that a model of several answered, against scikit-learn's figures of "the answer is right"."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import apsw
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from store_parts import DAY_NS, flush, label, row

from mlmon_sidecar.outcomes.ranking import CALIBRATION_BINS, Ranked, ScoreCell, mean_loss, ranked
from mlmon_sidecar.records import KeptRow, Label, LabelScores
from mlmon_sidecar.statistics.score_grid import STEPS
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.sqlite import SCHEMA_SCRIPTS

CLASSES = np.array(["a", "b", "c", "d"])
ROWS = 800


def answer(number: int, said: str, score: float) -> KeptRow:
    return row(f"p{number}", event_ns=(3 + number % 2) * DAY_NS, predicted=said)._replace(score=score)


def say(store: Store, labels: Sequence[Label]) -> None:
    store.commit_labels(labels, 10 * DAY_NS)
    while store.join_labels(70):
        pass


def figures(found: LabelScores) -> Ranked:
    return ranked([ScoreCell(*cell) for cell in found.cells])


def calibration_error(right: NDArray[np.int64], score: NDArray[np.float64]) -> float:
    group = np.minimum(np.floor(score * CALIBRATION_BINS), CALIBRATION_BINS - 1)
    gaps = [abs(right[group == at].sum() - score[group == at].sum()) for at in range(CALIBRATION_BINS)]
    return float(sum(gaps) / len(right))


def rows_at_an_edge(score: NDArray[np.float64]) -> int:
    """Scores that lie closer to an edge between two groups than the score grid is fine."""
    edge = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    odds, edges = np.log(score / (1 - score)), np.log(edge / (1 - edge))
    return int((np.abs(odds[:, None] - edges) < 1 / STEPS).any(axis=1).sum())


@pytest.mark.parametrize("skew", [1.0, 0.05, 30.0], ids=["random", "sure", "unsure"])
def test_figures_are_scikit_learns_after_corrections(store: Store, skew: float) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.dirichlet([skew, 2 * skew, skew, skew], ROWS)
    top = vectors.argmax(axis=1)
    score = vectors.max(axis=1)
    actual = np.array([rng.choice(4, p=vector) for vector in vectors])
    right = (actual == top).astype(np.int64)
    rows = [answer(n, str(CLASSES[top[n]]), float(score[n])) for n in range(ROWS)]
    store.commit_flush(flush(1, rows=rows), 0)
    say(store, [label(f"p{n}", str(CLASSES[n % 4]), 5 * DAY_NS) for n in range(300)])
    say(store, [label(f"p{n}", str(CLASSES[actual[n]]), 6 * DAY_NS) for n in range(ROWS)])
    found = store.answer_scores("m", 3, 4)
    shown = figures(found)
    assert found.rows == shown.rows == ROWS
    assert shown.auc == pytest.approx(roc_auc_score(right, score), abs=1e-3)
    assert shown.average_precision == pytest.approx(average_precision_score(right, score), abs=1e-3)
    within = 1e-3 + 2 * rows_at_an_edge(score) / ROWS  # each may count in the group beside its own
    assert shown.calibration_error == pytest.approx(calibration_error(right, score), abs=within)
    assert mean_loss(found.log_loss, ROWS) == pytest.approx(log_loss(right, score), abs=1e-5)
    assert mean_loss(found.squared, ROWS) == pytest.approx(brier_score_loss(right, score), abs=1e-5)
    assert store.answer_scores("m", 5, 9).rows == 0 and store.answer_scores("other", 3, 4).cells == ()


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("score", [0.0, 0.25, 1.0])
def test_answers_that_are_all_right_or_all_wrong_rank_nothing(store: Store, score: float, right: bool) -> None:
    store.commit_flush(flush(1, rows=[answer(n, "a", score) for n in range(6)]), 0)
    say(store, [label(f"p{n}", "a" if right else "b", 5 * DAY_NS) for n in range(6)])
    found = store.answer_scores("m", 0, 9)
    shown = figures(found)
    assert (shown.rows, shown.auc, shown.auc_error) == (6, None, None)
    assert shown.calibration_error == pytest.approx(abs(right - score), abs=1e-3)
    assert mean_loss(found.squared, 6) == pytest.approx((right - score) ** 2, abs=1e-5)
    wanted = log_loss([int(right)] * 6, [score] * 6, labels=[0, 1])
    assert mean_loss(found.log_loss, 6) == pytest.approx(wanted, abs=1e-5)


def test_cells_of_an_earlier_schema_do_not_tell_and_later_ones_do(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.db"
    at = SCHEMA_SCRIPTS.index("answer_scores.sql")
    with apsw.Connection(str(path)) as old:
        for script in SCHEMA_SCRIPTS[:at]:
            old.execute((files("mlmon_sidecar.store") / "schema" / script).read_text()).fetchall()
        old.execute("INSERT INTO meta VALUES ('epoch', '1')").fetchall()
        old.execute(f"PRAGMA user_version = {at}").fetchall()
        old.execute("INSERT INTO outcome_scores VALUES ('m', 'v1', 3, 'a', 0, 5)").fetchall()
        old.execute("INSERT INTO outcome_losses VALUES ('m', 'v1', 3, 'a', 5, 1, 1, 1, 1)").fetchall()
    old.close()
    store = open_store(f"sqlite:///{path}")
    store.take_over()
    assert store.label_scores("m", "a", 0, 9).rows == 5, "these it has always told"
    store.commit_flush(flush(1, rows=[answer(n, "a", 0.5) for n in range(4)]), 0)
    say(store, [label(f"p{n}", "b" if n == 3 else "a", 5 * DAY_NS) for n in range(4)])
    found = store.answer_scores("m", 0, 9)
    assert found.cells == ((0, 1, 1),) and found.rows == 2, "of day 4"
    assert store.label_scores("m", "a", 0, 9).rows == 9
    store.close()
