"""The application set OpenTelemetry up itself: its span is joined, its providers are used, ours stay away."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from mlmon_sidecar.export.catalog import MODEL_NAME, PREDICTION_ID, RECORDER
from mlmon_sidecar.export.host import DURATION
from mlmon_sidecar.export.otel_spans import HostSpanHook
from mlmon_sidecar.statistics.layout import DURATION_EDGES


def attributes(message: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


# ---------------------------------------------------------------- spans


def test_the_application_s_span_carries_our_attributes(tap: Any) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{tap.url}/v1/traces")))
    tracer, hook = provider.get_tracer("application"), HostSpanHook()
    with tracer.start_as_current_span("POST /score", attributes={"http.route": "/score"}) as opened:
        current = hook.current()
        assert current is not None
        span, trace_id, span_id, sampled = current
        context = opened.get_span_context()
        assert (trace_id, span_id, sampled) == (context.trace_id, context.span_id, True)
        hook.join(span, "0190-id", "fraud")
    with tracer.start_as_current_span("POST /other"):
        hook.join(trace.get_current_span(), "0190-other", "fraud")
    arrived = tap.wait("spans", lambda span: span.name == "POST /score")
    assert attributes(arrived) == {
        "http.route": "/score",
        PREDICTION_ID: "0190-id",
        MODEL_NAME: "fraud",
    }
    other = tap.wait("spans", lambda span: span.name == "POST /other")
    assert attributes(other) == {PREDICTION_ID: "0190-other", MODEL_NAME: "fraud"}
    provider.shutdown()


def test_no_span_no_hook() -> None:
    assert HostSpanHook().current() is None


def test_a_span_that_is_not_sampled_is_seen_and_left_alone() -> None:
    provider, hook = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False), HostSpanHook()
    with provider.get_tracer("application").start_as_current_span("POST /score"):
        current = hook.current()
        assert current is not None
        span, trace_id, _, sampled = current
        assert trace_id and not sampled
        span.set_attributes = None  # a call would raise
        hook.join(span, "0190-id", "fraud")


def test_an_ended_span_is_left_alone() -> None:
    hook, provider = HostSpanHook(), TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("application").start_span("POST /score")
    span.end()
    hook.join(span, "0190-id", "fraud")  # would warn, and a warning is an error here
    assert not span.attributes


# ---------------------------------------------------------------- providers; globals can be set once a process

HOST = """
import logging, sys
logging.lastResort.setLevel(logging.DEBUG)
tap, ours = sys.argv[1:]
from opentelemetry import metrics
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.export.options import ExportOptions, ExportSettings
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.records import Distribution, Event, Measurement
from mlmon_sidecar.statistics.layout import DURATION_EDGES
from mlmon_sidecar.telemetry import Telemetry

meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{tap}/v1/metrics"), 3600_000)])
loggers = LoggerProvider()
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{tap}/v1/logs")))
metrics.set_meter_provider(meters)
set_logger_provider(loggers)

calls = []
def durations(times):
    return tuple((times if edge in (0.05, 0.1) else 2 * times if edge == 0.25 else 0) for edge in (*DURATION_EDGES, 0))

def source():
    calls.append(1)
    return [Measurement("mlmon.predictions", 10 * len(calls), (("mlmon.model.name", "fraud"),)),
            Measurement("mlmon.window.samples", 7),
            Measurement("process.thread.count", 3),
            Distribution("mlmon.prediction.duration", DURATION_EDGES, durations(len(calls)), 0.5 * len(calls))]

