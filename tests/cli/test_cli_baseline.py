"""``mlmon baseline`` as a process, on a table made here."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from mlmon_sidecar import build_baseline
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
    roles = {"timestamp": "at", "id": "tx", "prediction": "", "score": "score", "label": "label", "weight": ""}
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
        (("diff", "gone.json", "gone.json"), "[baseline_unreadable]"),
        (("validate", "gone.json"), "[baseline_unreadable]"),
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


def test_show_diff_and_validate(folder: Path) -> None:
    (folder / "importances.json").write_text('{"amount": 3, "country": 1}')
    first = build(folder, "a.json", importances=folder / "importances.json")
    second = build(folder, "b.json", base_rate=0.2)

    shown = json.loads(mlmon("show", "a.json", "--json", cwd=folder).stdout)
    assert [feature["weight"] for feature in shown["features"]] == [0.75, 0.25]

    compared = mlmon("diff", "a.json", "b.json", "--json", cwd=folder)
    figures = {name: after for name, _, after in json.loads(compared.stdout)["figures"]}
    assert figures["rows"] == json.loads(second.read_text())["rows"] < 400
    printed = mlmon("diff", "a.json", "b.json", cwd=folder)
    assert printed.returncode == 0
    assert f"rows: 400 -> {figures['rows']}" in printed.stdout
    assert "KS" in printed.stdout

    fits = mlmon("validate", "a.json", cwd=folder)
    assert fits.returncode == 0, fits.stderr
    assert "a.json fits fraud: 2 features" in fits.stdout

    configuration = (folder / "mlmon.toml").read_text()
    (folder / "mlmon.toml").write_text(
        configuration.replace("'strict'", "'default'").replace("'binary'", "'regression'")
    )
    refused = mlmon("validate", "a.json", cwd=folder)
    assert refused.returncode == 1
    assert "[policy_mismatch]" in refused.stderr
    assert "built with prediction.kind 'binary', served with 'regression' [baseline_setting]" in refused.stderr
    assert "[baseline_model]" in mlmon("validate", "a.json", "--model", "other", cwd=folder).stderr

    document = json.loads(first.read_text())
    document["layout"]["features"][0]["maximum"] += 1
    first.write_text(json.dumps(document))
    broken = mlmon("validate", "a.json", cwd=folder)
    assert broken.returncode == 1
    assert "[layout_mismatch]" in broken.stderr


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
