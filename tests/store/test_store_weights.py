"""Weighted figures are scikit-learn's with ``sample_weight``; without weights nothing is stored beside the counts."""

import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from store_parts import DAY_NS, flush, label, row

from mlmon_sidecar.hub.weighted_view import in_units
from mlmon_sidecar.outcomes.metric import Averaged, Metric, Watched, counts_of
from mlmon_sidecar.outcomes.ranking import ScoreCell, mean_loss, ranked
from mlmon_sidecar.records import LABEL_UNIT, KeptRow, Label, OutcomeCell
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.contract import Keep
from mlmon_sidecar.store.sqlite import SCHEMA_SCRIPTS

CLASSES = ("a", "b", "c")
WEIGHTS = st.floats(2.0**-10, 2.0**10, allow_nan=False)


def fill(store: Store, rows: list[KeptRow], *batches: list[Label]) -> None:
    """Every batch of labels is joined before the next."""
    store.commit_flush(flush(1, rows=rows, recorder=str(len(store.recorders()))), 0)
    for labels in batches:
        store.commit_labels(labels, 10 * DAY_NS)
        while store.join_labels(70):
            pass


def weighing(id_: str, said: str, weight: float, day: int = 4) -> Label:
    return label(id_, said, day * DAY_NS)._replace(weight=weight)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES), WEIGHTS), min_size=1, max_size=30))
