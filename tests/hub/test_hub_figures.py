"""What the hub exports, against the rows themselves: numpy and scipy on what was fed, not on our cells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hub_parts import LAYOUT, START, Watched, baseline, batch, kept, panes
from scipy.stats import ks_2samp

from mlmon_sidecar.export.figures import Collector
from mlmon_sidecar.hub import figures
from mlmon_sidecar.hub.bins import coarse_bins
from mlmon_sidecar.records import MINUTE_NS, Label
from mlmon_sidecar.telemetry import Telemetry

ROWS = 400
RNG = np.random.default_rng(5)
X = [None, None, 9.0, -7.5, *RNG.normal(1.0, 0.5, ROWS - 4).tolist()]  # 9 and -7.5 are outside the baseline's range
TOWN = [None, "C", "C", "C", *RNG.choice(["A", "B"], ROWS - 4, p=[0.9, 0.1]).tolist()]
SCORES = np.random.default_rng(11).uniform(size=ROWS)  # as ``batch`` draws them first from this seed
NUMBERS = np.array([value for value in X if value is not None])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("figures"), export_bins=True)
    watched.flush(*panes(batch([START] * ROWS, 11, x=X, town=TOWN)), through=START)
    watched.clock.seconds = 600  # the clock stands days ahead of what is fed
    watched.flush(through=START)
    watched.hub.tick()
    watched.hub.tick()
    yield watched
    watched.hub.close()


@pytest.fixture(scope="module")
def found(watched: Watched) -> dict[tuple[str, str], float]:
    """(metric, value of the attribute that tells its points apart) to value."""
    telemetry = Telemetry()
    Collector([watched.hub.measurements], telemetry).collect()
    assert telemetry.snapshot() == {}, "the catalogue knows them all"
    distinguishing = ("mlmon.feature.name", "mlmon.class", "mlmon.alert.rule", "mlmon.estimated")
    return {
        (m.name, "/".join(dict(m.attributes)[k] for k in distinguishing if k in dict(m.attributes))): m.value
        for m in watched.hub.measurements()
        if "mlmon.bin" not in dict(m.attributes)
    }  # fmt: skip


def test_the_window(found: dict[Any, float]) -> None:
    assert found["mlmon.window.samples", ""] == ROWS


def test_missing_and_strange_values(found: dict[Any, float]) -> None:
    assert found["mlmon.feature.missing.ratio", "x"] == pytest.approx(2 / ROWS)
    assert found["mlmon.feature.missing.ratio", "town"] == pytest.approx(1 / ROWS)
    low, high = LAYOUT.features[0].minimum, LAYOUT.features[0].maximum  # type: ignore[union-attr]
    outside = ((NUMBERS < low) | (NUMBERS > high)).sum()
    assert outside >= 2
    assert found["mlmon.feature.out_of_range.ratio", "x"] == pytest.approx(outside / len(NUMBERS))
    assert found["mlmon.feature.unseen_category.ratio", "town"] == pytest.approx(3 / (ROWS - 1))


def test_moments(found: dict[Any, float]) -> None:
    assert found["mlmon.feature.mean", "x"] == pytest.approx(NUMBERS.mean(), rel=1e-3)
    assert found["mlmon.feature.stddev", "x"] == pytest.approx(NUMBERS.std(), rel=1e-2)


def test_distances(found: dict[Any, float]) -> None:
    reference = np.random.default_rng(7)
    reference.uniform(size=8_000)
    before = reference.normal(size=8_000)  # the column x of the baseline's batch
    towns = reference.choice(["A", "B"], 8_000)
    exact = ks_2samp(before, NUMBERS).statistic
    assert found["mlmon.feature.drift.score", "x"] == pytest.approx(exact, abs=0.1), "binned: a little less"
    assert found["mlmon.feature.drift.score", "x"] <= exact + 1e-9
    shares = [(np.mean(towns == name), np.mean([t == name for t in TOWN if t])) for name in ("A", "B", "C")]
    assert found["mlmon.feature.drift.score", "town"] == pytest.approx(sum(abs(p - q) for p, q in shares) / 2)
    scored = np.random.default_rng(7).uniform(size=8_000)
    assert found["mlmon.prediction.drift.score", ""] == pytest.approx(ks_2samp(scored, SCORES).statistic, abs=0.05)


def test_evidence_and_drifted_are_what_the_page_shows(watched: Watched, found: dict[Any, float]) -> None:
    (model,) = orjson.loads(watched.hub.query("status", {}))["models"]
    shown = {feature["name"]: feature for feature in model["features"]}
    assert found["mlmon.feature.drift.evidence", "x"] == pytest.approx(shown["x"]["evidence"])
    held = sum(feature["held"] for feature in shown.values())
    assert found["mlmon.drift.features.drifted.ratio", ""] == held / 2


def test_of_many_features_the_named_ones_and_the_greatest_of_the_rest(
    watched: Watched, found: dict[Any, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MAX_FEATURES", 1)
    now = {(m.name, dict(m.attributes).get("mlmon.feature.name")): m for m in watched.hub.measurements()}
    (told,) = {name for metric, name in now if metric == "mlmon.feature.missing.ratio"}
    (rest,) = {"x", "town"} - {told}
    for metric in ("mlmon.feature.drift.score", "mlmon.feature.drift.evidence"):
        assert now[metric, told].value == found[metric, told]
        assert now[metric, figures.OTHER_FEATURES].value == found[metric, rest]
    assert now["mlmon.drift.features.drifted.ratio", None].value == found["mlmon.drift.features.drifted.ratio", ""]
    views: list[Any] = [
        {"name": name, "held": name == "c", "evidence": e, "drift": e, "method": "ks"}
        for name, e in zip("abc", (1, 2, 3), strict=True)
    ]
    reference: Any = SimpleNamespace(weight={"b": 0.7, "a": 0.3})
    monkeypatch.setattr(figures, "MAX_FEATURES", 2)
    kept, left = figures._told_apart(views, reference)
    assert [view["name"] for view in (*kept, *left)] == ["c", "b", "a"], "alarmed, then by importance"


def test_predictions(found: dict[Any, float]) -> None:
    yes, sure = int((SCORES >= 0.5).sum()), np.maximum(SCORES, 1 - SCORES).mean()
    assert (found["mlmon.prediction.class", "yes"], found["mlmon.prediction.class", "no"]) == (yes, ROWS - yes)
    assert found["mlmon.prediction.dominant.ratio", ""] == pytest.approx(max(yes, ROWS - yes) / ROWS)
    assert found["mlmon.prediction.confidence.mean", ""] == pytest.approx(sure, abs=1e-4)


def test_ages(watched: Watched, found: dict[Any, float]) -> None:
    now = watched.clock.unix_ns() / 1e9
    built = datetime.fromisoformat(baseline().created).timestamp()
    assert found["mlmon.self.baseline.age", ""] == pytest.approx(now - built)
    assert found["mlmon.self.aggregate.age", ""] == pytest.approx(now - (START + 1) * 60)
    assert found["mlmon.self.hub.leader", ""] == 1


def test_bins_are_the_rows_in_them(watched: Watched) -> None:
    bins: dict[str, dict[str, list[float]]] = {}
    for one in watched.hub.measurements():
        named = dict(one.attributes)
        if "mlmon.bin" in named:
            bins.setdefault(one.name, {}).setdefault(named["mlmon.feature.name"], []).append(one.value)
    edges = [LAYOUT.features[0].edges[place] for place in LAYOUT.features[0].alarm]  # type: ignore[union-attr,misc]
    expected = np.bincount(np.searchsorted(edges, NUMBERS, side="left"), minlength=len(edges) + 1)
    assert bins["mlmon.feature.bin"]["x"] == expected.tolist()
    assert bins["mlmon.feature.bin"]["town"] == [TOWN.count("A"), TOWN.count("B"), 0, 3]
    for feature, counts in bins["mlmon.baseline.bin.ratio"].items():
        assert sum(counts) == pytest.approx(1)
        weights = baseline().reference.vector[LAYOUT.cells[feature].alarm]
        assert counts == pytest.approx((weights / weights.sum()).tolist()), "the detector's, of rows of equal weight"


def test_bins_are_not_exported_unless_asked_for(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.flush(*panes(batch([START] * 5, 1)), through=START)
    assert not [m for m in watched.hub.measurements() if ".bin" in m.name]
    watched.hub.close()


def test_new_categories_have_a_bin_of_their_own() -> None:
    vector = panes(batch([START] * ROWS, 11, x=X, town=TOWN))[0].vector
    assert coarse_bins(LAYOUT, "town", vector)[-1] == 3


def test_labels(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    rows = [kept(f"p{n}", START) for n in range(10)]
    watched.flush(*panes(batch([START] * 10, 1)), through=START, rows=rows)
    watched.clock.seconds = 600
    labels = [Label(f"p{n}", "yes" if n < 6 else "no", START * MINUTE_NS) for n in range(8)]
    watched.hub.labels([*labels, labels[0], Label("later", "yes", START * MINUTE_NS)])
    watched.hub.tick()
    watched.hub.tick()
    points = [m for m in watched.hub.measurements() if m.name.startswith("mlmon.outcome.")]
    realised = {dict(m.attributes).get("mlmon.estimated", m.name): m.value for m in points}
    assert realised["false"] == pytest.approx(6 / 8), "all were predicted to be yes"
    assert realised["mlmon.outcome.coverage.ratio"] == pytest.approx(8 / 10)
    labelled = {dict(m.attributes)["mlmon.label.status"]: m.value for m in points if m.name == "mlmon.outcome.labels"}
    assert sum(labelled.values()) == 8, "known predictions alone"
    watched.hub.close()
