"""The OpenTelemetry Collector (contrib) between applications and Prometheus, Loki and Tempo, or Datadog."""

from __future__ import annotations

from typing import Any

from mlmon_sidecar.assets.plain_yaml import to_yaml
from mlmon_sidecar.export.catalog import CATALOG

GRAFANA_FILE = "otel-collector.grafana.yml"
DATADOG_FILE = "otel-collector.datadog.yml"
_COMMENT = """Made by mlmon assets for the OpenTelemetry Collector, distribution contrib.
Of the scope mlmon_sidecar only metrics of mlmon's catalogue pass; everything else passes untouched."""
_SCOPE = "mlmon_sidecar"


def grafana() -> str:
    """Metrics to Prometheus or Mimir by remote write, logs to Loki, traces to Tempo."""
    exporters = {
        "prometheusremotewrite": {
            "endpoint": "${env:PROMETHEUS_REMOTE_WRITE_URL}",
            "resource_to_telemetry_conversion": {"enabled": False},
            "target_info": {"enabled": True},
        },
        "otlphttp/loki": {"endpoint": "${env:LOKI_OTLP_URL}"},
        "otlphttp/tempo": {"endpoint": "${env:TEMPO_OTLP_URL}"},
    }
    return _document(exporters, "prometheusremotewrite", "otlphttp/loki", "otlphttp/tempo", delta=False)


def datadog() -> str:
    """Everything to Datadog. Its intake of metrics takes differences: cumulative sums become deltas here."""
    exporters = {
        "datadog": {
            "api": {"site": "${env:DD_SITE}", "key": "${env:DD_API_KEY}"},
            "metrics": {"histograms": {"mode": "distributions"}},
        }
    }
    return _document(exporters, "datadog", "datadog", "datadog", delta=True)


def _document(exporters: dict[str, Any], metrics: str, logs: str, traces: str, *, delta: bool) -> str:
    first = ["memory_limiter"]
    processors: dict[str, Any] = {
        "memory_limiter": {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20},
        "filter/mlmon": {"error_mode": "ignore", "metrics": {"metric": [_unknown()]}},
        "batch": {"send_batch_size": 1024, "send_batch_max_size": 2048, "timeout": "5s"},
    }  # fmt: skip
    if delta:
        processors["cumulativetodelta"] = {}
    converted = ["cumulativetodelta"] if delta else []
    pipelines = {
        "metrics": _pipeline([*first, "filter/mlmon", *converted, "batch"], metrics),
        "logs": _pipeline([*first, "batch"], logs),
        "traces": _pipeline([*first, "batch"], traces),
    }
    document = {
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:4317"}, "http": {"endpoint": "127.0.0.1:4318"}}}
        },
        "processors": processors,
        "exporters": exporters,
        "service": {"pipelines": pipelines},
    }
    return to_yaml(document, _COMMENT)


def _pipeline(processors: list[str], exporter: str) -> dict[str, Any]:
    return {"receivers": ["otlp"], "processors": processors, "exporters": [exporter]}


def _unknown() -> str:
    """An OTTL condition that holds for the metrics that are to be dropped."""
    names = "|".join(name.replace(".", "\\\\.") for name in CATALOG)
    return f'instrumentation_scope.name == "{_SCOPE}" and not IsMatch(name, "^({names})$")'