options = ExportOptions.from_environment(ExportSettings(endpoint=ours), {})
exporter = Exporter(options, [source], Telemetry(), SystemClock(), instance_id="worker-1")
exporter.start()
exporter.event(Event("mlmon.alert", "The score collapsed.", 1, trace_id=5, span_id=6))
assert {outcome.text for outcome in exporter.last_outcome().values()} == {"host"}
assert exporter.flush(20)
assert meters.force_flush() and len(calls) == 1, calls
assert meters.force_flush() and len(calls) == 2, calls
exporter.reset_after_fork("worker-2")
assert meters.force_flush() and len(calls) == 3, calls
assert exporter.shutdown(5) and len(calls) == 4, calls
assert exporter.shutdown(5)
assert meters.force_flush() and len(calls) == 4, calls
assert metrics.get_meter_provider() is meters
loggers.shutdown(); meters.shutdown()
"""


def test_figures_and_events_go_through_the_application_s_providers(tap: Any, raw: Any) -> None:
    command = [sys.executable, "-W", "error", "-c", HOST, tap.url, raw.url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = tap.metric("mlmon.predictions"), tap.metric("mlmon.predictions", 1)
    assert first.sum.is_monotonic and first.unit == "{prediction}"
    assert [metric.sum.data_points[0].as_int for metric in (first, second)] == [10, 20]
    assert attributes(first.sum.data_points[0]) == {MODEL_NAME: "fraud", RECORDER: "worker-1"}
    (point,) = tap.metric("mlmon.predictions", 2).sum.data_points
    assert attributes(point)[RECORDER] == "worker-2"
    (point,) = tap.metric("mlmon.predictions", 3).sum.data_points
    assert point.as_int == 40, "the last figures, before it is closed"
    assert tap.metric("mlmon.window.samples").gauge.data_points[0].as_int == 7
    assert not tap.metric("process.thread.count").sum.is_monotonic
    one, two = tap.metric(DURATION).histogram.data_points[0], tap.metric(DURATION, 1).histogram.data_points[0]
    assert tuple(one.explicit_bounds) == DURATION_EDGES and attributes(one) == {RECORDER: "worker-1"}
    assert [(point.count, round(point.sum, 9)) for point in (one, two)] == [(4, 0.5), (8, 1.0)]
    assert [count for count in two.bucket_counts if count] == [2, 2, 4], "each in its own bucket"
    record = tap.wait("logs", lambda record: record.event_name == "mlmon.alert")
    assert int.from_bytes(record.trace_id) == 5 and int.from_bytes(record.span_id) == 6
    assert not raw.requests, "our own pipelines stay away"


SWITCHED_OFF = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.export.options import ExportOptions, ExportSettings
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.records import Measurement
from mlmon_sidecar.telemetry import Telemetry
metrics.set_meter_provider(MeterProvider([reader := InMemoryMetricReader()]))
options = ExportOptions.from_environment(ExportSettings(), {"OTEL_SDK_DISABLED": "true"})
Exporter(options, [lambda: [Measurement("mlmon.window.samples", 7)]], Telemetry(), SystemClock()).start()
assert reader.get_metrics_data() is None
"""


def test_the_switch_keeps_us_out_of_the_application_s_providers_too() -> None:
    subprocess.run([sys.executable, "-c", SWITCHED_OFF], check=True, timeout=120)


FORKED = """
import os, warnings
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.export.options import ExportOptions, ExportSettings
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.records import Measurement
from mlmon_sidecar.telemetry import Telemetry
metrics.set_meter_provider(MeterProvider([reader := InMemoryMetricReader()]))
options = ExportOptions.from_environment(ExportSettings(), {})

def start(value, name):
    source = lambda: [Measurement("mlmon.predictions", value, (("mlmon.model.name", "m"),))]
    exporter = Exporter(options, [source], Telemetry(), SystemClock(), instance_id=name)
    exporter.start()
    return exporter

def points():
    data = reader.get_metrics_data()
    found = data.resource_metrics if data is not None else []
    every = [metric for resource in found for scope in resource.scope_metrics for metric in scope.metrics]
    return [(p.attributes["mlmon.recorder"], p.value) for m in every if m.name == "mlmon.predictions"
            for p in m.data.data_points]

parent = start(5, "parent")
assert points() == [("parent", 5)], points()
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    try:
        assert points() == [], "a parent's figures are not its child's"
        start(7, "child")
        assert points() == [("child", 7)], points()
        os._exit(0)
    except BaseException as error:
        print(error, flush=True)
        os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert points() == [("parent", 5)]
parent.shutdown(5)
again = start(6, "again")
assert points() == [("again", 6)]
"""


def test_instruments_are_made_once_whatever_forks_and_starts_again() -> None:
    command = [sys.executable, "-W", "error", "-c", FORKED]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "the SDK warns of an instrument made twice"
