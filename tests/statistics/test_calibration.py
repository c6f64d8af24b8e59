"""Estimates before labels come: right on average, and as uncertain as they say."""

import numpy as np
import pytest
from scipy.stats import rankdata

from mlmon_sidecar.statistics.calibration import calibrate, expect, expect_right

BINS = 60


def draw(rng: np.random.Generator, rows: int, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins, predicted, actual."""
    bins = rng.binomial(BINS - 1, rng.beta(1.0, 1.5, rows))
    return bins, (bins >= BINS // 2).astype(int), (rng.random(rows) < truth[bins]).astype(int)


def tables(bins: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(bins[predicted == side], minlength=BINS) for side in (0, 1)], axis=1)


def realised(bins: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    true = int((predicted & actual).sum())
    ranks = rankdata(bins)[actual == 1]
    positives, negatives = int(actual.sum()), int((1 - actual).sum())
    return {
        "accuracy": float((predicted == actual).mean()), "precision": true / int(predicted.sum()),
        "recall": true / positives, "f1": 2 * true / (int(predicted.sum()) + positives),
        "auc": (float(ranks.sum()) - positives * (positives + 1) / 2) / positives / negatives,
    }  # fmt: skip


def test_with_the_truth_known_the_estimate_is_the_average_of_what_is_realised() -> None:
    truth = np.linspace(0.02, 0.95, BINS)
    rng = np.random.default_rng(1)
    bins, predicted, actual = draw(rng, 400_000, truth)
    found = expect(tables(bins, predicted), truth, np.full(BINS, 1e9))
    assert found is not None and found.rows == 400_000
    for name, value in realised(bins, predicted, actual).items():
        assert found.figures[name].value == pytest.approx(value, abs=4 * found.figures[name].error)
        assert found.figures[name].error < 0.002


def test_the_error_covers_the_outcomes_and_the_calibration() -> None:
    """Of 200 windows, each with a calibration of its own, about 68 in 100 lie within one error and hardly any beyond
    three. An error without the calibration's part would be too small by half."""
    truth, rng = np.linspace(0.02, 0.95, BINS) ** 1.5, np.random.default_rng(2)
    scores: dict[str, list[float]] = {}
    for _ in range(200):
        bins, _, actual = draw(rng, 1_500, truth)
        behind = np.bincount(bins, minlength=BINS)
        g = calibrate(np.bincount(bins[actual == 1], minlength=BINS), behind)
        window = draw(rng, 2_500, truth)
        found = expect(tables(*window[:2]), g, behind.astype(float))
        assert found is not None
        for name, value in realised(*window).items():
            scores.setdefault(name, []).append((value - found.figures[name].value) / found.figures[name].error)
    for name, z in scores.items():
        assert np.mean(np.abs(z) > 3) <= 0.02, name
        assert 0.55 < np.mean(np.abs(z) < 1) < 0.92, name


def test_a_model_with_several_classes_is_expected_to_be_as_right_as_it_is_sure() -> None:
    g = np.linspace(0.3, 0.9, 50)
    found = expect_right(np.full(50, 20), g, np.full(50, 10.0))
    assert found is not None
    value, error = found.figures["accuracy"]
    assert value == pytest.approx(0.6) and error > np.sqrt(0.6 * 0.4 / 500)
    assert expect_right(np.zeros(50, np.int64), g, np.full(50, 10.0)) is None


def test_what_has_no_denominator_is_left_out() -> None:
    g = np.array([0.0, 0.5])
    assert expect(np.zeros((2, 2), np.int64), g, np.ones(2)) is None
    nobody = expect(np.array([[5, 0], [0, 0]]), g, np.ones(2))
    assert nobody is not None and set(nobody.figures) == {"accuracy"} and nobody.figures["accuracy"].value == 1.0
