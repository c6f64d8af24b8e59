"""Centroids against scikit-learn's, and how embedded columns are cut."""

import json

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.clusters import centroids
from mlmon_sidecar.baseline.describe import describe
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.embedding_figures import embedding_figures
from mlmon_sidecar.statistics.embedding_space import part_names


def spread(points: np.ndarray, centers: np.ndarray) -> float:
    return float(((points[:, None] - centers) ** 2).sum(axis=2).min(axis=1).sum())


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_about_as_tight_as_those_of_scikit_learn(seed: int) -> None:
    points, _ = make_blobs(1500, n_features=8, centers=20, cluster_std=1.5, random_state=seed)
    theirs = KMeans(24, n_init=3, random_state=0).fit(points).inertia_
    assert spread(points, centroids(points, 24)) < 1.15 * theirs


def test_fewer_distinct_points_than_clusters_are_the_centroids() -> None:
    points = np.repeat(np.arange(3.0)[:, None], 40, axis=0)
    assert sorted(centroids(points, 24).ravel().tolist()) == [0.0, 1.0, 2.0]


WORDS = {
    "loan": "loan credit rate bank payment interest month income car house".split(),
    "ticket": "printer server login password error screen network vpn update crash".split(),
}


def notes(topic: str, rows: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[topic], rng.integers(5, 15))) for _ in range(rows)]


def build(order: np.ndarray, chunk: int | None = None) -> Baseline:
    texts = notes("loan", 1500, 1)
    columns = {"note": [texts[k] for k in order], "age": np.random.default_rng(2).normal(size=1500)[order].tolist()}
    return build_baseline(
        columns, Roles(), Purpose("m", text=frozenset({"note"})), redact_category=lambda _column, token: token,
        policy="", created="2026-01-01T00:00:00Z", chunk_rows=chunk,
    )  # fmt: skip


def test_a_text_column_gets_centroids_whatever_the_order_of_its_rows() -> None:
    one = build(np.arange(1500))
    (space,) = one.layout.embeddings
    assert space.name == "note" and len(space.centroids) == 15 and len(space.edges) == 9  # 750 rows
    other = build(np.random.default_rng(3).permutation(1500), chunk=101)
    assert json.dumps(one.to_document()) == json.dumps(other.to_document())
    assert Baseline.from_document(json.loads(json.dumps(one.to_document()))).layout == one.layout


def test_each_cluster_and_each_decile_has_its_share_of_the_reference() -> None:
    built = build(np.arange(1500))
    cells, vector = built.layout.embedding_cells["note"], built.reference.vector
    assert vector[cells.clusters].sum() == vector[cells.distances].sum() == 750, "the half it was not fitted on"
    assert vector[cells.cluster_weight].sum() == vector[cells.distance_weight].sum() == 750 * WEIGHT_UNIT
    assert vector[cells.clusters].min() >= 0


def test_the_next_rows_lie_as_far_as_the_reference_says() -> None:
    """Those that the centroids were fitted on lie nearer: counted with them, the next would seem farther."""
    rng, parts = np.random.default_rng(5), part_names("v")
    columns = {name: rng.normal(size=3000).tolist() for name in parts}
    built = build_baseline(
        columns, Roles(), Purpose("m"), redact_category=lambda _column, token: token, policy="",
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip
    next_rows = {name: rng.normal(size=20_000).tolist() for name in parts}
    builder = PaneBuilder(built.layout, lambda _column, token: token)
    builder.add_batch(batch_from_columns("m", now_ns=0, features=next_rows, options=DecodeOptions("m")))
    (pane,) = builder.take()
    found = embedding_figures(built.layout.embedding_cells["v"], built.reference.vector, pane.vector)
    assert abs(found.distance_ks or 1.0) < 0.045  # by chance; 0.06 to 0.07 with the rows it was fitted on
    assert built.reference.vector[built.layout.embedding_cells["v"].clusters].sum() == 1500


def test_the_parts_of_a_text_are_one_group() -> None:
    groups = build(np.arange(1500)).reference.groups
    (of_text,) = [group for group in groups if "note.embedding.0" in group]
    assert {f"note.embedding.{axis}" for axis in range(8)} <= set(of_text)
    assert describe(build(np.arange(1500))).embeddings == (("note", 15),)
    assert "age" not in of_text
