"""Settings and baseline meet the stages' options."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlmon_sidecar.cli.main import app
from mlmon_sidecar.config import load
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.runtime import assembly

SETTINGS = """\
[models.loans]
baseline = "baseline.json"
[models.loans.prediction]
kind = "binary"
score = "response.score"
positive = "repaid"
"""


def test_a_score_alone_is_given_the_baselines_class(tmp_path: Path) -> None:
    """Otherwise what is not ``repaid`` would be a class that neither the baseline nor any label knows."""
    chance = random.Random(5)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with (tmp_path / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("at", "income", "score", "outcome"))
        for hour in range(400):
            score = chance.random()
            outcome = "repaid" if score >= 0.5 else "defaulted"
            writer.writerow(((start + timedelta(hours=hour)).isoformat(), chance.gauss(0, 1), score, outcome))
    settings = tmp_path / "mlmon.toml"
    settings.write_text(SETTINGS.replace("baseline.json", str(tmp_path / "baseline.json")))
    roles = ["--timestamp", "at", "--score", "score", "--label", "outcome"]
    build = ["baseline", "build", str(tmp_path / "data.csv"), "--output", str(tmp_path / "baseline.json"), *roles]
    done = CliRunner().invoke(app, [*build, "--config", str(settings)])
    assert done.exit_code == 0, done.output

    loaded = load(str(settings))
    (watched,) = assembly.watched_models(loaded.settings, loaded.origin)
    assert watched.layout.prediction.classes == ("defaulted", "repaid")
    options = assembly.decode_options(watched)
    batch = batch_from_columns("loans", now_ns=0, features={"income": [1.0, 2.0]}, scores=[0.2, 0.9], options=options)
    assert list(batch.predicted) == ["defaulted", "repaid"]


def test_what_is_said_about_bodies_reaches_the_decoder(tmp_path: Path) -> None:
    settings = tmp_path / "mlmon.toml"
    settings.write_text("""
model_version = "image-7"
[models.pets]
routes = ["POST /pets/{version}", "PUT /pets"]
decoder = "json"
max_rows = 5
[models.pets.prediction]
classes = ["cat", "dog"]
certainty = "margin"
""")
    loaded = load(str(settings))
    (watched,) = assembly.watched_models(loaded.settings, loaded.origin)
    options = assembly.decode_options(watched, loaded.settings.model_version)
    assert (options.decoder, options.max_rows, options.class_names, options.margin) == ("json", 5, ("cat", "dog"), True)
    assert options.constant_version == "image-7"
    assert [pattern.fullmatch("/pets/9") is not None for pattern in options.version_paths] == [True]


def test_that_nothing_is_redacted_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "mlmon.toml"
    file.write_text('[privacy]\npreset = "off"\n')
    redactor = assembly.make_redactor(load(str(file)).settings)
    assert redactor.redact({"password": "x"}) == {"password": "x"}
    assert [record.levelname for record in caplog.records if "nothing is redacted" in record.message] == ["WARNING"]
    caplog.clear()
    file.write_text('[privacy]\npreset = "default"\n')
    assembly.make_redactor(load(str(file)).settings)
    assert not caplog.records
