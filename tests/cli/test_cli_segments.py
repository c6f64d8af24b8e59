"""Segments from the configuration to an alert: built, shown, validated and replayed, each as a process."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

START, DAY = 20_000 * 86_400, 86_400
DRIFTED_HOUR, HOURS, ROWS = 30, 60, 120
CONFIG = """
[models.loans]
routes = ["POST /score"]
segments = ["country", "segment"]
[models.loans.prediction]
kind = "binary"
"""


def mlmon(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLMON_")} | {"COLUMNS": "200"}
    if "PYTHONPATH" in environ:
        environ["PYTHONPATH"] = str(Path(environ["PYTHONPATH"]).resolve())
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False)


def write(path: Path, first_hour: int, hours: int, seed: int) -> None:
    """Rows with a country and a tier; from ``DRIFTED_HOUR`` on amounts are larger in France alone."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["at", "amount", "country", "tier", "score"])
        for at in range(hours * ROWS):
            hour = first_hour + at // ROWS
            country = str(rng.choice(["DE", "FR", "anna@example.org"], p=[0.75, 0.2, 0.05]))
            amount = rng.normal(50, 10) + 15 * (country == "FR" and hour >= DRIFTED_HOUR)
            moment = START + hour * 3_600 + at % ROWS
            tier, score = "gold" if rng.uniform() < 0.3 else "tin", f"{rng.uniform():.6f}"
            rows.writerow([f"{moment}.0", f"{amount:.3f}", country, tier, score])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments")
    (folder / "mlmon.toml").write_text(CONFIG)
    write(folder / "healthy.csv", -400, 400, 1)
    write(folder / "history.csv", 0, HOURS, 2)
    built = mlmon(
        "baseline", "build", "healthy.csv", "--output", "b.json", "--config", "mlmon.toml", "--timestamp", "at",
        "--score", "score", "--segment", "tier", cwd=folder,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder


def test_the_document_holds_redacted_values_and_no_feature_for_what_handlers_say(folder: Path) -> None:
    text = (folder / "b.json").read_text()
    layout = json.loads(text)["layout"]
    assert [each["name"] for each in layout["segments"]["dimensions"]] == ["country", "segment"]
    assert layout["segments"]["dimensions"][0]["values"][:2] == ["DE", "FR"]
    assert layout["segments"]["dimensions"][1]["values"] == ["tin", "gold"]
    assert layout["segments"]["columns"] == [each["name"] for each in layout["features"]] == ["amount", "country"]
    assert "anna" not in text


def test_it_is_shown_and_fits_the_configuration(folder: Path) -> None:
    shown = mlmon("baseline", "show", "b.json", cwd=folder)
    assert "segments by segment (2 of 2 features): tin 70%, gold 30%, _other 0%" in shown.stdout
    assert mlmon("baseline", "validate", "b.json", "--config", "mlmon.toml", cwd=folder).returncode == 0
    (folder / "other.toml").write_text(CONFIG.replace('"segment"]', '"plan"]'))
    refused = mlmon("baseline", "validate", "b.json", "--config", "other.toml", cwd=folder)
    assert refused.returncode == 1
    assert "built with segments" in refused.stderr


def test_a_replay_names_the_segment(folder: Path) -> None:
    told = mlmon("backtest", "history.csv", "--baseline", "b.json", "--config", "mlmon.toml", "--json", cwd=folder)
    assert told.returncode == 0, told.stderr
    alerts = json.loads(told.stdout)["alerts"]
    found = [alert for alert in alerts if alert["rule"] == "segment_drift"]
    assert [alert["features"] for alert in found] == [["country=FR: amount"]]
    assert found[0]["tier"] in (3, "P3")
    assert not [alert for alert in alerts if alert["rule"] not in ("segment_drift", "feature_drift")]
