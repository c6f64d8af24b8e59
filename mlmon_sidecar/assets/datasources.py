"""Grafana's provisioning: the dashboards' folder, and data sources that lead from log to trace to metric and back."""

from __future__ import annotations

from mlmon_sidecar.assets.plain_yaml import to_yaml
from mlmon_sidecar.assets.query import How, Query
from mlmon_sidecar.export.catalog import MODEL_NAME

DASHBOARDS_FILE = "provisioning/dashboards/mlmon.yml"
SOURCES_FILE = "provisioning/datasources/mlmon.yml"
DASHBOARDS_PATH = "/var/lib/grafana/dashboards/mlmon"
_METRICS, _LOGS, _TRACES = "mlmon-prometheus", "mlmon-loki", "mlmon-tempo"


def dashboards() -> str:
    provider = {
        "name": "mlmon",
        "folder": "mlmon",
        "type": "file",
        "options": {"path": DASHBOARDS_PATH},
    }
    return to_yaml({"apiVersion": 1, "providers": [provider]}, f"Put the dashboards into {DASHBOARDS_PATH}.")


def sources() -> str:
    """A prediction's log record and its application's span share the trace id; metrics are led to by the model, and
    lead back by the exemplars of their histograms."""
    trace = {"name": "trace_id", "matcherType": "label", "matcherRegex": "trace_id", "url": "$${__value.raw}"}
    speed = Query("mlmon.prediction.duration", How.P95, (MODEL_NAME,)).promql("5m", "$__tags")
    documents = [
        {"name": "mlmon Prometheus", "uid": _METRICS, "type": "prometheus", "access": "proxy",
         "url": "${PROMETHEUS_URL}",
         "jsonData": {"exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": _TRACES}]}},
        {"name": "mlmon Loki", "uid": _LOGS, "type": "loki", "access": "proxy", "url": "${LOKI_URL}",
         "jsonData": {"derivedFields": [{**trace, "datasourceUid": _TRACES}]}},
        {"name": "mlmon Tempo", "uid": _TRACES, "type": "tempo", "access": "proxy", "url": "${TEMPO_URL}",
         "jsonData": {
             "tracesToLogsV2": {"datasourceUid": _LOGS, "filterByTraceID": True, "spanStartTimeShift": "-5m",
                                "spanEndTimeShift": "5m", "tags": [{"key": "service.name", "value": "service_name"}]},
             "tracesToMetrics": {"datasourceUid": _METRICS,
                                 "tags": [{"key": MODEL_NAME, "value": MODEL_NAME.replace(".", "_")}],
                                 "queries": [{"name": "Duration, p95", "query": speed}]}}},
    ]  # fmt: skip
    comment = "PROMETHEUS_URL, LOKI_URL and TEMPO_URL are variables of Grafana's environment."
    return to_yaml({"apiVersion": 1, "datasources": documents}, comment)
