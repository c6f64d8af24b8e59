"""Figures and events at a receiver nobody here wrote, and at one that shows the raw requests."""

from __future__ import annotations

import gzip
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
)

from mlmon_sidecar.export.catalog import CATALOG, FEATURE, MODEL_NAME, MODEL_VERSION, PREDICTION_EVENT, PREDICTION_ID
from mlmon_sidecar.export.options import ExportOptions
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.interfaces import Source
from mlmon_sidecar.records import Distribution, Event, Measurement, Severity
from mlmon_sidecar.resources.process import ProcessSource
from mlmon_sidecar.telemetry import Telemetry
from mlmon_sidecar.version import __version__

SOON = 20.0
FRAUD = ((MODEL_NAME, "fraud"), (MODEL_VERSION, "v18"))
Make = Callable[..., Exporter]


@pytest.fixture
def make(clock: Any) -> Iterator[Make]:
    """An exporter that is shut down at the end without waiting."""
    made: list[Exporter] = []

    def build(options: ExportOptions, *sources: Source, telemetry: Telemetry | None = None, **more: Any) -> Exporter:
        exporter = Exporter(options, sources, telemetry or Telemetry(), clock, **more)
        made.append(exporter)
        exporter.start()
        return exporter

    yield build
    for exporter in made:
        exporter.shutdown(0.0)


def attributes(point: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in point.attributes}


def export_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("mlmon-export-")]


class Figures:
    """A source whose answers the test sets."""

    def __init__(self, *figures: Measurement | Distribution) -> None:
        self.now: Sequence[Measurement | Distribution] = figures

    def __call__(self) -> Sequence[Measurement | Distribution]:
        return self.now


# ---------------------------------------------------------------- metrics


def test_every_kind_arrives_cumulative(tap: Any, clock: Any, make: Make, options_for: Any) -> None:
    source = Figures(
        Measurement("mlmon.predictions", 5, FRAUD),
        Measurement("mlmon.feature.mean", 41.5, (*FRAUD, (FEATURE, "age"))),
        Measurement("process.thread.count", 9),
        Distribution("mlmon.prediction.duration", (0.01, 0.1), (3, 1, 1), 0.75, FRAUD),
    )
    start_ns = clock.now_ns
    exporter = make(options_for(tap.url), source)
    clock.advance(60)
    assert exporter.flush(SOON)
    source.now = (
        Measurement("mlmon.predictions", 12, FRAUD),
        Distribution("mlmon.prediction.duration", (0.01, 0.1), (4, 2, 1), 0.9, FRAUD),
    )
    clock.advance(60)
    assert exporter.flush(SOON)

    counter = tap.metric("mlmon.predictions")
    (point,) = counter.sum.data_points
    assert counter.unit == "{prediction}" and counter.description == CATALOG["mlmon.predictions"].description
    assert counter.sum.is_monotonic and counter.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert (point.as_int, attributes(point)) == (5, dict(FRAUD))
    assert (point.start_time_unix_nano, point.time_unix_nano) == (start_ns, start_ns + 60 * 10**9)
    (point,) = tap.metric("mlmon.predictions", 1).sum.data_points
    assert (point.as_int, point.start_time_unix_nano) == (12, start_ns)

    (point,) = tap.metric("mlmon.feature.mean").gauge.data_points
    assert (point.as_double, attributes(point)) == (41.5, {**dict(FRAUD), FEATURE: "age"})

    threads = tap.metric("process.thread.count")
    assert not threads.sum.is_monotonic and threads.sum.data_points[0].as_int == 9

    duration = tap.metric("mlmon.prediction.duration")
    (point,) = duration.histogram.data_points
    assert duration.unit == "s" and duration.histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([0.01, 0.1], [3, 1, 1])
    assert (point.count, point.sum) == (5, 0.75)
    assert not point.HasField("min") and not point.HasField("max")
    (point,) = tap.metric("mlmon.prediction.duration", 1).histogram.data_points
    assert (list(point.bucket_counts), point.sum) == ([4, 2, 1], 0.9)
    assert exporter.last_outcome()["metrics"].text == "ok"
    assert exporter.last_outcome()["metrics"].at_ns == start_ns + 120 * 10**9


