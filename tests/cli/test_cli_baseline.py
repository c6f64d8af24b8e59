"""``mlmon baseline`` as a process, on a table made here."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlmon_sidecar import build_baseline
from mlmon_sidecar.cli.main import app
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.redact import RedactionPolicy

ROWS = 400


def mlmon(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLMON_")}
    if "PYTHONPATH" in environ:
        environ["PYTHONPATH"] = str(Path(environ["PYTHONPATH"]).resolve())
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "baseline", *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = random.Random(7)
    with (tmp_path / "healthy.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["at", "tx", "amount", "country", "score", "label"])
        for row in range(ROWS):
            score = chance.random()
            at = f"2026-01-{1 + row // 24:02d}T{row % 24:02d}:00:00Z"
            country = chance.choice(["DE", "FR", "PL"])
            table.writerow([at, f"t{row}", round(chance.gauss(50, 9), 2), country, score, int(chance.random() < score)])
    (tmp_path / "mlmon.toml").write_text(
        "[models.fraud]\nroutes = ['POST /score']\nversion = 'v18'\n[models.fraud.prediction]\nkind = 'binary'\n"
        "[models.other]\nroutes = ['POST /other']\n[privacy]\npreset = 'strict'\n"
    )
    return tmp_path


ROLES = ("--timestamp", "at", "--id", "tx", "--score", "score", "--label", "label")


def test_build_writes_what_show_reads(folder: Path) -> None:
    built = mlmon("build", "healthy.csv", "--output", "new/b.json", "--model", "fraud", *ROLES, cwd=folder)
    assert built.returncode == 0, built.stderr
    assert "wrote new/b.json: 400 rows, 2 features" in built.stdout
    document = json.loads((folder / "new" / "b.json").read_text())
    roles = {
        "timestamp": "at",
        "id": "tx",
        "prediction": "",
        "score": "score",
        "label": "label",
        "weight": "",
        "segment": "",
    }
    assert document["roles"] == roles
    assert (document["model"], document["reference"]["version"]) == ("fraud", "v18")
    assert document["policy"] == RedactionPolicy.of("strict").hash
    assert document["source"] == "healthy.csv"
    assert document["layout"]["prediction"]["kind"] == "binary"

    shown = mlmon("show", "new/b.json", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("fraud, version v18: 400 rows of healthy.csv, 400 hours, built 20")
    assert "DE" in shown.stdout
    assert "numeric" in shown.stdout
    assert "minimum volume: below 20 requests an hour" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("build", "healthy.csv", "--output", "b.json", *ROLES), "[model_needed]"),
        (("build", "gone.csv", "--output", "b.json", "--model", "fraud"), "[data_unreadable]"),
        (("build", "healthy.csv", "--output", "b.json", "--model", "frau"), "did you mean 'fraud'? [config_invalid]"),
        (("build", "healthy.csv", "--output", "b.json", "--model", "fraud", "--id", "xt"), "[column_missing]"),
        (("build", "healthy.csv", "--output", "healthy.csv/b.json", "--model", "fraud"), "[baseline_unwritable]"),
        (
            ("build", "healthy.csv", "--output", "b.json", "--model", "fraud", "--weight", "amount"),
            "[weight_invalid]",
        ),
        (
            ("build", "healthy.csv", "--output", "b.json", "--model", "fraud", "--base-rate", "0.1"),
            "[base_rate_invalid]",
        ),
        (
            ("build", "healthy.csv", "--output", "b.json", "--model", "fraud", "--importances", "healthy.csv"),
            "[importances_invalid]",
        ),
        (("show", "gone.json"), "[baseline_unreadable]"),
        (("show", "healthy.csv"), "[baseline_invalid]"),
    ],
)
def test_failures_are_told(arguments: tuple[str, ...], code: str, folder: Path) -> None:
    done = mlmon(*arguments, cwd=folder)
    assert done.returncode == 1
    assert code in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "b.json").exists()


def build(folder: Path, name: str, **options: object) -> Path:
    built = build_baseline(
        folder / "healthy.csv", config=folder / "mlmon.toml", model="fraud", timestamp="at", id="tx", score="score",
        label="label", **options,  # type: ignore[arg-type]
    )  # fmt: skip
    built.save(folder / name)
    return folder / name


def run(*arguments: str) -> Result:
    """In this process: many processes take long."""
    return CliRunner().invoke(app, ["baseline", *arguments])


@pytest.fixture
def pair(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a.json, and b.json with another base rate."""
    build(folder, "a.json", importances={"amount": 3.0, "country": 1.0})
    build(folder, "b.json", base_rate=0.2)
    monkeypatch.chdir(folder)
    return folder


def test_show_tells_weights(pair: Path) -> None:
    shown = json.loads(run("show", "a.json", "--json").stdout)
    assert [feature["weight"] for feature in shown["features"]] == [0.75, 0.25]


def test_diff_tells_what_would_change(pair: Path) -> None:
    figures = {
        name: after for name, _, after in json.loads(run("diff", "a.json", "b.json", "--json").stdout)["figures"]
    }
    assert figures["rows"] == json.loads((pair / "b.json").read_text())["rows"] < 400
    printed = run("diff", "a.json", "b.json")
    assert printed.exit_code == 0
    assert f"rows: 400 -> {figures['rows']}" in printed.stdout
    assert "KS" in printed.stdout


def test_validate_tells_why_a_model_could_not_serve(pair: Path) -> None:
    fits = run("validate", "a.json")
    assert fits.exit_code == 0, fits.stderr
    assert "a.json fits fraud: 2 features" in fits.stdout
    assert "[baseline_model]" in run("validate", "a.json", "--model", "other").stderr

    said = (pair / "mlmon.toml").read_text()
    (pair / "mlmon.toml").write_text(said.replace("'strict'", "'default'").replace("'binary'", "'regression'"))
    refused = run("validate", "a.json")
    assert refused.exit_code == 1
    assert "[policy_mismatch]" in refused.stderr
    assert "built with prediction.kind 'binary', served with 'regression' [baseline_setting]" in refused.stderr

    document = json.loads((pair / "a.json").read_text())
    document["layout"]["features"][0]["maximum"] += 1
    (pair / "a.json").write_text(json.dumps(document))
    broken = run("validate", "a.json")
    assert broken.exit_code == 1
    assert isinstance(broken.exception, BaselineError)
    assert broken.exception.code == "layout_mismatch"


def test_python_builds_what_the_command_line_builds(folder: Path) -> None:
    arguments = ("--model", "fraud", *ROLES, "--base-rate", "0.3", "--importances", "importances.json")
    (folder / "importances.json").write_text('{"amount": 3, "country": 1}')
    done = mlmon("build", "healthy.csv", "--output", "a.json", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    path = build(folder, "b.json", base_rate=0.3, importances={"amount": 0.75, "country": 0.25})
    documents = [json.loads(each.read_text()) for each in (folder / "a.json", path)]
    for document in documents:
        del document["created"]
    assert documents[0] == documents[1]


def test_show_lists_groups_and_what_is_watched_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    euros = [chance.gauss(50, 9) for _ in range(ROWS)]
    build_baseline(
        {"euros": euros, "cents": [100 * euro for euro in euros], "age": [chance.gauss(40, 5) for _ in range(ROWS)]},
        model="fraud",
    ).save(folder / "g.json")
    monkeypatch.chdir(folder)
    printed = run("show", "g.json").stdout
    assert "one group: euros, cents" in printed
    assert "dependence is watched of: " in printed
    assert json.loads(run("show", "g.json", "--json").stdout)["groups"] == [["euros", "cents"]]
