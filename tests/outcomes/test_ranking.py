"""What is read off score bins, against scikit-learn on the scores themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from mlmon_sidecar.outcomes.ranking import ScoreCell, auc_interval, losses_of, mean_loss, ranked
from mlmon_sidecar.statistics.score_grid import LAST_BIN, bin_of, score_of


def sample(seed: int, rows: int, base: float, sharp: float, calibrated: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    odds = rng.normal(np.log(base / (1 - base)), sharp, rows)
    score = 1 / (1 + np.exp(-odds))
    truth = score if calibrated else 1 / (1 + np.exp(-0.5 * odds + 0.7))
    actual = (rng.random(rows) < truth).astype(np.int64)
    actual[:2] = 0, 1
    return score, actual


def cells_of(score: np.ndarray, actual: np.ndarray, weight: np.ndarray | None = None) -> list[ScoreCell]:
    weight = np.ones(len(score), np.int64) if weight is None else weight
    bins, place = np.unique(bin_of(score), return_inverse=True)
    counts = np.zeros((2, len(bins)), np.int64)
    np.add.at(counts, (actual, place), weight)
    return [ScoreCell(int(at), int(no), int(yes)) for at, no, yes in zip(bins, *counts, strict=True)]


@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.1, 0.5]), st.floats(0.5, 3), st.booleans())
@settings(deadline=None, max_examples=30)
def test_figures_are_scikit_learns_within_a_thousandth(seed: int, base: float, sharp: float, calibrated: bool) -> None:
    score, actual = sample(seed, 20_000, base, sharp, calibrated)
    found = ranked(cells_of(score, actual))
    assert found.auc == pytest.approx(roc_auc_score(actual, score), abs=min(1e-3, found.auc_within + 1e-9))
    assert found.average_precision == pytest.approx(average_precision_score(actual, score), abs=1e-3)
    losses = losses_of(score, actual)
    assert mean_loss(losses.log_loss, losses.rows) == pytest.approx(log_loss(actual, score), abs=1e-6)
    assert mean_loss(losses.squared, losses.rows) == pytest.approx(brier_score_loss(actual, score), abs=1e-6)


def test_weights_count_as_rows_do() -> None:
    score, actual = sample(1, 5_000, 0.2, 2.0, True)
    weight = np.random.default_rng(2).uniform(0.1, 3, len(score))
    found = ranked(cells_of(score, actual, np.rint(weight * 2**20).astype(np.int64)))
    assert found.auc == pytest.approx(roc_auc_score(actual, score, sample_weight=weight), abs=1e-3)
    expected = average_precision_score(actual, score, sample_weight=weight)
    assert found.average_precision == pytest.approx(expected, abs=1e-3)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1e-9, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=30))
def test_scores_that_are_far_apart_lose_nothing(rows: list[tuple[float, bool]]) -> None:
    score, actual = np.array([s for s, _ in rows]), np.array([y for _, y in rows]).astype(np.int64)
    found = ranked(cells_of(score, actual))
    if 0 < actual.sum() < len(actual):
        assert found.auc == pytest.approx(roc_auc_score(actual, score), abs=1e-9)
        assert found.average_precision == pytest.approx(average_precision_score(actual, score), abs=1e-9)
    else:
        assert found.auc is None and found.auc_within == 0
    assert mean_loss(losses_of(score, actual).log_loss, len(score)) == pytest.approx(
        log_loss(actual, score, labels=[0, 1]), abs=1e-5
    )


def test_a_bin_stands_for_its_scores() -> None:
    score = np.array([0.0, 1e-12, 0.001, 0.25, 0.5, 0.99, 1 - 1e-12, 1.0])
    bins = bin_of(score)
    assert bins[[0, 1, 4, 6, 7]].tolist() == [-LAST_BIN - 1, -LAST_BIN, 0, LAST_BIN, LAST_BIN + 1]
    assert score_of(bins) == pytest.approx(score, abs=0.002)


def test_pieces_of_a_bin_and_corrections_add_up() -> None:
    assert ranked([ScoreCell(3, 5, 1), ScoreCell(3, -1, 1), ScoreCell(9, 1, 4)]) == ranked(
        [ScoreCell(3, 4, 2), ScoreCell(9, 1, 4)]
    )
    assert ranked([]).rows == 0 and mean_loss(0, 0) is None


def test_the_interval_of_auc_holds_the_truth() -> None:
    truth = roc_auc_score(*reversed(sample(0, 400_000, 0.2, 1.5, True)))
    held = 0
    for seed in range(300):
        low, high = auc_interval(ranked(cells_of(*sample(seed, 600, 0.2, 1.5, True)))) or (1, 0)
        held += low <= truth <= high
    assert held / 300 > 0.92
    assert auc_interval(ranked([ScoreCell(1, 4, 0)])) is None


def test_calibration_error_is_the_gap_between_what_was_said_and_what_was() -> None:
    score = np.repeat([0.25, 0.85], 1000)
    actual = np.concatenate((np.repeat([1, 0], [250, 750]), np.repeat([1, 0], [650, 350])))
    assert ranked(cells_of(score, actual)).calibration_error == pytest.approx(0.1, abs=0.003)
