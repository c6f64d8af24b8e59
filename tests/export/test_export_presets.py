"""A preset is what the place's documentation asks for, and every setting and variable still wins over it."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from mlmon_sidecar.export.options import ExportOptions, ExportSettings
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.export.presets import with_preset
from mlmon_sidecar.records import Measurement
from mlmon_sidecar.telemetry import Telemetry

GRAFANA = {
    "GRAFANA_CLOUD_INSTANCE_ID": "12345",
    "GRAFANA_CLOUD_API_KEY": "glc_secret",
    "GRAFANA_CLOUD_ZONE": "prod-eu-west-0",
}


def options(preset: str, environ: dict[str, str], **settings: Any) -> ExportOptions:
    return ExportOptions.from_environment(with_preset(preset, ExportSettings(**settings), environ), environ)


def test_grafana_cloud() -> None:
    made = options("grafana-cloud", GRAFANA)
    assert made.metrics is not None and made.logs is not None
    assert made.metrics.endpoint == "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp/v1/metrics"
    assert made.logs.endpoint == "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp/v1/logs"
    scheme, _, secret = made.metrics.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(secret)) == ("Basic", b"12345:glc_secret")
    assert (made.temporality, made.metrics.compression) == ("cumulative", "gzip")


@pytest.mark.parametrize(("site", "host"), [(None, "otlp.datadoghq.com"), ("datadoghq.eu", "otlp.datadoghq.eu")])
def test_datadog(site: str | None, host: str) -> None:
    made = options("datadog", {"DD_API_KEY": "k3y"} | ({"DD_SITE": site} if site else {}))
    assert made.metrics is not None and made.logs is not None
    assert (made.metrics.endpoint, made.logs.endpoint) == (f"https://{host}/v1/metrics", f"https://{host}/v1/logs")
    assert made.metrics.headers == {"dd-api-key": "k3y"}
    assert (made.temporality, made.metrics.compression) == ("delta", "gzip")


@pytest.mark.parametrize(
    ("protocol", "endpoint"), [("http/protobuf", "http://agent:4318/v1/metrics"), ("grpc", "http://agent:4317")]
)
def test_datadog_agent(protocol: str, endpoint: str) -> None:
    made = options("datadog-agent", {"DD_AGENT_HOST": "agent"}, protocol=protocol)
    assert made.metrics is not None
    assert (made.metrics.endpoint, made.temporality, made.metrics.headers) == (endpoint, "delta", {})


def test_what_is_said_wins() -> None:
    environ = {**GRAFANA, "OTEL_EXPORTER_OTLP_COMPRESSION": "none", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=other"}
    made = options("grafana-cloud", environ, endpoint="http://own:4318", headers={"x-scope": "a"})
    assert made.metrics is not None
    assert made.metrics.endpoint == "http://own:4318/v1/metrics"
    assert made.metrics.headers == {"x-scope": "a", "authorization": "other"}
    assert made.metrics.compression == "none"


@pytest.mark.parametrize("preset", ["grafana-cloud", "datadog"])
def test_without_credentials_nothing_is_sent_and_the_variable_is_named(
    preset: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = options(preset, {"GRAFANA_CLOUD_INSTANCE_ID": "12345", "DD_API_KEY": " "})
    assert not made.enabled
    (said,) = [one.getMessage() for one in caplog.records if one.name == "mlmon_sidecar"]
    assert ("GRAFANA_CLOUD_API_KEY" if preset == "grafana-cloud" else "DD_API_KEY") in said and "12345" not in said


def test_a_zone_is_not_needed_with_an_endpoint() -> None:
    environ = {name: value for name, value in GRAFANA.items() if "ZONE" not in name}
    assert options("grafana-cloud", environ, endpoint="http://own:4318").enabled


@pytest.mark.parametrize("preset", ["none", "prometheus"])
def test_the_others_change_nothing(preset: str) -> None:
    assert not options(preset, {**GRAFANA, "DD_API_KEY": "k3y"}).enabled


def test_datadog_gets_differences_compressed_under_its_limit(raw: Any, clock: Any) -> None:
    environ = {"DD_API_KEY": "k3y", "OTEL_METRIC_EXPORT_INTERVAL": "3600000", "OTEL_LOGS_EXPORTER": "none"}
    value = 5
    made = options("datadog", environ, endpoint=raw.url)
    exporter = Exporter(made, [lambda: [Measurement("mlmon.predictions", value)]], Telemetry(), clock)
    exporter.start()
    assert exporter.flush(20)
    value = 12
    assert exporter.flush(20)
    exporter.shutdown(5)
    found = []
    for request in raw.requests[:2]:
        assert (request.headers["dd-api-key"], request.headers["content-encoding"]) == ("k3y", "gzip")
        body = gzip.decompress(request.body)
        assert len(body) < 500_000
        (resource,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
        metric = next(one for one in resource.scope_metrics[0].metrics if one.name == "mlmon.predictions")
        assert metric.sum.aggregation_temporality == 1
        found.append(metric.sum.data_points[0].as_int)
    assert found == [5, 7]
