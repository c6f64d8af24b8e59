"""Datadog's own models take the dashboard and the monitors, every part of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlmon_sidecar.assets.alerts import ALERTS
from mlmon_sidecar.assets.boards import BOARDS
from mlmon_sidecar.assets.writing import ASSETS


def parsed(document: Any, kind: str) -> Any:
    pytest.importorskip("datadog_api_client", reason="datadog-api-client is in the dependency group assets")
    from datadog_api_client import Configuration
    from datadog_api_client.model_utils import validate_and_convert_types
    from datadog_api_client.v1.model.dashboard import Dashboard
    from datadog_api_client.v1.model.monitor import Monitor

    wanted = {"dashboard": Dashboard, "monitor": Monitor}[kind]
    return validate_and_convert_types(document, (wanted,), ["asset"], True, True, Configuration())


def unparsed(part: Any) -> int:
    """How many parts the models have no place for."""
    from datadog_api_client.model_utils import UnparsedObject

    members = [member for value in (getattr(part, "_data_store", None) or {}).values()
               for member in (value if isinstance(value, list) else [value])]  # fmt: skip
    mine = isinstance(part, UnparsedObject) or getattr(part, "_unparsed", False)
    return int(mine) + sum(map(unparsed, members))


def dashboard() -> Any:
    return json.loads(ASSETS["datadog"]()["mlmon.dashboard.json"])


def test_the_dashboard() -> None:
    found = parsed(dashboard(), "dashboard")
    assert unparsed(found) == 0
    assert len(found.widgets) == len(BOARDS)
    assert sum(len(group.definition.widgets) for group in found.widgets) == sum(
        len(row) for board in BOARDS for _, row in board.rows
    )


@pytest.mark.parametrize("name", [name for name in ASSETS["datadog"]() if name.startswith("monitors/")])
def test_a_monitor(name: str) -> None:
    document = json.loads(ASSETS["datadog"]()[name])
    found = parsed(document, "monitor")
    assert unparsed(found) == 0
    assert float(document["query"].split()[-1]) == document["options"]["thresholds"]["critical"], "Datadog refuses else"


def test_there_is_a_monitor_for_each_alert() -> None:
    assert sum(name.startswith("monitors/") for name in ASSETS["datadog"]()) == len(ALERTS)


def test_the_models_refuse_what_they_do_not_know() -> None:
    document = dashboard()
    document["widgets"][0]["definition"]["widgets"][0]["definition"]["type"] = "lines"
    assert unparsed(parsed(document, "dashboard")) > 0
