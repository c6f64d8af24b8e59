"""Embedded columns counted together, against brute force on whole numbers, in batches of any size."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.recorder.batches import part
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.embedding_space import EmbeddingSpace, embedding_cells, part_names
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace

RNG = np.random.default_rng(5)
SPACE = EmbeddingSpace(
    "note",
    centroids=tuple(tuple(map(int, row)) for row in RNG.integers(-2000, 2000, (5, 8))),
    edges=(5_000_000, 9_000_000, 14_000_000),
    frequencies=tuple(tuple(map(int, row)) for row in RNG.integers(-120_000, 120_000, (16, 8))),
)
FEATURES = tuple(
    NumericFeature(name, (-1.0, 0.0, 1.0), (1,), -9.0, 9.0, 0.0, 1.0) for name in ("age", *part_names("note"))
)
LAYOUT = Layout("m", FEATURES, PredictionSpace("none"), embeddings=(SPACE,))
CELLS = LAYOUT.embedding_cells["note"]
ROWS = 3000


def columns(rows: int = ROWS) -> dict[str, list[object]]:
    rng = np.random.default_rng(6)
    made: dict[str, list[object]] = {name: rng.normal(size=rows).tolist() for name in part_names("note")}
    for name in part_names("note")[:2]:
        made[name] = [None if rng.random() < 0.02 else value for value in made[name]]
    made["note.embedding.3"][7] = math.inf
    made["note.embedding.4"][8] = 1e300  # out of any vector's reach
    return {"age": rng.normal(size=rows).tolist(), **made}


def counted(size: int, rows: int = ROWS) -> np.ndarray:
    batch = batch_from_columns("m", now_ns=0, features=columns(rows), options=DecodeOptions("m"))
    batch = replace(batch, weight=np.where(np.arange(rows) % 3, WEIGHT_UNIT, WEIGHT_UNIT // 7))
    builder = PaneBuilder(LAYOUT, lambda _name, token: token)
    for start in range(0, rows, size):
        builder.add_batch(part(batch, slice(start, start + size)))
    (pane,) = builder.take()
    return pane.vector


def test_cells_are_those_of_brute_force() -> None:
    made = columns()
    rows = [
        [made[name][row] for name in part_names("note")]
        for row in range(ROWS)
        if all(made[name][row] is not None and math.isfinite(made[name][row]) for name in part_names("note"))  # type: ignore[arg-type]
    ]
    assert 2800 < len(rows) < ROWS
    q = [[min(2**18, max(-(2**18), round(float(value) * 1024))) for value in row] for row in rows]  # type: ignore[arg-type]
    away = np.rint(cdist(np.array(q, float), np.array(SPACE.centroids, float), "sqeuclidean"))
    near = away.argmin(axis=1)
    vector = counted(ROWS)
    assert vector[CELLS.clusters].tolist() == np.bincount(near, minlength=5).tolist()
    bins = np.searchsorted(SPACE.edges, away.min(axis=1), side="left")
    assert vector[CELLS.distances].tolist() == np.bincount(bins, minlength=4).tolist()
    assert vector[CELLS.sums].tolist() == np.sum(np.array(q), axis=0).tolist()
    phase = 2 * np.pi * (np.array(q) @ np.array(SPACE.frequencies).T) / 2**30
    waves = np.concatenate((np.cos(phase).sum(axis=0), np.sin(phase).sum(axis=0)))
    assert vector[CELLS.waves] / 1024 == pytest.approx(waves, abs=len(rows) * 2e-3)
    assert vector[CELLS.cluster_weight].sum() == vector[CELLS.distance_weight].sum() < len(rows) * WEIGHT_UNIT


@pytest.mark.parametrize("size", [1, 7, 512, 513])
def test_batches_of_any_size_give_the_same_bytes(size: int) -> None:
    assert counted(size, 1200).tobytes() == counted(1200, 1200).tobytes()


def test_the_layout_comes_back_equal_and_one_without_embeddings_is_as_it_was() -> None:
    assert Layout.from_document(LAYOUT.to_document()) == LAYOUT
    assert CELLS.clusters.start == Layout("m", FEATURES, PredictionSpace("none")).size
    assert LAYOUT.size == CELLS.end == embedding_cells(SPACE, CELLS.clusters.start).waves.stop
    plain = Layout("m", FEATURES[:1], PredictionSpace("none"))
    assert list(plain.to_document()) == ["format", "model", "features", "prediction"]
    assert plain.hash == "d8d282c0458066f2"


@pytest.mark.parametrize(
    "broken", [{"name": "age"}, {"centroids": ((0,) * 8,)}, {"edges": (5, 5)}, {"frequencies": ((1, 2),)}]
)
def test_a_broken_section_is_refused(broken: dict[str, object]) -> None:
    document = replace(LAYOUT, embeddings=(replace(SPACE, **broken),)).to_document()  # type: ignore[arg-type]
    with pytest.raises(BaselineError):
        Layout.from_document(document)
