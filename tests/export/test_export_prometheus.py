"""Prometheus reads what we serve, under the names others make of our OTLP."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from whole_catalog import figures

from mlmon_sidecar.export.catalog import CATALOG, Kind
from mlmon_sidecar.export.figures import Collector
from mlmon_sidecar.export.prometheus import exposition, label_name, prometheus_name
from mlmon_sidecar.records import Distribution, Measurement
from mlmon_sidecar.telemetry import Telemetry

HOSTILE = 'a"b\\c\nd'


def scrape(*given: Measurement | Distribution) -> str:
    found = given or tuple(figures(1))
    return exposition(Collector([lambda: found], Telemetry()).collect(), {"service.name": "shop"}).decode()


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    parser = pytest.importorskip("prometheus_client.parser")
    families = list(parser.text_string_to_metric_families(text))
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_every_entry_is_served_with_its_value() -> None:
    found = samples(scrape())
    for metric, figure in zip(CATALOG.values(), figures(1), strict=True):
        name = prometheus_name(metric)
        labels = frozenset((label_name(key), value) for key, value in figure.attributes)
        if isinstance(figure, Distribution):
            assert found[f"{name}_count", labels] == sum(figure.counts)
            assert found[f"{name}_sum", labels] == figure.total
            cumulative = (figure.counts[0], sum(figure.counts[:2]), sum(figure.counts))
            for bound, count in zip(("0.5", "2.0", "+Inf"), cumulative, strict=True):
                assert found[f"{name}_bucket", labels | {("le", bound)}] == count
        else:
            assert found[name, labels] == figure.value
    assert found["target_info", frozenset({("service_name", "shop")})] == 1


def test_names_are_those_of_the_opentelemetry_exporter() -> None:
    """Its translation, written by others, of instruments like ours. It leaves out ``_ratio``, which the specification
    asks for and Prometheus and the Collector add to gauges of unit 1."""
    exporter = pytest.importorskip("opentelemetry.exporter.prometheus")
    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import REGISTRY, generate_latest

    reader = exporter.PrometheusMetricReader(disable_target_info=True)
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    observed: Any = [lambda _: [Observation(1)]]
    for metric in CATALOG.values():
        if metric.kind is Kind.HISTOGRAM:
            meter.create_histogram(metric.name, metric.unit, metric.description).record(1)
            continue
        make = {
            Kind.COUNTER: meter.create_observable_counter,
            Kind.UPDOWN: meter.create_observable_up_down_counter,
            Kind.GAUGE: meter.create_observable_gauge,
        }[metric.kind]
        make(metric.name, observed, metric.unit, metric.description)
    theirs = {line.split()[2] for line in generate_latest(REGISTRY).decode().splitlines() if line.startswith("# TYPE")}
    reader.shutdown()
    for metric in CATALOG.values():
        name = prometheus_name(metric)
        bare = name if metric.name.endswith((".ratio", "_ratio")) else name.removesuffix("_ratio")
        assert bare in theirs
        assert name.endswith("_ratio") == (metric.unit == "1")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool on this machine")
def test_promtool_takes_it() -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=scrape(), capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "non-histogram and non-summary" not in line]
    assert said == [], "what it does not like is that two conventions end their names in count"


def test_a_hostile_label_stays_one_label() -> None:
    found = samples(scrape(Measurement("mlmon.queue.depth", 3, (("mlmon.queue.name", HOSTILE),))))
    (labels,) = [labels for name, labels in found if name == "mlmon_queue_depth"]
    assert labels == frozenset({("mlmon_queue_name", 'a"b\\c d')}), "a line's end never gets that far"


def test_no_figure_no_family() -> None:
    assert scrape(Measurement("mlmon.queue.depth", float("nan"))).count("# TYPE") == 1
