"""``mlmon backtest`` as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "backtest"))
from backtest_parts import DRIFTED_DAY, START, baseline, story, write

ONSET = START + DRIFTED_DAY * 86_400


def mlmon(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLMON_")} | {"COLUMNS": "200"}
    if "PYTHONPATH" in environ:
        environ["PYTHONPATH"] = str(Path(environ["PYTHONPATH"]).resolve())
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "backtest", *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    baseline().save(folder / "b.json")
    write(folder / "history.csv", story())
    with (folder / "history.csv").open("a") as file:
        file.write("cut,off\n")
    write(folder / "labels.csv", story(), ("tx", "truth", "observed_at"))
    (folder / "known.json").write_text(json.dumps([{"name": "dearer", "onset": ONSET, "features": ["amount"]}]))
    return folder


def test_one_json_object(folder: Path) -> None:
    told = mlmon(
        "history.csv", "--baseline", "b.json", "--labels", "labels.csv", "--incidents", "known.json", "--hourly",
        "--sweep", "--json", cwd=folder,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    result = json.loads(told.stdout)
    assert {alert["rule"] for alert in result["alerts"]} >= {"feature_drift", "quality_drop"}
    assert result["skipped"] == {"lines that are no rows": 1}
    assert 0 < result["known"][0]["delay_hours"] < 12
    assert [each["false_alarm_days"] for each in result["sweep"]] == [7, 30, 90, 365]


def test_a_timeline_for_people(folder: Path) -> None:
    told = mlmon("history.csv", "--baseline", "b.json", "--incidents", "known.json", "--hourly", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert "lines that are no rows: 1" in told.stdout
    assert "amount moved up" in told.stdout
    assert "dearer" in told.stdout


def test_the_false_alarm_budget_is_the_configured_one(folder: Path) -> None:
    (folder / "mlmon.toml").write_text("[alerts]\nfalse_alarm_days = 30\n[models.loans]\nroutes = ['POST /score']\n")
    told = mlmon("history.csv", "--baseline", "b.json", "--config", "mlmon.toml", "--hourly", cwd=folder)
    (folder / "mlmon.toml").unlink()
    assert "one false alarm in 30 days allowed" in told.stdout, told.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "backtest_source"),
        (("history.csv", "--store", "sqlite:///mlmon.db"), "backtest_source"),
        (("--store", "sqlite:///mlmon.db", "--labels", "labels.csv"), "backtest_source"),
        (("--store", "sqlite:///nowhere.db"), "no_store"),
        (("nowhere.csv",), "data_unreadable"),
        (("history.csv", "--timestamp", "when"), "column_missing"),
    ],
)
def test_mistakes_are_told(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    told = mlmon(*arguments, "--baseline", "b.json", cwd=folder)
    assert told.returncode == 1
    assert f"[{code}]" in told.stderr
    assert not (folder / "nowhere.db").exists()


def test_another_model_s_configuration_is_refused(folder: Path) -> None:
    (folder / "other.toml").write_text("[models.other]\nroutes = ['POST /score']\n")
    told = mlmon("history.csv", "--baseline", "b.json", "--config", "other.toml", cwd=folder)
    assert "[model_unknown]" in told.stderr
