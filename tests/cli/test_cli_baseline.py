"""``mlmon baseline`` as a process, on a table made here."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("build", "healthy.csv", "--output", "b.json", *ROLES), "[model_needed]"),
        (("build", "gone.csv", "--output", "b.json", "--model", "fraud"), "[data_unreadable]"),
        (("build", "healthy.csv", "--output", "b.json", "--model", "frau"), "did you mean 'fraud'? [config_invalid]"),
        (("build", "healthy.csv", "--output", "b.json", "--model", "fraud", "--id", "xt"), "[column_missing]"),
        (("build", "healthy.csv", "--output", "healthy.csv/b.json", "--model", "fraud"), "[baseline_unwritable]"),
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
