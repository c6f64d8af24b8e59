"""However many series there would be: their number is bounded, and what adds up adds up to the same."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from mlmon_sidecar.export import budget
from mlmon_sidecar.export.budget import (
    FOR_METRICS,
    FOR_MODELS,
    MAX_SERIES_MODEL,
    MAX_SERIES_PROCESS,
    OTHER,
    SUMS_MODEL,
    SUMS_PROCESS,
)
from mlmon_sidecar.export.catalog import CATALOG, CLASS, ERROR_TYPE, FEATURE, MODEL_NAME, MODEL_VERSION, Emitter, Kind
from mlmon_sidecar.export.figures import Buckets, Collector
from mlmon_sidecar.records import Distribution, Measurement
from mlmon_sidecar.telemetry import Telemetry

BOUNDS = (0.1, 1.0)
Found = Measurement | Distribution


def who(model: object, version: object) -> tuple[tuple[str, str], ...]:
    return (MODEL_NAME, f"{model}"), (MODEL_VERSION, f"{version}")


def traffic(model: object, version: object, rows: int) -> Sequence[Found]:
    return [
        Measurement("mlmon.predictions", rows, who(model, version)),
        Distribution("mlmon.prediction.duration", BOUNDS, (rows, 1, 2), rows / 2, who(model, version)),
    ]


class Source:
    def __init__(self) -> None:
        self.now: list[Found] = []

    def __call__(self) -> Sequence[Found]:
        return self.now


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def collector(source: Source) -> Collector:
    return Collector([source], Telemetry())


def series(figures: dict[str, dict[Any, Any]]) -> int:
    return sum(map(len, figures.values()))


def test_the_parts_add_up_to_a_place_for_every_metric() -> None:
    for emitter, sums, limit in (
        (Emitter.PROCESS, SUMS_PROCESS, MAX_SERIES_PROCESS),
        (Emitter.HUB, SUMS_MODEL, MAX_SERIES_MODEL),
    ):
        adding = [m for m in CATALOG.values() if m.source is emitter and m.kind is not Kind.GAUGE]
        assert len(adding) <= FOR_METRICS < FOR_MODELS < sums < limit


def test_ten_thousand_versions_keep_their_sum(source: Source, collector: Collector) -> None:
    source.now = [figure for version in range(10_000) for figure in traffic("fraud", version, version)]
    figures = collector.collect()
    points = figures["mlmon.predictions"]
    assert series(figures) == SUMS_PROCESS - FOR_MODELS + 2
    assert sum(points.values()) == sum(range(10_000))
    assert points[tuple(sorted(who("fraud", 0)))] == 0, "the first have series of their own"
    durations = figures["mlmon.prediction.duration"].values()
    assert sum(sum(one.counts) for one in durations) == sum(range(10_000)) + 3 * 10_000
    assert sum(one.total for one in durations) == sum(range(10_000)) / 2


def test_models_beyond_the_versions_are_told_apart_and_then_no_more(source: Source, collector: Collector) -> None:
    source.now = [figure for model in range(500) for figure in traffic(model, 1, 1)]
    figures = collector.collect()
    models = {dict(key)[MODEL_NAME] for key in figures["mlmon.predictions"]}
    assert series(figures) <= SUMS_PROCESS - FOR_METRICS + 2
    assert len(models) > 60 and OTHER in models
    assert sum(figures["mlmon.predictions"].values()) == 500


def test_a_series_never_changes_its_place(source: Source, collector: Collector) -> None:
    """Else its past would be in two of them, or a rate would jump: held against plain sums over random arrivals."""
    chance = random.Random(5)
    totals: Counter[tuple[str, str]] = Counter()
    before: dict[Any, int] = {}
    homes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _ in range(40):
        totals.update((f"m{chance.randrange(8)}", f"{chance.randrange(60)}") for _ in range(30))
        source.now = [figure for (m, v), rows in totals.items() for figure in traffic(m, v, rows)]
        points = collector.collect()["mlmon.predictions"]
        assert sum(points.values()) == sum(totals.values())
        assert all(points[key] >= value for key, value in before.items()), "a counter never falls or ends"
        before = points
        for model, version in totals:
            homes[model, version].add(version if tuple(sorted(who(model, version))) in points else OTHER)
    assert {len(found) for found in homes.values()} == {1}
    assert any(OTHER in found for found in homes.values())


def test_own_counters_have_their_place_whatever_versions_come(source: Source, collector: Collector) -> None:
    source.now = [figure for version in range(500) for figure in traffic("fraud", version, 1)]
    collector.collect()
    source.now.append(Measurement("mlmon.self.errors", 7, ((ERROR_TYPE, "ValueError"),)))
    assert collector.collect()["mlmon.self.errors"] == {((ERROR_TYPE, "ValueError"),): 7}


def test_what_is_without_end_ends_in_one_series(source: Source, collector: Collector) -> None:
    source.now = [Measurement("mlmon.self.errors", 1, ((ERROR_TYPE, f"{n}"),)) for n in range(5_000)]
    figures = collector.collect()["mlmon.self.errors"]
    assert len(figures) == SUMS_PROCESS - FOR_METRICS + 1
    assert figures[((ERROR_TYPE, OTHER),)] == 5_000 - (len(figures) - 1)


def test_no_more_is_remembered_than_so_many(
    source: Source, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MAX_PLACED", 300)
    for _ in range(2):
        source.now = [Measurement("mlmon.predictions", 1, who("m", n)) for n in range(1_000)]
        points = collector.collect()["mlmon.predictions"]
        assert sum(points.values()) == 1_000 and points[tuple(sorted(who(OTHER, OTHER)))] == 700
    assert len(collector._budget._placed) == 300


def test_other_that_came_so_is_one_with_ours(source: Source, collector: Collector) -> None:
    source.now = [*traffic("m", OTHER, 3), *(f for v in range(300) for f in traffic("m", v, 1)), *traffic("m", "x", 5)]
    points = collector.collect()["mlmon.predictions"]
    assert sum(points.values()) == 308 and points[tuple(sorted(who("m", OTHER)))] > 8


def test_gauges_beyond_are_left_out_and_come_back(source: Source) -> None:
    telemetry = Telemetry()
    collector = Collector([source], telemetry)
    room = MAX_SERIES_MODEL - SUMS_MODEL
    means = [Measurement("mlmon.feature.mean", 1, ((MODEL_NAME, "m"), (FEATURE, f"{n}"))) for n in range(room + 5)]
    classes = [Measurement("mlmon.prediction.class", 1, ((MODEL_NAME, "m"), (CLASS, f"{n}"))) for n in range(900)]
    churn = Measurement("mlmon.feature.mean", 1, ((MODEL_NAME, "churn"), (FEATURE, "age")))
    source.now = [*means, *classes, churn]
    figures = collector.collect()
    assert len(figures["mlmon.feature.mean"]) == room + 1, "each model has its own"
    assert sum(figures["mlmon.prediction.class"].values()) == 900
    assert series(figures) <= MAX_SERIES_MODEL + 1
    assert telemetry.snapshot() == {"errors.export.over_budget": 5}
    source.now = means[-5:]
    assert len(collector.collect()["mlmon.feature.mean"]) == 5


def test_histograms_of_other_bounds_are_no_sum(source: Source) -> None:
    telemetry = Telemetry()
    collector = Collector([source], telemetry)
    odd = Distribution("mlmon.prediction.duration", (5.0,), (1, 1), 2.0, who("m", "odd"))
    source.now = [*(f for v in range(300) for f in traffic("m", v, 1)), odd]
    points = collector.collect()["mlmon.prediction.duration"]
    assert all(isinstance(one, Buckets) and one.bounds == BOUNDS for one in points.values())
    assert telemetry.snapshot() == {"errors.export.other_bounds": 1}


def test_two_readers_see_the_same(source: Source, collector: Collector) -> None:
    source.now = [figure for version in range(300) for figure in traffic("m", version, version)]
    assert collector.collect() == collector.collect()
    assert collector.afresh().collect() == collector.collect()
