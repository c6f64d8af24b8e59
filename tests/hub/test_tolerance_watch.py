"""A model that predicts numbers: its errors grow, and an incident says how large they may be."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hub_parts import DAY_MINUTES, START, Watched, same

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import MINUTE_NS, Incident, KeptRow, Label, Pane, Tier

ROWS = 300
OPTIONS = DecodeOptions("m", kind="regression")


def built() -> Baseline:
    rng = np.random.default_rng(5)
    said = rng.normal(100, 20, 4_000)
    columns: dict[str, list[object]] = {
        "x": rng.normal(size=4_000).tolist(), "said": said.tolist(), "true": (said + rng.normal(0, 5, 4_000)).tolist(),
    }  # fmt: skip
    return build_baseline(
        columns, Roles(score="said", label="true"), Purpose("m"), redact_category=same, policy="",
        created="2024-01-01T00:00:00Z", source="",
    )  # fmt: skip


def day_of(layout: Any, minute: int, said: np.ndarray) -> Pane:
    made = batch_from_columns(
        "m", now_ns=0, options=OPTIONS, features={"x": np.zeros(len(said)).tolist()}, scores=said.tolist(),
        times=[minute * MINUTE_NS] * len(said),
    )  # fmt: skip
    builder = PaneBuilder(layout, same)
    builder.add_batch(made)
    (pane,) = builder.take()
    return pane


def play(folder: Path, spread: list[float], late: int = 0) -> tuple[list[Incident], dict[str, Any]]:
    """A day for each of ``spread``, the standard deviation of its errors; labels come ``late`` days later."""
    baseline = built()
    watched = Watched(folder, [ModelPlan("m", baseline.layout, baseline, kind="regression", horizon_days=5)])
    rng = np.random.default_rng(6)
    waiting: list[list[Label]] = []
    for day, sigma in enumerate(spread):
        minute = START + day * DAY_MINUTES
        said = rng.normal(100, 20, ROWS)
        true = said + rng.normal(0, sigma, ROWS)
        rows = [
            KeptRow(f"p{day}-{n}", "m", "v1", "", minute * MINUTE_NS, float(said[n]), None, None, None, "", "", "{}")
            for n in range(ROWS)
        ]
        watched.flush(day_of(baseline.layout, minute, said), through=minute, rows=rows)
        seen = (minute + late * DAY_MINUTES) * MINUTE_NS
        waiting.append([Label(f"p{day}-{n}", repr(float(true[n])), seen) for n in range(ROWS)])
        if day >= late:
            watched.hub.labels(waiting[day - late])
        watched.hub.tick()
    view = orjson.loads(watched.hub.query("status", {}))["models"][0]["outcome"]
    curve = orjson.loads(watched.hub.query("series", {"model": "m", "name": "within_tolerance"}))["v"]
    found = [incident for incident in watched.store.incidents() if incident.rule == "quality_drop"]
    watched.hub.close()
    return found, {**view, "curve": curve}


@pytest.mark.parametrize("late", [0, 2])
def test_errors_that_double_page(tmp_path: Path, late: int) -> None:
    (found,), view = play(tmp_path, [5.0] * 8 + [10.0] * 10, late)
    assert found.tier is Tier.P1 and found.features == ("within_tolerance",)
    assert found.opened_minute // DAY_MINUTES >= START // DAY_MINUTES + 8
    assert found.summary.startswith("share of errors within 6.") and "above chance" in found.summary
    # Of normal errors with twice the spread: P(|e| <= t), where P(|e| <= t) was view["baseline"].
    assert view["realised"] == pytest.approx(0.49, abs=0.06)
    assert view["mature"]["value"] == pytest.approx(0.49, abs=0.06)
    assert view["curve"][0] == pytest.approx(0.8, abs=0.08) and view["curve"][-1] == pytest.approx(0.49, abs=0.08)


def test_errors_that_stay_are_quiet(tmp_path: Path) -> None:
    found, view = play(tmp_path, [5.0] * 25, 1)
    assert found == [] and view["reason"] == "" and view["ratings"] is None and view["classes"] is None
    assert view["metric"] == "within_tolerance" and 6 < view["tolerance"] < 7.2
    assert view["baseline"] == pytest.approx(0.8, abs=0.04)
    assert view["low"] < view["realised"] < view["high"]
    assert view["estimated"] is None and "how sure" in view["estimate_note"]


def test_the_incident_ends_when_errors_are_small_again(tmp_path: Path) -> None:
    (found,), _ = play(tmp_path, [5.0] * 5 + [12.0] * 3 + [5.0] * 25)
    assert found.resolved_minute is not None