def test_delta_sends_what_came_since_the_last_export(tap: Any, clock: Any, make: Make, options_for: Any) -> None:
    source = Figures(
        Measurement("mlmon.predictions", 5, FRAUD),
        Measurement("process.thread.count", 9),
        Distribution("mlmon.prediction.duration", (0.1,), (3, 1), 0.5, FRAUD),
    )
    exporter = make(options_for(tap.url, temporality="delta"), source)
    clock.advance(60)
    first_ns = clock.now_ns
    assert exporter.flush(SOON)
    source.now = (
        Measurement("mlmon.predictions", 12, FRAUD),
        Measurement("process.thread.count", 4),
        Distribution("mlmon.prediction.duration", (0.1,), (3, 3), 1.75, FRAUD),
    )
    clock.advance(60)
    assert exporter.flush(SOON)

    counter = tap.metric("mlmon.predictions", 1)
    (point,) = counter.sum.data_points
    assert counter.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
    assert (point.as_int, point.start_time_unix_nano) == (7, first_ns)
    duration = tap.metric("mlmon.prediction.duration", 1)
    (point,) = duration.histogram.data_points
    assert duration.histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
    assert (list(point.bucket_counts), point.count, point.sum) == ([0, 2], 2, 1.25)
    threads = tap.metric("process.thread.count", 1)
    assert threads.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert threads.sum.data_points[0].as_int == 4, "a sum that may fall is never sent as a difference"


def test_low_memory_is_delta_for_histograms_alone(tap: Any, make: Make, options_for: Any) -> None:
    source = Figures(
        Measurement("mlmon.predictions", 5),
        Distribution("mlmon.prediction.duration", (0.1,), (3, 1), 0.5),
    )
    assert make(options_for(tap.url, temporality="lowmemory"), source).flush(SOON)
    assert tap.metric("mlmon.predictions").sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    duration = tap.metric("mlmon.prediction.duration").histogram
    assert duration.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA


def test_a_delta_that_was_not_taken_rides_in_the_next(raw: Any, make: Make, options_for: Any) -> None:
    raw.statuses = [400, 200]
    source = Figures(Measurement("mlmon.predictions", 5))
    exporter = make(options_for(raw.url, temporality="delta"), source)
    assert not exporter.flush(SOON)
    source.now = (Measurement("mlmon.predictions", 8),)
    assert exporter.flush(SOON)
    sent = [points(ExportMetricsServiceRequest.FromString(r.body), "mlmon.predictions") for r in raw.requests]
    assert [[point.as_int for point in found] for found in sent] == [[5], [8]]


def points(request: ExportMetricsServiceRequest, name: str) -> list[Any]:
    return [
        point
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.sum.data_points
    ]


def test_what_is_unknown_or_no_number_is_not_on_the_wire(raw: Any, make: Make, options_for: Any) -> None:
    telemetry = Telemetry()
    source = Figures(
        Measurement("mlmon.feature.mean", math.nan, FRAUD),
        Measurement("mlmon.predictions", 1, (("customer", "jane"),)),
        Measurement("secret.figure", 1),
        Measurement("mlmon.window.samples", 3),
    )
    assert make(options_for(raw.url), source, telemetry=telemetry).flush(SOON)
    (request,) = [ExportMetricsServiceRequest.FromString(r.body) for r in raw.requests]
    names = [m.name for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics]
    assert names == ["mlmon.window.samples"]
    assert b"jane" not in raw.requests[0].body
    assert telemetry.snapshot() == {"errors.export.unknown_attribute": 1, "errors.export.unknown_metric": 1}


def test_process_figures_pass_the_catalogue(tap: Any, make: Make, options_for: Any) -> None:
    telemetry = Telemetry()
    assert make(options_for(tap.url), ProcessSource(), telemetry=telemetry).flush(SOON)
    modes = {attributes(point)["cpu.mode"] for point in tap.metric("process.cpu.time").sum.data_points}
    assert modes == {"user", "system"}
    assert tap.metric("process.uptime").gauge.data_points[0].as_double > 0
    assert not telemetry.snapshot()


