"""``promtool`` takes the rules, and each alert fires where it should and only there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mlmon_sidecar.assets.prometheus_rules import RECORDED
from mlmon_sidecar.assets.writing import write

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool on this machine")


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write("prometheus", tmp_path)
    return tmp_path


def test_the_rules_are_rules(folder: Path) -> None:
    done = promtool("check", "rules", "mlmon.rules.yml", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_and_is_quiet(folder: Path) -> None:
    done = promtool("test", "rules", "mlmon.rules.test.yml", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load((folder / "mlmon.rules.test.yml").read_text())["tests"]
    rules = yaml.safe_load((folder / "mlmon.rules.yml").read_text())["groups"][-1]["rules"]
    expected = {f"{rule['alert']} {what}" for rule in rules for what in ("fires", "is quiet")}
    assert {test["name"] for test in tests} == expected


def test_a_wrong_threshold_is_seen(folder: Path) -> None:
    path = folder / "mlmon.rules.yml"
    path.write_text(path.read_text().replace("> 0.05", "> 0.5"))
    done = promtool("test", "rules", "mlmon.rules.test.yml", folder=folder)
    assert done.returncode != 0 and "MlmonServerErrors fires" in done.stdout + done.stderr


RECORDING = """\
rule_files: [mlmon.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'mlmon_requests_total{mlmon_model_name="m", mlmon_request_outcome="ok", instance="a"}', values: 0+54x30}
      - {series: 'mlmon_requests_total{mlmon_model_name="m", mlmon_request_outcome="ok", instance="b"}', values: 0+54x30}
      - {series: 'mlmon_requests_total{mlmon_model_name="m", mlmon_request_outcome="server_error"}', values: 0+12x30}
      - {series: 'mlmon_requests_total{mlmon_model_name="n", mlmon_request_outcome="ok"}', values: 0+60x30}
      - {series: 'mlmon_predictions_total{mlmon_model_name="m", mlmon_model_version="1"}', values: 0+600x30}
      - {series: 'mlmon_predictions_total{mlmon_model_name="m", mlmon_model_version="2"}', values: 0+60x30}
      - {series: 'mlmon_prediction_duration_seconds_bucket{mlmon_model_name="m", le="0.1"}', values: 0+50x30}
      - {series: 'mlmon_prediction_duration_seconds_bucket{mlmon_model_name="m", le="0.2"}', values: 0+100x30}
      - {series: 'mlmon_prediction_duration_seconds_bucket{mlmon_model_name="m", le="+Inf"}', values: 0+100x30}
      - {series: 'mlmon_alert_state{mlmon_model_name="m", mlmon_alert_rule="a", instance="a"}', values: 0x30}
      - {series: 'mlmon_alert_state{mlmon_model_name="m", mlmon_alert_rule="b", instance="b"}', values: 2x30}
      - {series: 'mlmon_feature_drift_evidence{mlmon_model_name="m", mlmon_feature_name="f", instance="a"}', values: 0.25x30}
      - {series: 'mlmon_feature_drift_evidence{mlmon_model_name="m", mlmon_feature_name="f", instance="b"}', values: 0.5x30}
    promql_expr_test:
"""  # noqa: E501
EXPECTED = {
    "mlmon_model:mlmon_requests:rate5m": {"m": 2.0, "n": 1.0},
    "mlmon_model:mlmon_predictions:rate5m": {"m": 11.0},
    "mlmon_model:mlmon_server_errors:ratio_rate5m": {"m": 0.1, "n": 0.0},
    "mlmon_model:mlmon_prediction_duration_seconds:p50_rate5m": {"m": 0.1},
    "mlmon_model:mlmon_prediction_duration_seconds:p95_rate5m": {"m": 0.19},
    "mlmon_model:mlmon_prediction_duration_seconds:p99_rate5m": {"m": 0.198},
    "mlmon_model:mlmon_alert_state:max": {"m": 2.0},
    "mlmon_feature:mlmon_feature_drift_evidence:max": {'m", mlmon_feature_name="f': 0.5},
}
"""Computed by hand: 60 a minute is one a second; quantiles are linear within a bucket."""


def test_recorded_values(folder: Path) -> None:
    assert EXPECTED.keys() == RECORDED.keys()
    text = RECORDING
    for name, values in EXPECTED.items():
        text += f"      - expr: round({name}, 0.0001)\n        eval_time: 20m\n        exp_samples:\n"
        for model, value in values.items():
            text += f"          - {{labels: '{{mlmon_model_name=\"{model}\"}}', value: {value}}}\n"
    (folder / "recording.test.yml").write_text(text)
    done = promtool("test", "rules", "recording.test.yml", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
