"""What ``mlmon doctor --cost`` counts is what a receiver gets of a server with that configuration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from otlp_collector import Collector
from runtime_serving import applicants, build_baseline, configure, mlmon, serving

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.config import Settings, load
from mlmon_sidecar.export.budget import MAX_SERIES_MODEL, MAX_SERIES_PROCESS
from mlmon_sidecar.export.catalog import CATALOG, Emitter
from mlmon_sidecar.runtime.assembly import Watched, watched_models
from mlmon_sidecar.runtime.cost import model_cost, process_cost, stored
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference

TRAFFIC = {"mlmon.alert.transitions", "mlmon.self.errors", "mlmon.schema.violations"}  # brought by what happens

AT_LAST = {"mlmon.event_loop.lag", "mlmon.batch.size"}  # they are there a moment later than the rest


@pytest.fixture
def tap() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def attributes(point: Any) -> frozenset[tuple[str, str]]:
    return frozenset((pair.key, pair.value.string_value) for pair in point.attributes)


def test_the_count_is_what_arrives(tmp_path: Path, tap: Collector) -> None:
    configure(tmp_path)
    build_baseline(tmp_path, applicants(2_000))
    models = f'baseline = "{tmp_path}/loans.json"\nroutes = ["POST /score"]'
    head = f"clock_scale = 240\nclock_anchor = {time.time()}"  # a minute is sealed every quarter of a second
    path = configure(tmp_path, f'[export]\nendpoint = "{tap.url}"\ninterval_seconds = 0.5', models=models, head=head)
    loaded = load(path, environ={})
    (watched,) = watched_models(loaded.settings, loaded.origin)
    process, model = process_cost(loaded.settings, [watched]), model_cost(loaded.settings, watched)

    def series(metrics: list[Any]) -> dict[Emitter, set[tuple[str, frozenset[tuple[str, str]]]]]:
        found: dict[Emitter, set[tuple[str, frozenset[tuple[str, str]]]]] = {Emitter.HUB: set(), Emitter.PROCESS: set()}
        for metric in metrics:
            if metric.name not in TRAFFIC and not metric.name.startswith("mlmon.outcome."):
                points = getattr(metric, metric.WhichOneof("data")).data_points
                found[CATALOG[metric.name].source] |= {(metric.name, attributes(point)) for point in points}
        return found

    with serving(tmp_path, "monitored") as server:
        for row in applicants(20):
            server.score(**row)

        def complete(metrics: list[Any]) -> Any:
            """All up to the end of the first export that has everything; each is in the catalogue's order."""
            names: set[str] = set()
            for place, metric in enumerate(metrics):
                names.add(metric.name)
                if metric.name == list(CATALOG)[-1] and {"mlmon.feature.mean", *AT_LAST} <= names:
                    return series(metrics[: place + 1])
            return None

        arrived = tap.wait("metrics", complete)
    assert len(arrived[Emitter.PROCESS]) == process.series
    assert len(arrived[Emitter.HUB]) == model.series


def fraud(features: int) -> Watched:
    edges = tuple(float(edge) for edge in range(-20, 21))
    named = tuple(
        NumericFeature(f"f{n}", edges, tuple(range(2, 40, 4)), -30.0, 30.0, 0.0, 1.0) for n in range(features)
    )
    space = PredictionSpace("binary", ("no", "yes"), "yes", (0.25, 0.5, 0.75), (1,), 0.5, 0.25, threshold=0.5)
    layout = Layout("fraud", named, space)
    import numpy as np

    vector = np.full(layout.size, 40, dtype=np.int64)
    reference = Reference(layout.hash, "v0", vector, hours=800, tau={"*": 0.0})
    settings = Settings(model="fraud", models={"fraud": {}})
    baseline = Baseline(layout, reference, created="2024-01-01T00:00:00+00:00", rows=8_000)
    return Watched("fraud", settings.models["fraud"], baseline)


def test_a_fraud_service_of_forty_features_is_within_its_budget() -> None:
    settings = Settings(model="fraud", models={"fraud": {}})
    process, model = process_cost(settings, [fraud(40)]), model_cost(settings, fraud(40))
    assert 20 < process.series <= MAX_SERIES_PROCESS
    assert 40 * 5 < model.series <= MAX_SERIES_MODEL
    assert process.prometheus_series > process.series
    assert model.prometheus_series == model.series, "the hub has no histograms"
    assert 0 < model.gzip_bytes < model.bytes < 500_000
    kept = stored(fraud(40))
    assert kept.most_bytes == kept.pane_bytes * (2_880 + 9_600)


def test_bins_are_counted_where_they_are_asked_for() -> None:
    plain = Settings(model="fraud", models={"fraud": {}})
    binned = Settings(model="fraud", models={"fraud": {}}, export={"bins": True})
    more = model_cost(binned, fraud(40)).series - model_cost(plain, fraud(40)).series
    assert more == 40 * 11 * 2


def test_the_command(tmp_path: Path) -> None:
    configure(tmp_path)
    done = mlmon(tmp_path, "doctor", "--cost")
    assert done.returncode == 0, done.stderr
    assert "a serving process" in done.stdout and "the hub, loans" in done.stdout
    assert "log records: 0.00% of the predictions" in done.stdout