def test_who_we_are(raw: Any, make: Make, options_for: Any) -> None:
    environ = {"OTEL_SERVICE_NAME": "scoring", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod"}
    options = options_for(raw.url, environ, service_version="7.1")
    assert make(options, Figures(Measurement("mlmon.predictions", 1)), instance_id="worker-1").flush(SOON)
    (metrics,) = ExportMetricsServiceRequest.FromString(raw.requests[0].body).resource_metrics
    resource = attributes(metrics.resource)
    assert resource["service.name"] == "scoring"
    assert resource["service.version"] == "7.1"
    assert resource["service.instance.id"] == "worker-1"
    assert resource["deployment.environment.name"] == "prod"
    assert resource["telemetry.sdk.name"] == "opentelemetry" and resource["telemetry.sdk.language"] == "python"
    (scope,) = metrics.scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("mlmon_sidecar", __version__)


def test_worker_processes_sharing_a_configured_instance_id_differ(raw: Any, make: Make, options_for: Any) -> None:
    options = options_for(raw.url, {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-1"})
    assert make(options, Figures(Measurement("mlmon.predictions", 1))).flush(SOON)
    (metrics,) = ExportMetricsServiceRequest.FromString(raw.requests[0].body).resource_metrics
    instance = attributes(metrics.resource)["service.instance.id"]
    assert instance.startswith("pod-1-") and instance != "pod-1-"


def test_standard_variables_reach_the_wire(raw: Any, make: Make, options_for: Any) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{raw.url}/custom/path",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_LOGS_EXPORTER": "none",
    }
    exporter = make(options_for("", environ), Figures(Measurement("mlmon.predictions", 1)))
    assert exporter.flush(SOON)
    (request,) = raw.requests
    assert request.path == "/custom/path"
    assert request.headers["api-key"] == "s3cret"
    assert request.headers["content-encoding"] == "gzip"
    ExportMetricsServiceRequest.FromString(gzip.decompress(request.body))
    assert exporter.last_outcome()["logs"].text == "off"


# ---------------------------------------------------------------- events


def alert(**changes: Any) -> Event:
    given: dict[str, Any] = {
        "name": "mlmon.alert",
        "body": "Half of the rows of fraud have no age.",
        "at_ns": 1_700_000_000_000_000_123,
        "severity": Severity.ERROR,
        "attributes": ((MODEL_NAME, "fraud"), ("mlmon.alert.tier", "P1"), ("mlmon.alert.evidence", 0.5)),
        "trace_id": 0x0AF7651916CD43DD8448EB211C80319C,
        "span_id": 0xB7AD6B7169203331,
    }
    return Event(**{**given, **changes})


def test_an_event_arrives_with_its_original_trace(tap: Any, make: Make, options_for: Any) -> None:
    exporter = make(options_for(tap.url))
    exporter.event(alert())
    exporter.event(alert(body="without a trace", trace_id=0, span_id=0, severity=Severity.INFO))
    assert exporter.flush(SOON)
    record = tap.wait("logs", lambda record: record.trace_id)
    assert record.event_name == "mlmon.alert"
    assert record.body.string_value == "Half of the rows of fraud have no age."
    assert (record.severity_text, record.severity_number) == ("ERROR", 17)
    assert record.time_unix_nano == 1_700_000_000_000_000_123
    assert record.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert record.span_id.hex() == "b7ad6b7169203331"
    assert attributes(record) == {MODEL_NAME: "fraud", "mlmon.alert.tier": "P1", "mlmon.alert.evidence": 0.5}
    plain = tap.wait("logs", lambda record: record.body.string_value == "without a trace")
    assert not plain.trace_id and not plain.span_id
    assert exporter.last_outcome()["logs"].text == "ok"


def bodies(requests: Sequence[Any]) -> list[list[str]]:
    return [
        [
            record.body.string_value
            for resource in ExportLogsServiceRequest.FromString(request.body).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        for request in requests
    ]


def test_what_the_event_table_does_not_know_is_not_on_the_wire(raw: Any, make: Make, options_for: Any) -> None:
    telemetry = Telemetry()
    exporter = make(options_for(raw.url, {"OTEL_METRICS_EXPORTER": "none"}), telemetry=telemetry)
    exporter.event(alert(name="mlmon.surprise", body="no"))
    exporter.event(alert(attributes=(("customer", "jane"), (MODEL_NAME, "fr\ud800aud"))))
    assert exporter.flush(SOON)
    assert len(raw.requests) == 1 and b"jane" not in raw.requests[0].body and b"fr?aud" in raw.requests[0].body
    assert telemetry.snapshot() == {"errors.export.unknown_event": 1, "errors.export.unknown_attribute": 1}


def test_predictions_are_sampled(raw: Any, make: Make, options_for: Any) -> None:
    events = [
        alert(name=PREDICTION_EVENT, body=f"{n}", attributes=((PREDICTION_ID, f"id-{n}"),), severity=Severity.INFO)
        for n in range(100)
    ]
    for rate in (0.0, 0.5):
        options = options_for(raw.url, {"OTEL_METRICS_EXPORTER": "none"}, prediction_logs=rate)
        exporter = make(options)
        for event in events:
            exporter.event(event)
        assert exporter.flush(SOON)
        expected = [f"{n}" for n in range(100) if options.keeps_prediction(f"id-{n}")]
        assert [body for batch in bodies(raw.requests) for body in batch] == expected


def test_batches_are_repeated_until_taken_and_the_queue_is_bounded(raw: Any, make: Make, options_for: Any) -> None:
    environ = {
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_BLRP_MAX_QUEUE_SIZE": "5",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "2",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5",  # below the exporter's first back-off: one request an attempt
    }
    telemetry = Telemetry()
    raw.statuses = [503, 200]
    exporter = make(options_for(raw.url, environ), telemetry=telemetry)
    for number in range(7):
        exporter.event(alert(body=f"{number}"))
    assert not exporter.flush(SOON)
    assert exporter.last_outcome()["logs"].text == "failed: 503"
    assert exporter.flush(SOON)
    assert bodies(raw.requests) == [["0", "1"], ["0", "1"], ["2", "3"], ["4"]]
    assert telemetry.snapshot() == {"events.dropped.queue_full": 2, "export.failures.logs.503": 1}


def test_what_the_collector_will_never_take_is_counted_and_let_go(raw: Any, make: Make, options_for: Any) -> None:
    telemetry = Telemetry()
    raw.statuses = [400, 200]
    exporter = make(options_for(raw.url, {"OTEL_METRICS_EXPORTER": "none"}), telemetry=telemetry)
    exporter.event(alert(body="refused"))
    exporter.flush(SOON)
    exporter.event(alert(body="taken"))
    assert exporter.flush(SOON)
    assert bodies(raw.requests) == [["refused"], ["taken"]]
    assert telemetry.snapshot() == {"events.dropped.export_failed": 1, "export.failures.logs.400": 1}
    raw.statuses = [400, 200]
    exporter.event(alert(body="refused again"))
    assert not exporter.flush(SOON)
    assert exporter.flush(SOON), "an old failure is not this flush's"


# ---------------------------------------------------------------- nothing configured


def test_nothing_configured_starts_no_thread_and_opens_no_socket(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    before = set(export_threads())
    monkeypatch.setattr(socket, "socket", forbidden)
    exporter = make(ExportOptions(), Figures(Measurement("mlmon.predictions", 1)))
    exporter.event(alert())
    assert exporter.flush(0.0) and exporter.shutdown(0.0)
    assert set(export_threads()) == before
    assert {signal: outcome.text for signal, outcome in exporter.last_outcome().items()} == {
        "metrics": "off",
        "logs": "off",
    }


# ---------------------------------------------------------------- fork

FORK = """
import os, sys
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.export.options import ExportOptions, ExportSettings
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.records import Measurement
from mlmon_sidecar.telemetry import Telemetry

options = ExportOptions.from_environment(ExportSettings(endpoint=sys.argv[1], interval_seconds=3600), {})
exporter = Exporter(options, [lambda: [Measurement("mlmon.window.samples", os.getpid())]], Telemetry(), SystemClock())
exporter.start()
assert exporter.flush(20)
if (child := os.fork()) == 0:
    exporter.reset_after_fork()
    os._exit(0 if exporter.flush(20) and exporter.shutdown(5) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert exporter.flush(20) and exporter.shutdown(5)
print(os.getpid(), child)
"""


def test_a_forked_child_exports_under_an_identity_of_its_own(raw: Any) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, raw.url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    seen: dict[int, set[str]] = {}
    for request in raw.requests:
        (metrics,) = ExportMetricsServiceRequest.FromString(request.body).resource_metrics
        for metric in metrics.scope_metrics[0].metrics:
            if metric.name == "mlmon.window.samples":
                instance = attributes(metrics.resource)["service.instance.id"]
                seen.setdefault(metric.gauge.data_points[0].as_int, set()).add(instance)
    parent, child = map(int, printed.split())
    assert set(seen) == {parent, child}
    assert len(seen[parent]) == len(seen[child]) == 1 and seen[parent].isdisjoint(seen[child])
