"""A layout with every kind of cell, and rows of every kind of value."""

from typing import Any

import numpy as np
import pytest

from mlmon_sidecar.records import PredictionBatch
from mlmon_sidecar.statistics.layout import (
    CategoricalFeature,
    Layout,
    NumericFeature,
    PredictionSpace,
    hashed_token,
)

LAYOUT = Layout(
    model="m",
    features=(
        CategoricalFeature("color", ("red", "green", "true", "7"), alarm=2, known=(hashed_token("blue"),)),
        NumericFeature("x", (-1.0, 0.0, 0.5, 2.0), (0, 3), minimum=-2.0, maximum=3.0, center=0.25, scale=1.5),
        NumericFeature("constant", (), (), minimum=1.0, maximum=1.0, center=1.0, scale=1.0),
        CategoricalFeature("only", (), alarm=0),
        NumericFeature("y", (10.0,), (0,), minimum=-1e308, maximum=1e308, center=-1e308, scale=1e-3),
    ),
    prediction=PredictionSpace(
        "binary", ("no", "yes"), "yes", (0.1, 0.5, 0.9), (1,), score_center=0.5, score_scale=0.25, threshold=0.5
    ),
)


def make_batch(rows: list[dict[str, Any]], version: str = "v1") -> PredictionBatch:
    """Rows with keys ``features`` and, where given, the singular of each column's name."""
    names = dict.fromkeys(name for row in rows for name in row["features"])
    return PredictionBatch(
        model="m",
        version=version,
        event_ns=np.array([row.get("event_ns", 0) for row in rows], dtype=np.int64),
        weight=np.array([row.get("weight", 1 << 20) for row in rows], dtype=np.int64),
        prediction_ids=[f"p{at}" for at in range(len(rows))],
        aliases=[None] * len(rows),
        features={name: [row["features"].get(name) for row in rows] for name in names},
        score=np.array([row.get("score", np.nan) for row in rows], dtype=np.float64),
        predicted=[row.get("predicted") for row in rows],
        confidence=np.array([row.get("confidence", np.nan) for row in rows], dtype=np.float64),
        segments=[None] * len(rows),
        traces=[(0, 0)] * len(rows),
        exemplar=[False] * len(rows),
    )


@pytest.fixture(scope="session", name="layout")
def _layout() -> Layout:
    return LAYOUT


@pytest.fixture(scope="session", name="make_batch")
def _make_batch() -> Any:
    return make_batch
