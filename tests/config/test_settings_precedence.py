"""Keyword > environment > file > defaults, in every pair."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from mlmon_sidecar.config import ModelSettings, Settings, load, load_settings
from mlmon_sidecar.errors import ConfigError

FULL = """
store = "sqlite:///fraud.db"
hosts = ["mlmon.example"]
endpoints = ""
[models.fraud-v2]
routes = ["POST /score", "POST /v1/models/*:predict"]
version = "${IMAGE_TAG:-dev}"
id = "request.transaction_id"
baseline = "baselines/fraud.json"
slow_ms = 250
keep = 0.25
feature_names = ["a", "b"]
[models.fraud-v2.prediction]
kind = "binary"
score = "response.score"
threshold = 0.82
positive = "fraud"
[models.fraud-v2.outcomes]
metric = "f1"
horizon = "1d12h"
[privacy]
store_features = ["country"]
[hub]
url = "unix:///run/mlmon/hub.sock"
[tokens]
label = "/run/secrets/label"
[alerts]
false_alarm_days = 30
[export]
endpoint = "http://127.0.0.1:4318"
interval_seconds = 15
prediction_logs = 0.01
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mlmon.toml"
    path.write_text(FULL, encoding="utf-8")
    return path


def test_every_table_of_the_file_arrives(file: Path) -> None:
    settings = load(file, environ={"IMAGE_TAG": "v18"}).settings
    model = settings.models["fraud-v2"]
    assert settings.store == "sqlite:///fraud.db"
    assert settings.hosts == ("mlmon.example",)
    assert settings.endpoints is None
    assert model.routes == ("POST /score", "POST /v1/models/*:predict")
    assert (model.version, model.id, model.baseline) == ("v18", "request.transaction_id", "baselines/fraud.json")
    assert (model.slow_ms, model.keep, model.feature_names) == (250.0, 0.25, ("a", "b"))
    assert (model.prediction.kind, model.prediction.threshold, model.prediction.positive) == ("binary", 0.82, "fraud")
    assert model.outcomes.metric == "f1"
    assert model.outcomes.horizon == timedelta(hours=36)
    assert settings.privacy.store_features == ("country",)
    assert settings.hub.url == "unix:///run/mlmon/hub.sock"
    assert settings.tokens.label == "/run/secrets/label"
    assert settings.alerts.false_alarm_days == 30
    assert (settings.export.endpoint, settings.export.interval_seconds) == ("http://127.0.0.1:4318", 15)
    assert settings.export.prediction_logs == 0.01


def test_the_environment_beats_the_file_and_a_keyword_beats_both(file: Path) -> None:
    environ = {"MLMON_ALERTS__FALSE_ALARM_DAYS": "60", "MLMON_STORE": "sqlite:///environment.db"}
    assert load(file, environ={}).settings.alerts.false_alarm_days == 30
    assert load(file, environ=environ).settings.alerts.false_alarm_days == 60
    settings = load(file, environ=environ, alerts={"false_alarm_days": 90}).settings
    assert settings.alerts.false_alarm_days == 90
    assert settings.store == "sqlite:///environment.db"
    assert settings.hub.url == "unix:///run/mlmon/hub.sock"