def test_any_weighted_figure_is_scikit_learns_within_the_quantum(rows: list[tuple[str, str, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/mlmon.db")
        store.take_over()
        fill(
            store,
            [row(f"p{n}", event_ns=3 * DAY_NS, predicted=said) for n, (said, _, _) in enumerate(rows)],
            [weighing(f"p{n}", true, weight) for n, (_, true, weight) in enumerate(rows)],
        )
        cells = in_units(store.weighted_cells("m", 3, 3)) or [
            cell._replace(rows=cell.rows * LABEL_UNIT) for cell in store.outcome_cells("m", 3, 3)
        ]
        said, true, weight = ([item[at] for item in rows] for at in range(3))
        within = 2 * len(rows) / LABEL_UNIT / min(weight)  # each weight is off by half a unit at most
        assert _of(Metric("accuracy"), cells) == pytest.approx(
            accuracy_score(true, said, sample_weight=weight), abs=within
        )
        for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            for at, positive in enumerate(CLASSES):
                found = _of(Metric(name, positive), cells)
                wanted = score(true, said, labels=CLASSES, average=None, sample_weight=weight, zero_division=np.nan)[at]
                assert (found is None) == np.isnan(wanted)
                assert found is None or found == pytest.approx(wanted, abs=within)
        store.close()


def _of(metric: Watched, cells: Sequence[OutcomeCell]) -> float | None:
    return metric.of_counts(counts_of(metric, cells))


def scored(number: int, score: float) -> KeptRow:
    said = "yes" if score >= 0.5 else "no"
    return row(f"p{number}", event_ns=(3 + number % 2) * DAY_NS, predicted=said)._replace(score=score)


def test_weighted_scores_are_scikit_learns_after_corrections(store: Store) -> None:
    rng = np.random.default_rng(5)
    score = np.concatenate((rng.beta(0.5, 2, 598), [0.0, 1.0]))
    actual = (rng.random(600) < score).astype(int)
    weight = np.where(np.arange(600) % 3 == 0, 1.0, np.exp(rng.normal(0, 2, 600)))
    first = [weighing(f"p{n}", "yes" if n % 2 else "no", 7.5) for n in range(600)]
    last = [weighing(f"p{n}", "yes" if actual[n] else "no", float(weight[n]), 5) for n in range(600)]
    fill(store, [scored(n, float(score[n])) for n in range(600)], first, last)
    found = store.weighted_scores("m", "yes", 3, 4)
    assert found.rows == sum(max(1, round(w * LABEL_UNIT)) for w in weight.tolist())
    figures = ranked([ScoreCell(*cell) for cell in found.cells])
    assert figures.auc == pytest.approx(roc_auc_score(actual, score, sample_weight=weight), abs=1e-3)
    wanted = average_precision_score(actual, score, sample_weight=weight)
    assert figures.average_precision == pytest.approx(wanted, abs=1e-3)
    total = found.rows / LABEL_UNIT
    wanted = log_loss(actual, score, sample_weight=weight)
    assert mean_loss(found.log_loss, total) == pytest.approx(wanted, abs=1e-5)
    wanted = brier_score_loss(actual, score, sample_weight=weight)
    assert mean_loss(found.squared, total) == pytest.approx(wanted, abs=1e-5)
    swapped = ranked([ScoreCell(*cell) for cell in store.weighted_scores("m", "no", 3, 4).cells])
    assert swapped.auc == pytest.approx(1 - figures.auc)  # type: ignore[operator]
    squares = sum(cell.squares for cell in store.weighted_cells("m", 3, 4))
    assert squares == pytest.approx(float((weight**2).sum()), rel=1e-5)


def test_labels_of_weight_one_are_in_the_counts_alone(store: Store) -> None:
    fill(store, [scored(1, 0.3), scored(2, 0.7)], [weighing("p1", "no", 1.0), weighing("p2", "yes", 1.0)])
    assert store.weighted_cells("m", 0, 9) == []
    fill(store, [], [weighing("p2", "yes", 3.0)])
    weights = {cell.actual: cell.weight for cell in store.weighted_cells("m", 0, 9)}
    assert weights == {"no": LABEL_UNIT, "yes": 3 * LABEL_UNIT}
    assert [cell.rows for cell in store.outcome_cells("m", 0, 9)] == [1, 1], "a count is a count"
    fill(store, [], [weighing("p2", "yes", 1.0)])
    assert store.weighted_cells("m", 0, 9) == [], "corrections take out what was put in"


def test_the_smallest_and_largest_weights_count(store: Store) -> None:
    fill(store, [scored(1, 0.3), scored(2, 0.7)], [weighing("p1", "no", 1e-12), weighing("p2", "yes", 1e6)])
    weights = [cell.weight for cell in store.weighted_cells("m", 0, 9)]
    assert sorted(weights) == [1, 10**6 * LABEL_UNIT]
    assert store.weighted_scores("m", "yes", 0, 9).log_loss > 0
    store.forget_figures("m", Keep(0, 0, outcome_day=9), 100)
    assert store.weighted_cells("m", 0, 9) == [] and store.weighted_scores("m", "yes", 0, 9).rows == 0


def test_labels_are_counted_by_segment_where_there_is_one(store: Store) -> None:
    rows = [row(f"p{n}", event_ns=3 * DAY_NS, predicted="a")._replace(segment="eu" if n < 3 else "") for n in range(5)]
    fill(store, rows, [label(f"p{n}", "a", 4 * DAY_NS) for n in range(5)], [label("p0", "b", 5 * DAY_NS)])
    found = [tuple(cell) for cell in store.segment_cells("m", 3, 3)]
    assert found == [("eu", "a", "a", 2), ("eu", "a", "b", 1)]
    assert store.segment_cells("m", 4, 9) == [] and store.segment_cells("other", 0, 9) == []


def test_labels_of_an_earlier_schema_count_once_and_their_corrections_fit(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.db"
    with apsw.Connection(str(path)) as old:
        for script in SCHEMA_SCRIPTS[:3]:
            old.execute((files("mlmon_sidecar.store") / "schema" / script).read_text()).fetchall()
        old.execute("INSERT INTO meta VALUES ('epoch', '1')").fetchall()
        old.execute("PRAGMA user_version = 3").fetchall()
        old.execute("""INSERT INTO predictions VALUES
            ('p1', 'm', 'v1', '', 0, 0.25, 'yes', NULL, NULL, '', '', '{}')""").fetchall()
        old.execute("""INSERT INTO labels VALUES (1, 'p1', 'm', 'p1', 'yes', 5, 5, '', 'joined', 4.0)""").fetchall()
        old.execute("INSERT INTO outcome_panes VALUES ('m', 'v1', 0, 0, 'yes', 'yes', 1, 0)").fetchall()
        old.execute("INSERT INTO outcome_scores VALUES ('m', 'v1', 0, 'yes', -1125, 1)").fetchall()
        old.execute("INSERT INTO outcome_losses VALUES ('m', 'v1', 0, 'yes', 1, 1453635, 301657, 262144, 65536)")
    old.close()
    store = open_store(f"sqlite:///{path}")
    store.take_over()
    assert store.weighted_cells("m", 0, 9) == []
    fill(store, [], [weighing("p1", "no", 2.0)])
    (cell,) = store.weighted_cells("m", 0, 9)
    assert (cell.actual, cell.weight) == ("no", 2 * LABEL_UNIT)
    assert store.weighted_scores("m", "yes", 0, 9).rows == 2 * LABEL_UNIT
    store.close()


def test_a_mean_over_classes_is_weighted_too(store: Store) -> None:
    rng = np.random.default_rng(6)
    said, true = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    weight = rng.integers(1, 5, 200)
    rows = [row(f"p{n}", event_ns=3 * DAY_NS, predicted=CLASSES[k]) for n, k in enumerate(said)]
    fill(store, rows, [weighing(f"p{n}", CLASSES[k], float(weight[n])) for n, k in enumerate(true)])
    found = _of(Averaged("f1", CLASSES), in_units(store.weighted_cells("m", 3, 3)))
    assert found == pytest.approx(f1_score(true, said, average="macro", sample_weight=weight), abs=1e-9)
