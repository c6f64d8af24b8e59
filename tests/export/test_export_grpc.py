"""OTLP over gRPC, against a real gRPC server of the published service definitions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc

from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.records import Event, Measurement
from mlmon_sidecar.telemetry import Telemetry

SOON = 20.0


class Server(metrics_grpc.MetricsServiceServicer, logs_grpc.LogsServiceServicer):
    """Both services under one ``Export``: they differ only in the types of request and answer."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.refuse = False
        self._server = grpc.server(ThreadPoolExecutor(2))
        metrics_grpc.add_MetricsServiceServicer_to_server(self, self._server)
        logs_grpc.add_LogsServiceServicer_to_server(self, self._server)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.headers.append(dict(context.invocation_metadata()))
        if self.refuse:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        if isinstance(request, logs.ExportLogsServiceRequest):
            return logs.ExportLogsServiceResponse()
        return metrics.ExportMetricsServiceResponse()

    def close(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def test_metrics_and_events_over_grpc(server: Server, clock: Any, options_for: Any) -> None:
    options = options_for(server.url, protocol="grpc", headers={"API-Key": "s3cret"})
    exporter = Exporter(options, [lambda: [Measurement("mlmon.window.samples", 7)]], Telemetry(), clock)
    exporter.start()
    exporter.event(Event("mlmon.alert", "The score collapsed.", 1))
    assert exporter.flush(SOON) and exporter.shutdown(SOON)
    (request,) = [r for r in server.requests if isinstance(r, logs.ExportLogsServiceRequest)]
    assert request.resource_logs[0].scope_logs[0].log_records[0].event_name == "mlmon.alert"
    request = next(r for r in server.requests if isinstance(r, metrics.ExportMetricsServiceRequest))
    names = [metric.name for metric in request.resource_metrics[0].scope_metrics[0].metrics]
    assert names == ["mlmon.window.samples"]
    assert all(headers["api-key"] == "s3cret" for headers in server.headers)


def test_a_refusal_over_grpc_is_counted(server: Server, clock: Any, options_for: Any) -> None:
    server.refuse = True
    telemetry = Telemetry()
    options = options_for(server.url, {"OTEL_LOGS_EXPORTER": "none"}, protocol="grpc")
    exporter = Exporter(options, [lambda: [Measurement("mlmon.window.samples", 7)]], telemetry, clock)
    exporter.start()
    assert not exporter.flush(SOON)
    assert exporter.last_outcome()["metrics"].text == "failed: PERMISSION_DENIED"
    assert telemetry.snapshot() == {"export.failures.metrics.PERMISSION_DENIED": 1}
    exporter.shutdown(SOON)
