"""Every panel of the Grafana dashboards, as they are shipped, asked of a real Prometheus that scraped the demo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from story_run import Prometheus, Told

pytestmark = pytest.mark.alone

NOT_IN_THE_DEMO = {
    "mlmon: language models": "it serves no language model",
    "Queues": "it watches no queue",
    "Host memory": "its hub has no process of its own",
    "Host memory by state": "its hub has no process of its own",
    "Utilisation": "it uses no GPU",
    "Memory in use": "it uses no GPU",
    "Temperature": "it uses no GPU",
    "Power": "it uses no GPU",
    "Faults": "nothing fails in it",
    "Failed exports": "it exports nothing over OTLP",
    "Redacted": "it sends no personal data",
}
WINDOW = "20s"  # for $__rate_interval: a scrape is a second


def panels() -> Iterator[tuple[str, str, str]]:
    """(dashboard, panel, query) of everything Prometheus is asked."""
    for path in sorted(files("mlmon_sidecar.assets").joinpath("grafana").iterdir(), key=lambda path: path.name):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if panel["datasource"]["type"] == "prometheus":
                    yield board["title"], panel["title"], target["expr"]


@pytest.mark.parametrize(("board", "title", "expr"), [pytest.param(*panel, id=" | ".join(panel)) for panel in panels()])
def test_the_panel_has_data(board: str, title: str, expr: str, told: Told, prometheus: Prometheus) -> None:
    query = expr.replace("$__rate_interval", WINDOW).replace("$model", ".*")
    assert "$" not in query
    found = prometheus.series(query, told)
    if board in NOT_IN_THE_DEMO or title in NOT_IN_THE_DEMO:
        assert found == [], "then it is not one without data"
    else:
        assert found, "no data"
        assert any(value != "NaN" for one in found for _, value in one["values"])


def last(found: list[dict[str, Any]]) -> dict[str, float]:
    return {"/".join(one["metric"].values()): float(one["values"][-1][1]) for one in found}


def test_what_prometheus_has_counted_is_what_the_story_sent(told: Told, prometheus: Prometheus) -> None:
    found = prometheus.series("sum by (mlmon_request_outcome) (max_over_time(mlmon_requests_total[5m]))", told)
    assert last(found) == {"ok": told.summary["captured"], "client_error": 0, "server_error": 0, "aborted": 0}
    # Not the P1 of the collapse: it is open for two seconds, which is a scrape or none.
    worst = prometheus.series('max(max_over_time(mlmon_alert_state{mlmon_alert_rule="quality_drop"}[5m]))', told)
    assert last(worst)[""] >= 2.0, "the accuracy after it was a P2, and on some days a P1"