def test_tables_merge_key_by_key(file: Path) -> None:
    environ = {"MLMON_MODELS__FRAUD_V2__PREDICTION__THRESHOLD": "0.5"}
    prediction = load(file, environ=environ).settings.models["fraud-v2"].prediction
    assert (prediction.threshold, prediction.positive) == (0.5, "fraud")


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("MLMON_STORE", "sqlite:///other.db", lambda s: s.store == "sqlite:///other.db"),
        ("MLMON_ENABLED", "false", lambda s: s.enabled is False),
        ("MLMON_DEV", "1", lambda s: s.dev is True),
        ("MLMON_ENDPOINTS", "", lambda s: s.endpoints is None),
        ("MLMON_PREDICTION_ID_HEADER", "X-Prediction", lambda s: s.prediction_id_header == "x-prediction"),
        ("MLMON_HOSTS", "a.example, b.example", lambda s: s.hosts == ("a.example", "b.example")),
        ("MLMON_HUB__URL", "unix:///run/hub.sock", lambda s: s.hub.url == "unix:///run/hub.sock"),
        ("MLMON_ALERTS__FALSE_ALARM_DAYS", "7", lambda s: s.alerts.false_alarm_days == 7),
        ("MLMON_MODELS__FRAUD__VERSION", "v3", lambda s: s.models["fraud"].version == "v3"),
        (
            "MLMON_MODELS__FRAUD__ROUTES",
            "POST /a,POST /b",
            lambda s: s.models["fraud"].routes == ("POST /a", "POST /b"),
        ),
        ("MLMON_MODELS__FRAUD__OUTCOMES__HORIZON", "2w", lambda s: s.models["fraud"].outcomes.horizon.days == 14),
        ("MLMON_MODEL", "fraud", lambda s: list(s.models) == ["fraud"]),
    ],
)
def test_a_variable_reaches_its_setting(variable: str, value: str, read: object, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert callable(read)
    assert read(load(environ={variable: value}).settings)


def test_without_anything_one_model_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(environ={}).settings
    assert settings.models == {"default": ModelSettings()}
    assert settings == Settings()
    assert load(environ={}, model="fraud").settings.models == {"fraud": ModelSettings()}


def test_the_file_is_found_by_keyword_then_variable_then_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, days in (("mlmon.toml", 1), ("variable.toml", 2), ("keyword.toml", 3)):
        (tmp_path / name).write_text(f"[alerts]\nfalse_alarm_days = {days}\n")
    environ = {"MLMON_CONFIG": "variable.toml"}
    assert load(environ={}).settings.alerts.false_alarm_days == 1
    assert load(environ=environ).settings.alerts.false_alarm_days == 2
    assert load("keyword.toml", environ=environ).settings.alerts.false_alarm_days == 3


def test_the_process_environment_is_what_load_settings_reads(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLMON_STORE", "sqlite:///seen.db")
    assert load_settings().store == "sqlite:///seen.db"
    assert Settings().store == "sqlite:///mlmon.db", "built directly, settings read their keywords only"


def test_origins_are_told(file: Path) -> None:
    loaded = load(file, environ={"MLMON_STORE": "sqlite:///e.db"}, dev=True)
    assert loaded.origin(("store",)) == "MLMON_STORE"
    assert loaded.origin(("dev",)) == "keyword"
    assert loaded.origin(("hub", "url")) == str(file)
    assert loaded.origin(("enabled",)) == "default"


def test_a_shared_file_serves_one_model_each(tmp_path: Path) -> None:
    file = tmp_path / "shared.toml"
    file.write_text("[models.a]\n[models.b]\n")
    with pytest.raises(ConfigError, match=r"models\.a\.routes: needed when more than one model"):
        load(file, environ={})
    settings = load(file, environ={}, model="b").settings
    assert list(settings.captured()) == ["b"]
    assert list(settings.models) == ["a", "b"]
    with pytest.raises(ConfigError, match="no model 'bb' is configured; did you mean 'b'"):
        load(file, environ={}, model="bb")


def test_the_presets_are_those_of_the_redactor() -> None:
    from typing import get_args

    from mlmon_sidecar.config import PrivacySettings
    from mlmon_sidecar.redact.policy import PRESETS

    assert set(get_args(PrivacySettings.model_fields["preset"].annotation)) == set(PRESETS)


@pytest.mark.parametrize(
    ("version", "constant"),
    [(None, None), ("v18", "v18"), ("requests", "requests"), ("header.x-version", None), ("response[0].v", None)],
)
def test_a_version_is_a_constant_or_a_selector(version: str | None, constant: str | None) -> None:
    assert ModelSettings(version=version).constant_version == constant


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().hub.url = "embedded"


def test_every_option_says_what_it_does() -> None:
    from mlmon_sidecar.config.shape import options

    bare = [option.key for option in options(Settings) if not (option.field.description and option.field.examples)]
    assert not bare


def test_the_schema_knows_every_key_and_refuses_others() -> None:
    schema = Settings.json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["$defs"]["OutcomeSettings"]["properties"]["horizon"]["default"] == "60d"
