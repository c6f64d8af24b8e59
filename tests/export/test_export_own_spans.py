"""Spans of our own on their way: counted as log records are, with the resource of the process, and sampled as asked."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from whole_catalog import Rotel, free_port, rotel_agent

from mlmon_sidecar.export import own_spans
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.records import End, Exchange
from mlmon_sidecar.telemetry import Telemetry

SOON = 20.0
ONLY = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


def exchange(number: int, **changes: Any) -> Exchange:
    made = Exchange(
        f"id-{number}", "m", "POST", "/score", 10, 20, 30, 200, End.COMPLETE, "", (), (), 0, (), (), 0, 0, 0, False, (),
    )  # fmt: skip
    return made._replace(**changes)


def exporter(options: Any, clock: Any, telemetry: Telemetry) -> Exporter:
    made = Exporter(options, [], telemetry, clock)
    made.start()
    return made


def spans(raw: Any) -> list[Any]:
    found = [ExportTraceServiceRequest.FromString(request.body) for request in raw.requests]
    return [s for one in found for r in one.resource_spans for scope in r.scope_spans for s in scope.spans]


def test_each_loss_is_counted(raw: Any, clock: Any, options_for: Any) -> None:
    telemetry = Telemetry()
    environ = {**ONLY, "OTEL_BLRP_MAX_QUEUE_SIZE": "3", "OTEL_SERVICE_NAME": "loans"}
    raw.statuses = [503, 200]
    sender = exporter(options_for(raw.url, environ, spans=True, timeout_seconds=0.5), clock, telemetry)
    traced = [sender.trace(exchange(n), "/score", "/score") for n in range(5)]
    assert not sender.flush(SOON)
    assert sender.last_outcome()["traces"].text == "failed: 503"
    assert sender.flush(SOON)
    raw.statuses = [400]
    sender.trace(exchange(6), "", "/score")
    assert sender.shutdown(SOON)
    assert telemetry.snapshot() == {
        "export.failures.traces.503": 1,
        "export.failures.traces.400": 1,
        "spans.dropped.queue_full": 2,
        "spans.dropped.export_failed": 1,
    }
    assert [request.path for request in raw.requests] == ["/v1/traces"] * 3
    assert [int.from_bytes(span.span_id) for span in spans(raw)[3:6]] == [one.span_id for one in traced[:3]]
    (resource,) = ExportTraceServiceRequest.FromString(raw.requests[1].body).resource_spans
    said = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert said["service.name"] == "loans" and said["service.instance.id"]
    assert [span.name for span in spans(raw)[5:]] == ["POST /score", "POST"], "without a route the method alone"


def test_what_is_in_a_trace_already_is_left_alone(raw: Any, clock: Any, options_for: Any) -> None:
    sender = exporter(options_for(raw.url, ONLY, spans=True), clock, Telemetry())
    joined = exchange(1, trace_id=5, span_id=6, trace_sampled=True)
    assert sender.trace(joined, "/score", "/score") is joined
    assert sender.shutdown(SOON) and raw.requests == []
    assert sender.trace(exchange(2), "/score", "/score") == exchange(2), "after the end there is none"


def test_who_traces_himself_gets_none(raw: Any, clock: Any, options_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for options in (
        options_for(raw.url, ONLY),
        options_for(raw.url, {**ONLY, "OTEL_TRACES_EXPORTER": "none"}, spans=True),
    ):
        sender = exporter(options, clock, Telemetry())
        assert sender.trace(exchange(1), "", "/") == exchange(1) and "traces" not in sender.last_outcome()
        sender.shutdown(SOON)
    monkeypatch.setitem(own_spans.sys.modules, "ddtrace.trace", own_spans)
    sender = exporter(options_for(raw.url, ONLY, spans=True), clock, Telemetry())
    assert sender.trace(exchange(1), "", "/") == exchange(1)
    sender.shutdown(SOON)


def test_the_standard_sampler_is_asked(raw: Any, clock: Any, options_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    sender = exporter(options_for(raw.url, ONLY, spans=True), clock, Telemetry())
    traced = sender.trace(exchange(1), "", "/")
    assert not traced.trace_sampled
    assert sender.shutdown(SOON) and raw.requests == []


def test_odd_methods_and_failures(raw: Any, clock: Any, options_for: Any) -> None:
    sender = exporter(options_for(raw.url, ONLY, spans=True), clock, Telemetry())
    sender.trace(exchange(1, method="BREW"), "", "/x" * 500)
    sender.trace(exchange(2, end=End.ERROR, error_type="KeyError", status=0), "", "/")
    sender.trace(exchange(3, end=End.ERROR, status=0), "", "/")
    assert sender.flush(SOON)
    told = [(s.name, s.status.code, {p.key: p.value.string_value for p in s.attributes}) for s in spans(raw)]
    assert [name for name, _, _ in told] == ["HTTP", "POST", "POST"]
    assert told[0][2]["http.request.method"] == "_OTHER" and len(told[0][2]["url.path"]) == own_spans.MAX_PATH
    assert [(code, said.get("error.type")) for _, code, said in told] == [(0, None), (2, "KeyError"), (2, "_OTHER")]
    sender.shutdown(SOON)


def test_rotel_takes_them_over_grpc(tmp_path: Any, clock: Any, options_for: Any) -> None:
    program = rotel_agent()
    if program is None:
        pytest.skip("the package rotel is not installed")
    rotel = Rotel(program, tmp_path, (free_port(), free_port()))
    try:
        telemetry = Telemetry()
        sender = exporter(options_for(rotel.grpc, ONLY, protocol="grpc", spans=True), clock, telemetry)
        traced = sender.trace(exchange(1), "/score", "/score")
        assert sender.flush(SOON), sender.last_outcome()
        text = rotel.wait(lambda text: f"{traced.span_id:016x}" in text)
        assert f"{traced.trace_id:032x}" in text and "POST /score" in text
        assert sender.shutdown(SOON) and telemetry.snapshot() == {}
    finally:
        rotel.close()
