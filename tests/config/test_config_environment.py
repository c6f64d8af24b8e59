"""Variables: which are settings, which are others' and which are slips; and references inside the file."""

import logging
from pathlib import Path

import pytest

from mlmon_sidecar.config import Settings, load, load_settings
from mlmon_sidecar.config.expansion import expand
from mlmon_sidecar.config.layers import KUBERNETES, NOT_SETTINGS, variable_name
from mlmon_sidecar.config.shape import options

KUBERNETES_OF_TWO_SERVICES = {
    "MLMON_SERVICE_HOST": "10.0.0.11",
    "MLMON_SERVICE_PORT": "8765",
    "MLMON_SERVICE_PORT_HTTP": "8765",
    "MLMON_PORT": "tcp://10.0.0.11:8765",
    "MLMON_PORT_8765_TCP": "tcp://10.0.0.11:8765",
    "MLMON_PORT_8765_TCP_PROTO": "tcp",
    "MLMON_PORT_8765_TCP_PORT": "8765",
    "MLMON_PORT_8765_TCP_ADDR": "10.0.0.11",
    "MLMON_STORE_PORT": "tcp://10.0.0.12:5432",
    "MLMON_STORE_SERVICE_HOST": "10.0.0.12",
    "MLMON_HUB_PORT_53_UDP_ADDR": "10.0.0.13",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_kubernetes_injects_is_ignored_silently() -> None:
    loaded = load(environ=KUBERNETES_OF_TWO_SERVICES)
    assert loaded.settings == Settings()
    assert loaded.warnings == ()


def test_no_setting_has_a_name_that_kubernetes_or_we_use() -> None:
    names = [variable_name(option.key) for option in options(Settings)]
    assert not [name for name in names if KUBERNETES.fullmatch(name) or NOT_SETTINGS.fullmatch(name)]


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("MLMON_STOER", "did you mean MLMON_STORE?"),
        ("MLMON_HUB_URL", "did you mean MLMON_HUB__URL?"),
        ("MLMON_HUB", "did you mean MLMON_HUB__URL?"),
        ("MLMON_QQQ__ZZZ", "mlmon config schema"),
        ("MLMON_MODELS____VERSION", "not a setting"),
    ],
)
def test_an_unknown_variable_only_warns(variable: str, hint: str) -> None:
    loaded = load(environ={variable: "secret-value"})
    assert loaded.settings == Settings()
    (warning,) = loaded.warnings
    assert variable in warning
    assert hint in warning
    assert "secret-value" not in warning


def test_a_variable_for_a_model_the_file_does_not_know_only_warns(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text("[models.car-loan]\n")
    loaded = load(environ={"MLMON_MODELS__CAR_LOAN__VERSION": "v2", "MLMON_MODELS__CAR_LOAM__VERSION": "v3"})
    assert {name: model.version for name, model in loaded.settings.models.items()} == {"car-loan": "v2"}
    assert len(loaded.warnings) == 1


def test_a_variable_may_name_the_model_a_keyword_named() -> None:
    settings = load(environ={"MLMON_MODELS__CAR_LOAN__VERSION": "v2"}, model="Car-Loan").settings
    assert settings.models["Car-Loan"].version == "v2"


def test_warnings_are_logged_by_load_settings(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.setenv("MLMON_STOER", "x")
    with caplog.at_level(logging.WARNING, logger="mlmon_sidecar"):
        load_settings()
    assert "MLMON_STOER is not a setting and is ignored" in caplog.text


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}", "1"),
        ("x${A}y${B}z", "x1y2z"),
        ("${C:-fallback}", "fallback"),
        ("${C:-}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY}", ""),
        ("${A:-fallback}", "1"),
        ("$A $ {A} }", "$A $ {A} }"),
        ("$${A}", "${A}"),
        ("$${A:-x}", "${A:-x}"),
        ("${R}", "${A}"),
    ],
)
def test_references(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2", "EMPTY": "", "R": "${A}"}) == expanded


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A:?x}", "a ${A B}"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a reference"):
        expand(text, {"A": "1"})


def test_references_reach_lists_tables_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text(
        "hosts = ['${HOST}']\n[models.a]\nroutes = ['POST ${ROOT:-}/score']\nkeep = '${KEEP}'\n"
    )
    settings = load(environ={"HOST": "h", "KEEP": "0.5"}).settings
    assert settings.hosts == ("h",)
    assert settings.models["a"].routes == ("POST /score",)
    assert settings.models["a"].keep == 0.5
