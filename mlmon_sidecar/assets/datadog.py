"""A Datadog dashboard and monitors. Metrics keep their OpenTelemetry names there; attributes are tags."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mlmon_sidecar.assets.alerts import ALERTS, Alert
from mlmon_sidecar.assets.boards import BOARDS, Board, LogPanel, Panel
from mlmon_sidecar.assets.query import How, Query
from mlmon_sidecar.export.catalog import MODEL_NAME

DASHBOARD_FILE = "mlmon.dashboard.json"
MONITORS_FOLDER = "monitors"
_SCOPE = "$model"
_PRIORITY = {"critical": 1, "warning": 3, "info": 4}


def dashboard() -> str:
    """One dashboard; a board is a group."""
    document = {
        "title": "mlmon",
        "description": "Models in production: data, predictions, outcomes, service. Made by mlmon assets.",
        "layout_type": "ordered",
        "reflow_type": "auto",
        "template_variables": [{"name": "model", "prefix": MODEL_NAME, "available_values": [], "default": "*"}],
        "widgets": [_group(board) for board in BOARDS],
    }
    return _json(document)


def monitors() -> Mapping[str, str]:
    """File name to one monitor."""
    return {f"{_kebab(alert.name)}.json": _json(_monitor(alert)) for alert in ALERTS}


def _group(board: Board) -> dict[str, Any]:
    members = [member for _, row in board.rows for member in row]
    return {
        "definition": {
            "type": "group",
            "title": board.title.removeprefix("mlmon: ").capitalize(),
            "layout_type": "ordered",
            "widgets": [{"definition": _widget(member)} for member in members],
        }
    }


def _widget(panel: Panel | LogPanel) -> dict[str, Any]:
    if isinstance(panel, LogPanel):
        return {
            "type": "list_stream",
            "title": panel.title,
            "requests": [
                {
                    "response_format": "event_list",
                    "query": {"data_source": "logs_stream", "query_string": f"@{panel.attribute}:*", "indexes": []},
                    "columns": [
                        {"field": "timestamp", "width": "auto"},
                        {"field": "content", "width": "full"},
                    ],
                }
            ],
        }
    requests = [_request(query) for query in panel.queries]
    widget: dict[str, Any] = {"type": "timeseries", "title": panel.title, "show_legend": True, "requests": requests}
    if panel.limit is not None:
        widget["markers"] = [{"value": f"y = {panel.limit:g}", "display_type": "error dashed"}]
    return widget


def _request(query: Query) -> dict[str, Any]:
    queries = [
        {"data_source": "metrics", "name": name, "query": text}
        for name, text in zip("ab", query.datadog(_SCOPE), strict=False)
    ]
    formula = {"formula": query.datadog_formula, "alias": query.how.value}
    return {"response_format": "timeseries", "display_type": "line", "queries": queries, "formulas": [formula]}


def _monitor(alert: Alert) -> dict[str, Any]:
    said = re.sub(r"\{([a-z._]+)\}", lambda found: f"{{{{{found[1]}.name}}}}", alert.sentence)
    comparison = ">=" if alert.comparison == "==" else alert.comparison  # Datadog has no equality
    minutes = max(alert.minutes, alert.window_minutes)
    return {
        "name": f"mlmon: {_kebab(alert.name).removeprefix('mlmon-').replace('-', ' ')}",
        "type": "query alert",
        "query": f"{_condition(alert, minutes)} {comparison} {alert.threshold:g}",
        "message": f"{said} {alert.advice}",
        "tags": ["team:ml", "source:mlmon"],
        "priority": _PRIORITY[alert.severity],
        "options": {
            "thresholds": {"critical": alert.threshold},
            "notify_no_data": False,
            "include_tags": True,
            "require_full_window": False,
        },
    }


def _condition(alert: Alert, minutes: int) -> str:
    parts = alert.query.datadog()
    if alert.query.how is How.SHARE:
        return f"sum(last_{minutes}m):default_zero({parts[0]}) / {parts[1]}"
    if alert.query.how is How.RATE:
        return f"sum(last_{minutes}m):default_zero({parts[0].replace('.as_rate()', '.as_count()')})"
    # A condition that has to hold all the time holds for the value that is nearest to not meeting it.
    nearest = "max" if alert.comparison == "<" or not alert.minutes else "min"
    return f"{nearest}(last_{minutes}m):{parts[0]}"


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
