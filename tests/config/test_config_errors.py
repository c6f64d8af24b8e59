"""Every mistake names its place, its key, what stands there and what to do; no message shows a secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mlmon_sidecar.config import load
from mlmon_sidecar.errors import ConfigError


def message(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, **overrides: object) -> str:
    file = tmp_path / "mlmon.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, environ=environ or {}, **overrides)
    return str(caught.value).replace(str(tmp_path) + "/", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[alerts]\nfalse_alarm_day = 5",
            "mlmon.toml: alerts: unknown key 'false_alarm_day', did you mean 'false_alarm_days'?",
        ),
        ("stroe = 'x'", "mlmon.toml: unknown key 'stroe', did you mean 'store'?"),
        ("horizon = '5d'", "unknown key 'horizon' here; it belongs to models.NAME.outcomes.horizon"),
        ("[hub]\nzzz = 1", "mlmon.toml: hub: unknown key 'zzz'; known here are allow_uids, group, ship, url"),
        (
            "[models.a.prediction]\nscroe = 'x'",
            "mlmon.toml: models.a.prediction: unknown key 'scroe', did you mean 'score'",
        ),
        (
            "[model.fraud]\nkeep = 1",
            "mlmon.toml: model: takes a text in quotes, but holds a table; did you mean the table 'models'?",
        ),
        (
            "flush_interval_seconds = 'often'",
            'flush_interval_seconds: takes a number, but holds the text "often"; for example: flush_interval',
        ),
        ("flush_interval_seconds = nan", "mlmon.toml: flush_interval_seconds: takes a finite number"),
        (
            "[models.a]\nkeep = 3",
            "mlmon.toml: models.a.keep: must be at most 1.0, but is the number 3; for example: keep = 0.1",
        ),
        ("[models.a]\nslow_ms = 0", "mlmon.toml: models.a.slow_ms: must be more than 0.0, but is the number 0"),
        ("max_body_bytes = 1.5", "max_body_bytes: takes a whole number, but holds the number 1.5"),
        ("enabled = 'maybe'", 'enabled: takes true or false, but holds the text "maybe"; for example: enabled = false'),
        ("hosts = 'a'", 'hosts: takes a list, but holds the text "a"; for example: hosts = ["mlmon.example"]'),
        ("hub = 'embedded'", 'mlmon.toml: hub: takes a table, but holds the text "embedded"'),
        (
            "[models.a]\nversion = 18",
            'models.a.version: takes a text in quotes, but holds the number 18; for example: version = "${IMAGE_TAG}"',
        ),
        (
            "[models.a]\nroutes = ['POST /a', '/b']",
            'routes[1]: the text "/b" is not a route: write the method, a space and the path; for example: routes',
        ),
        ("[models.a]\nid = 'body.id'", "the text \"body.id\" is not a selector. Begin with 'request', 'response'"),
        ("[models.a]\nversion = 'response[x]'", 'the text "response[x]" is not a selector. Cannot read it from'),
        (
            "[models.a.outcomes]\nhorizon = '60'",
            'models.a.outcomes.horizon: the text "60" is not a duration; write a number and a unit',
        ),
        ("[models.a.outcomes]\nhorizon = '0d'", "must be longer than zero"),
        (
            "[models.a.outcomes]\nmetric = 'acuracy'",
            "models.a.outcomes.metric: must be 'accuracy', 'precision', 'recall' or 'f1', but is the text \"acuracy\"",
        ),
        ("[models.'a b']", "is not a model name"),
        (
            "[hub]\nurl = 'https://mlmon.internal'",
            'hub.url: the text "https://mlmon.internal" names a network hub, not available in this version yet',
        ),
        (
            "[hub]\nship = 'raw'",
            'hub.ship: the text "raw" needs a hub of its own on this host, and hub.url is',
        ),
        ("[hub]\nurl = 'unix:relative'", 'must be "embedded", or unix:/// and the absolute path'),
        (
            "store = 'postgresql://u:secret@db/x'",
            'store: the text "postgresql://***@db/x" holds a password: name a file',
        ),
        (
            "store = 'postgresql://u@db/x?password=secret&port=5433'",
            'store: the text "postgresql://***@db/x?password=***&port=5433" holds a password',
        ),
        ("store = 'mysql://db/x'", 'store: the text "mysql://db/x" must be sqlite:/// and a path, or postgresql://'),
        ("endpoints = 'mlmon'", "endpoints: the text \"mlmon\" must start with '/'"),
        ("prediction_id_header = 'a b'", "is not a header name"),
        ("clock_scale = 60", "mlmon.toml: clock_scale needs clock_anchor"),
        ("[export]\nprotocol = 'http'", "export.protocol: must be 'http/protobuf' or 'grpc', but is the text \"http\""),
        ("[export]\nendpoint = 'localhost:4318'", "must start with http:// or https://"),
    ],
)
def test_one_mistake_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    told = message(tmp_path, text)
    assert sentence in told
    assert told.endswith("[config_invalid]")
    assert "\n" not in told


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = "stroe = 'x'\n[models.a]\nkeep = 3\nversion = '${NOWHERE}'\n[hub]\nurl = 'tcp://x'\n"
    told = message(tmp_path, text, {"MLMON_ALERTS__FALSE_ALARM_DAYS": "soon"}, dev="perhaps")
    assert told.startswith("6 problems in the configuration:\n")
    for part in (
        "models.a.version: the environment variable NOWHERE is not set; set it, or write ${NOWHERE:-default}",
        "mlmon.toml: unknown key 'stroe'",
        "mlmon.toml: models.a.keep:",
        "mlmon.toml: hub.url:",
        "variable MLMON_ALERTS__FALSE_ALARM_DAYS (alerts.false_alarm_days): takes a number, but holds",
        'keyword: dev: takes true or false, but holds the text "perhaps"',
    ):
        assert part in told


def test_an_unset_variable_alone_is_an_error(tmp_path: Path) -> None:
    assert "NOWHERE is not set" in message(tmp_path, "[models.a]\nversion = '${NOWHERE}'")


@pytest.mark.parametrize("text", ["store = ", "a = 1\na = 2", "[hub", 'store = "x\n"'])
def test_a_syntax_error_names_file_and_line(text: str, tmp_path: Path) -> None:
    told = message(tmp_path, "# a comment\n" + text)
    assert told.startswith("mlmon.toml: is not valid TOML: ")
    assert "line " in told or "end of document" in told
    assert "[config_syntax]" in told


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read \(No such file or directory\)") as caught:
        load(tmp_path / "missing.toml", environ={})
    assert caught.value.code == "config_missing"
    with pytest.raises(ConfigError, match="cannot be read"):
        load(environ={"MLMON_CONFIG": str(tmp_path)})
    latin = tmp_path / "latin.toml"
    latin.write_bytes("# Gr\xfc\xdfe".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8 at byte 4"):
        load(latin, environ={})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + b"dev = true\r\n")
    assert load(file, environ={}).settings.dev is True


SECRET = "hunter2-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"tokens = '{SECRET}'",
        f"[tokens]\nread = ['{SECRET}']",
        f"[tokens]\n'{SECRET[:4]}' = '{SECRET}'",
        f"store = 'mysql://root:{SECRET}@db/x'",
        "store = 'mysql:${PASSWORD}'",
        "max_body_bytes = '${PASSWORD}'",
        f"[hub]\nurl = 'http://u:{SECRET}@x'",
        f"[export]\nendpoint = 'grpc://u:{SECRET}@x'",
    ],
)
def test_secrets_are_not_repeated(text: str, tmp_path: Path) -> None:
    assert SECRET not in message(tmp_path, text, {"PASSWORD": SECRET})


def test_a_token_in_place_of_its_file_is_not_repeated(tmp_path: Path) -> None:
    assert SECRET not in message(tmp_path, "", tokens={"read": SECRET, "lable": SECRET})


def test_line_breaks_in_values_and_keys_stay_escaped(tmp_path: Path) -> None:
    assert "\n" not in message(tmp_path, 'endpoints = "a\\nb"')
    assert "\n" not in message(tmp_path, '"a\\nb" = 1')
    assert "\n" not in message(tmp_path, '[models."a\\nb"]')
