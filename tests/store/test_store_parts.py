"""Scores and errors by version and segment, against scikit-learn on the same rows."""

from importlib.resources import files
from pathlib import Path

import apsw
import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score
from store_parts import DAY_NS, flush, label, row

from mlmon_sidecar.outcomes.ranking import Ranked, ScoreCell, mean_loss, ranked
from mlmon_sidecar.outcomes.regression import ErrorSums, errors_of
from mlmon_sidecar.records import Label, LabelScores, Part
from mlmon_sidecar.statistics.error_scale import Scale
from mlmon_sidecar.statistics.score_grid import LOSS_UNIT
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.contract import Keep
from mlmon_sidecar.store.sqlite import SCHEMA_SCRIPTS

ROWS = 600
VERSIONS, SEGMENTS = np.array(["v1", "v2"]), np.array(["eu", "us", ""])
VERSION, SEGMENT = VERSIONS[np.arange(ROWS) % 2], SEGMENTS[np.arange(ROWS) % 3]
PARTS = [
    *((Part("version", str(name)), name == VERSION) for name in VERSIONS),
    *((Part("segment", str(name)), name == SEGMENT) for name in SEGMENTS[:2]),
    (Part("segment", "none such"), np.zeros(ROWS, bool)),
]
DAYS = (3, 4)


def say(store: Store, labels: list[Label]) -> None:
    store.commit_labels(labels, 10 * DAY_NS)
    while store.join_labels(70):
        pass


def predict(store: Store, score: list[float], predicted: list[str | None]) -> None:
    made = [
        row(f"p{n}", event_ns=(3 + n % 2) * DAY_NS, predicted=predicted[n], version=str(VERSION[n]))._replace(
            score=score[n], segment=str(SEGMENT[n])
        )
        for n in range(ROWS)
    ]
    store.commit_flush(flush(1, rows=made), 0)


def figures(found: LabelScores) -> Ranked:
    return ranked([ScoreCell(*cell) for cell in found.cells])


def test_scores_of_each_part_are_its_own_after_corrections(store: Store) -> None:
    rng = np.random.default_rng(5)
    score = rng.random(ROWS)
    actual = (rng.random(ROWS) < score).astype(np.int64)
    names = np.array(["no", "yes"])
    said = (score >= 0.5).astype(np.int64)
    predict(store, score.tolist(), names[said].tolist())
    say(store, [label(f"p{n}", str(names[n % 2]), 5 * DAY_NS) for n in range(200)])
    say(store, [label(f"p{n}", str(names[actual[n]]), 6 * DAY_NS) for n in range(ROWS)])
    for part, mine in PARTS:
        found = store.label_scores("m", "yes", *DAYS, part)
        answers = store.answer_scores("m", *DAYS, part)
        assert found.rows == answers.rows == mine.sum()
        if not mine.any():
            assert found.cells == answers.cells == ()
            continue
        assert figures(found).auc == pytest.approx(roc_auc_score(actual[mine], score[mine]), abs=1e-3)
        assert mean_loss(found.log_loss, found.rows) == pytest.approx(log_loss(actual[mine], score[mine]), abs=1e-5)
        assert found.squared / LOSS_UNIT / found.rows == pytest.approx(
            brier_score_loss(actual[mine], score[mine]), abs=1e-5
        )
        right = (said == actual)[mine]
        assert figures(answers).auc == pytest.approx(roc_auc_score(right, score[mine]), abs=1e-3)
    whole = store.label_scores("m", "yes", *DAYS)
    assert whole.rows == ROWS
    assert store.label_scores("other", "yes", *DAYS, Part("segment", "eu")).rows == 0


def test_errors_of_each_part_are_its_own_after_corrections(store: Store) -> None:
    rng = np.random.default_rng(6)
    actual = rng.normal(50, 10, ROWS)
    said = actual + rng.normal(1, 2, ROWS) * (1 + (SEGMENT == "us"))
    predict(store, said.tolist(), [None] * ROWS)
    say(store, [label(f"p{n}", repr(float(n)), 5 * DAY_NS) for n in range(200)])
    say(store, [label(f"p{n}", repr(float(actual[n])), 6 * DAY_NS) for n in range(ROWS)])
    for part, mine in PARTS:
        found = store.label_errors("m", *DAYS, part)
        if not mine.any():
            assert found is None
            continue
        assert found is not None and found.sums[0] == mine.sum()
        shown = errors_of(ErrorSums(*found.sums), Scale(found.center, found.unit), found.sums[0])
        assert shown is not None
        assert shown.mae == pytest.approx(mean_absolute_error(actual[mine], said[mine]), abs=1e-3)
        assert shown.rmse == pytest.approx(mean_squared_error(actual[mine], said[mine]) ** 0.5, abs=1e-3)
        assert shown.bias == pytest.approx((said - actual)[mine].mean(), abs=1e-3)


def test_parts_are_forgotten_with_their_days(store: Store) -> None:
    predict(store, [0.25] * ROWS, ["yes"] * ROWS)
    say(store, [label(f"p{n}", "yes", 6 * DAY_NS) for n in range(ROWS)])
    eu = Part("segment", "eu")
    while store.forget_figures("m", Keep(0, 0, 4), 100):
        pass
    assert store.label_scores("m", "yes", 3, 3, eu).rows == 0
    assert store.label_scores("m", "yes", 3, 3, eu).cells == ()
    assert store.label_scores("m", "yes", 4, 4, eu).rows == ROWS // 6


def test_a_store_of_an_earlier_schema_counts_segments_from_now_on(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.db"
    at = SCHEMA_SCRIPTS.index("segment_scores.sql")
    old = apsw.Connection(str(path))
    for script in SCHEMA_SCRIPTS[:at]:
        old.execute((files("mlmon_sidecar.store") / "schema" / script).read_text()).fetchall()
    old.execute("INSERT INTO meta VALUES ('epoch', '1')").fetchall()
    old.execute(f"PRAGMA user_version = {at}").fetchall()
    old.close()
    store = open_store(f"sqlite:///{path}")
    store.take_over()
    predict(store, [0.25] * ROWS, ["yes"] * ROWS)
    say(store, [label("p0", "yes", 6 * DAY_NS)])
    assert store.label_scores("m", "yes", *DAYS, Part("segment", "eu")).rows == 1
    store.close()
