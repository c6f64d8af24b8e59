"""The dashboards in the package are those the table says, as the Grafana SDK writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlmon_sidecar.assets.boards import BOARDS
from mlmon_sidecar.assets.writing import ASSETS

ROOT = Path(__file__).parents[2]


def test_the_dashboards_are_not_stale() -> None:
    pytest.importorskip("grafana_foundation_sdk")
    command = [sys.executable, "scripts/generate_assets.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_panel_of_the_table_is_there() -> None:
    written = ASSETS["grafana"]()
    for board in BOARDS:
        document = json.loads(written[f"dashboards/mlmon-{board.key}.json"])
        titles = [panel["title"] for panel in document["panels"] if panel["type"] != "row"]
        assert titles == [member.title for _, row in board.rows for member in row]
        assert document["uid"] == f"mlmon-{board.key}"
        assert [variable["name"] for variable in document["templating"]["list"]] == ["metrics", "logs", "model"]


def test_logs_traces_and_metrics_lead_to_each_other() -> None:
    sources = yaml.safe_load(ASSETS["grafana"]()["provisioning/datasources/mlmon.yml"])["datasources"]
    known = {source["type"]: source for source in sources}
    uids = {source["uid"] for source in sources}
    assert known["loki"]["jsonData"]["derivedFields"][0]["datasourceUid"] == known["tempo"]["uid"]
    assert known["tempo"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] == known["loki"]["uid"]
    assert known["tempo"]["jsonData"]["tracesToMetrics"]["datasourceUid"] in uids
