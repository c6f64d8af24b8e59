"""Figures of embedded columns from sums, against the same figures from the vectors themselves."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.embeddings import embedding_spaces
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.statistics.embedding_figures import EmbeddingFigures, embedding_figures
from mlmon_sidecar.statistics.embedding_space import part_names
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace

PARTS = part_names("v")
COMMON = np.array([1.2, -0.8, 0.5, 0.0, 0.9, -0.4, 0.3, 0.7])


class Sampled:
    """Rows to fit on."""

    def __init__(self, points: np.ndarray) -> None:
        self._points = points

    def fitted(self, names: tuple[str, ...]) -> np.ndarray:
        return self._points.T[[PARTS.index(name) for name in names]]


def points(rows: int, seed: int, toward: np.ndarray = COMMON, spread: float = 0.8) -> np.ndarray:
    return toward + spread * np.random.default_rng(seed).normal(size=(rows, 8))


BEFORE = points(4000, 1)
(SPACE,) = embedding_spaces(PARTS, Sampled(points(2000, 14)))  # type: ignore[arg-type]
FEATURES = tuple(NumericFeature(name, (0.0,), (0,), -9.0, 9.0, 0.0, 1.0) for name in PARTS)
LAYOUT = Layout("m", FEATURES, PredictionSpace("none"), embeddings=(SPACE,))


def vector(rows: np.ndarray) -> np.ndarray:
    columns = {name: column.tolist() for name, column in zip(PARTS, rows.T, strict=True)}
    builder = PaneBuilder(LAYOUT, lambda _name, token: token)
    builder.add_batch(batch_from_columns("m", now_ns=0, features=columns, options=DecodeOptions("m")))
    (pane,) = builder.take()
    return pane.vector


def figures(now: np.ndarray) -> EmbeddingFigures:
    return embedding_figures(LAYOUT.embedding_cells["v"], vector(BEFORE), vector(now))


TURNED = np.array([-0.8, 1.2, 0.5, 0.9, 0.0, -0.4, 0.3, 0.7])


def test_the_cosine_is_that_of_the_means() -> None:
    now = points(1500, 2, TURNED)
    a, b = BEFORE.mean(axis=0), now.mean(axis=0)
    exact = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert exact < 0.5
    assert figures(now).centroid_cosine == pytest.approx(exact, abs=1e-3)
    assert figures(points(1500, 3)).centroid_cosine == pytest.approx(1.0, abs=0.01)


def test_without_a_common_direction_there_is_no_cosine() -> None:
    cells, none = LAYOUT.embedding_cells["v"], vector(points(4000, 4, 0 * COMMON))
    assert embedding_figures(cells, none, vector(points(300, 5, 0 * COMMON))).centroid_cosine is None
    assert figures(points(20, 6)).centroid_cosine is None  # twenty rows do not show it


def test_the_discrepancy_is_about_that_of_the_exact_kernel() -> None:
    now, wider = points(1500, 7, TURNED), points(1500, 8, spread=1.4)
    half = len(BEFORE) // 2
    width = np.median(np.linalg.norm(BEFORE[:half] - BEFORE[half:], axis=1))

    def kernel(squares: np.ndarray) -> float:
        return float(np.exp(-squares / (2 * width**2)).mean())

    for other in (now, wider):
        within = kernel(pdist(BEFORE[:1500], "sqeuclidean")) + kernel(pdist(other, "sqeuclidean"))
        exact = np.sqrt(within - 2 * kernel(cdist(BEFORE[:1500], other, "sqeuclidean")))
        assert figures(other).mmd == pytest.approx(exact, rel=0.4)  # 16 frequencies
    assert figures(points(1500, 9)).mmd < 0.015  # type: ignore[operator]


def test_healthy_rows_are_where_they_were_and_others_are_farther() -> None:
    healthy, wide = figures(points(3000, 10)), figures(points(3000, 11, spread=1.4))
    assert healthy.rows == 3000
    assert healthy.cluster_tv < 0.06 and abs(healthy.distance_ks) < 0.04  # type: ignore[operator,arg-type]
    assert wide.distance_ks > 0.4  # type: ignore[operator]
    assert figures(points(3000, 12, spread=0.3)).distance_ks < -0.4  # type: ignore[operator]


def test_nothing_seen_is_nothing_said() -> None:
    empty = np.zeros(LAYOUT.size, np.int64)
    said = embedding_figures(LAYOUT.embedding_cells["v"], vector(BEFORE), empty)
    assert said == EmbeddingFigures(0, None, None, None, None)
