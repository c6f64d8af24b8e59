"""Texts and features that are counted together, from their panes to incidents and the status."""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hub_parts import START, Watched, same

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import MINUTE_NS, Pane

OPTIONS = DecodeOptions("m", text=frozenset({"note"}))
WORDS = {
    "loan": "loan credit rate bank payment interest month income car house".split(),
    "ticket": "printer server login password error screen network vpn update crash".split(),
}
ROWS = 300


def columns(seed: int, rows: int, subject: str = "loan", rho: float = 0.8) -> dict[str, list[object]]:
    rng = np.random.default_rng(seed)
    age, own = rng.normal(size=(2, rows))
    return {
        "note": [" ".join(rng.choice(WORDS[subject], 8)) for _ in range(rows)],
        "age": age.tolist(),
        "income": (rho * age + np.sqrt(1 - rho**2) * own).tolist(),
    }


@cache
def baseline() -> Baseline:
    return build_baseline(
        columns(1, 5000), Roles(), Purpose("m", version="v0", text=frozenset({"note"})), redact_category=same,
        policy="", created="2024-01-01T00:00:00+00:00",
    )  # fmt: skip


def pane(hour: int, **spoilt: Any) -> Pane:
    builder = PaneBuilder(baseline().layout, same)
    batch = batch_from_columns(
        "m", now_ns=(START + 60 * hour) * MINUTE_NS, features=columns(50 + hour, ROWS, **spoilt), options=OPTIONS
    )
    builder.add_batch(batch)
    (taken,) = builder.take()
    return taken


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    yield Watched(tmp_path, [ModelPlan("m", baseline().layout, baseline())])


def feed(watched: Watched, hours: range, **spoilt: Any) -> None:
    for hour in hours:
        watched.flush(pane(hour, **spoilt), through=START + 60 * hour)
        watched.hub.tick()


def model(watched: Watched) -> Any:
    (only,) = orjson.loads(watched.hub.query("status", {}))["models"]
    return only


def rules(watched: Watched) -> set[str]:
    return {incident.rule for incident in watched.store.incidents("m", only_open=True)}


def test_healthy_columns_have_figures_and_no_incident(watched: Watched) -> None:
    feed(watched, range(6))
    assert rules(watched) == set()
    (view,) = model(watched)["embeddings"]
    assert (view["name"], view["rows"], view["held"], view["reason"]) == ("note", 6 * ROWS, False, "")
    assert view["cluster_tv"] < 0.1 and view["centroid_cosine"] > 0.98 and view["mmd"] < 0.05
    assert view["evidence"] < 1
    cosine = [figure for figure in model(watched)["textbook"] if figure["rule"] == "centroid_cosine"]
    assert [(figure["name"], figure["fires"]) for figure in cosine] == [("note", False)]


def test_another_subject_opens_an_incident_that_a_restart_keeps(watched: Watched) -> None:
    feed(watched, range(3))
    feed(watched, range(3, 6), subject="ticket")
    assert "embedding_drift" in rules(watched)
    (view,) = model(watched)["embeddings"]
    assert view["held"] and view["cluster_tv"] > 0.2
    watched.restart()
    assert model(watched)["embeddings"] == [view]


def test_another_correlation_opens_an_incident_alone(watched: Watched) -> None:
    feed(watched, range(3))
    feed(watched, range(3, 9), rho=-0.8)
    assert rules(watched) == {"joint_drift"}
