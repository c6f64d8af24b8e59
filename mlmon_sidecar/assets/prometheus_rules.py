"""``mlmon.rules.yml`` for Prometheus and Mimir, and ``mlmon.rules.test.yml`` for ``promtool test rules``."""

from __future__ import annotations

import re
from typing import Any

from mlmon_sidecar.assets.alerts import ALERTS, Alert, Series
from mlmon_sidecar.assets.fleet import FLEET
from mlmon_sidecar.assets.plain_yaml import to_yaml
from mlmon_sidecar.assets.query import How, Query
from mlmon_sidecar.export.catalog import FEATURE, MODEL_NAME, REQUEST_OUTCOME
from mlmon_sidecar.export.prometheus import label_name, prometheus_name

RULES_FILE = "mlmon.rules.yml"
TESTS_FILE = "mlmon.rules.test.yml"
WINDOW = "5m"
_AT = "30m"  # of a test: long after every alert's time
_MODEL = (MODEL_NAME,)

RECORDED: dict[str, Query] = {
    "mlmon_model:mlmon_requests:rate5m": Query("mlmon.requests", How.RATE, _MODEL),
    "mlmon_model:mlmon_predictions:rate5m": Query("mlmon.predictions", How.RATE, _MODEL),
    "mlmon_model:mlmon_server_errors:ratio_rate5m": Query(
        "mlmon.requests", How.SHARE, _MODEL, ((REQUEST_OUTCOME, "server_error"),)
    ),
    "mlmon_model:mlmon_prediction_duration_seconds:p50_rate5m": Query("mlmon.prediction.duration", How.P50, _MODEL),
    "mlmon_model:mlmon_prediction_duration_seconds:p95_rate5m": Query("mlmon.prediction.duration", How.P95, _MODEL),
    "mlmon_model:mlmon_prediction_duration_seconds:p99_rate5m": Query("mlmon.prediction.duration", How.P99, _MODEL),
    "mlmon_model:mlmon_alert_state:max": Query("mlmon.alert.state", How.MAX, _MODEL),
    "mlmon_feature:mlmon_feature_drift_evidence:max": Query(
        "mlmon.feature.drift.evidence", How.MAX, (*_MODEL, FEATURE)
    ),
}
"""Rule to what it records, named ``level:metric:operation`` as Prometheus advises."""


def rules() -> str:
    """Recording rules, then alerts."""
    recorded = [{"record": name, "expr": query.promql(WINDOW)} for name, query in RECORDED.items()]
    fleet = [{"record": name, "expr": expr} for name, expr in FLEET.items()]
    groups = [
        {"name": "mlmon-recording", "interval": "1m", "rules": recorded},
        {"name": "mlmon-fleet-drift", "interval": "1m", "rules": fleet},
        {"name": "mlmon-alerts", "rules": [_rule(alert) for alert in ALERTS]},
    ]
    return to_yaml({"groups": groups}, "Recording and alerting rules for Prometheus and Mimir, made by mlmon assets.")


def tests() -> str:
    """Every alert on series that fire it and on series that do not."""
    cases = [case for alert in ALERTS for case in (_case(alert, fires=True), _case(alert, fires=False))]
    document = {"rule_files": [RULES_FILE], "evaluation_interval": "1m", "tests": cases}
    return to_yaml(document, f"promtool test rules {TESTS_FILE}")


def _rule(alert: Alert) -> dict[str, Any]:
    expr = f"{alert.query.promql(f'{alert.window_minutes}m')} {alert.comparison} {alert.threshold:g}"
    return {
        "alert": alert.name,
        "expr": expr,
        "for": f"{alert.minutes}m",
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": _filled(alert.sentence, lambda key: f"{{{{ $labels.{label_name(key)} }}}}"),
            "description": alert.advice,
        },
    }


def _filled(sentence: str, value: Any) -> str:
    return re.sub(r"\{([a-z._]+)\}", lambda found: str(value(found[1])), sentence)


def _case(alert: Alert, *, fires: bool) -> dict[str, Any]:
    series = alert.fires if fires else alert.quiet
    known = {key: value for one in alert.fires for key, value in one.attributes if key in alert.query.by}
    labels = {label_name(key): value for key, value in known.items()} | {"severity": alert.severity}
    said = {"summary": _filled(alert.sentence, known.get), "description": alert.advice}
    return {
        "name": f"{alert.name} {'fires' if fires else 'is quiet'}",
        "interval": "1m",
        "input_series": [{"series": _series(alert, one), "values": one.values} for one in series],
        "alert_rule_test": [
            {
                "eval_time": _AT,
                "alertname": alert.name,
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": said}] if fires else [],
            }
        ],
    }


def _series(alert: Alert, one: Series) -> str:
    labels = ", ".join(f'{label_name(key)}="{value}"' for key, value in one.attributes)
    return f"{prometheus_name(alert.query.known)}{{{labels}}}" if labels else prometheus_name(alert.query.known)
