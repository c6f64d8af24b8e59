"""Requests that are left out on purpose: counted, answered as ever, and never by a stranger's wish."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mlmon_sidecar.capture.exchange_tap import PureExchangeTap as ExchangeTap
from mlmon_sidecar.capture.faults import PAUSE_NS, TRIP_LOSSES, Faults
from mlmon_sidecar.capture.wiring import IGNORE_HEADER
from mlmon_sidecar.config import load
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.runtime.process import MonitoredProcess

TAPS = ["pure"]  # broken from inside, by its methods
TOKEN = "a-token-for-load-tests"


def ask(middleware: Any, http_scope: Any, wire: Any, *headers: tuple[bytes, bytes]) -> list[Any]:
    connection = wire()
    scope = http_scope(headers=[(b"content-type", b"application/json"), *headers])
    asyncio.run(middleware(scope, connection.receive, connection.send))
    assert [message["type"] for message in connection.sent] == ["http.response.start", "http.response.body"]
    return connection.sent


@pytest.fixture
def process(tmp_path: Path) -> MonitoredProcess:
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "mlmon.toml").write_text(
        f'exclude = ["/score/private/**"]\n[tokens]\nignore = "{tmp_path}/token"\n[models.fraud]\nroutes = []\n'
    )
    made = MonitoredProcess.from_settings(str(tmp_path / "mlmon.toml"), {}, strict=True)
    assert made is not None
    return made


@pytest.fixture
def monitored_by(process: MonitoredProcess, monitored: Any, answer: Any) -> Any:
    middleware = monitored(answer())
    middleware.capture = process.capture
    return middleware


@pytest.mark.parametrize("value", [b"", b"1", b"true", TOKEN[:-1].encode(), TOKEN.upper().encode(), b"\xff\xfe"])
def test_without_the_right_token_nothing_changes(value: bytes, monitored_by: Any, http_scope: Any, wire: Any) -> None:
    ask(monitored_by, http_scope, wire, (IGNORE_HEADER, value))
    assert monitored_by.exchange().request_headers == ((b"content-type", b"application/json"),)
    assert monitored_by.capture.handoff.stats().ignored == 0
    assert monitored_by.capture.faults.snapshot() == {}


def test_with_the_right_token_it_is_counted_and_left_out(monitored_by: Any, http_scope: Any, wire: Any) -> None:
    sent = ask(monitored_by, http_scope, wire, (IGNORE_HEADER, TOKEN.encode()))
    assert sent[0]["headers"] == [(b"content-type", b"application/json")], "no id: there is no prediction to name"
    ask(monitored_by, http_scope, wire)
    stats = monitored_by.capture.handoff.stats()
    assert (stats.accepted, stats.ignored) == (1, 1)


def test_by_default_no_token_is_right(monitored: Any, answer: Any, http_scope: Any, wire: Any) -> None:
    middleware = monitored(answer())
    ask(middleware, http_scope, wire, (IGNORE_HEADER, b""), (IGNORE_HEADER, TOKEN.encode()))
    assert middleware.capture.handoff.stats().accepted == 1


def test_excluded_paths_are_configured(process: MonitoredProcess) -> None:
    assert process.capture.selection.match("POST", "/score") == "fraud"
    assert process.capture.selection.match("POST", "/score/private/x") is None
    assert process.capture.selection.match("POST", "/health") is None, "the usual ones stay"


@pytest.mark.parametrize("path", ["/a/**/b", "/*x*", "health", "/a b"])
def test_a_path_that_cannot_be_excluded_is_an_error(path: str) -> None:
    with pytest.raises(ConfigError):
        MonitoredProcess.from_settings(None, {"exclude": [path]})


def test_how_much_of_a_stream_is_kept_is_configured() -> None:
    process = MonitoredProcess(load(None, max_stream_bytes=1234).settings, lambda key: "keyword")
    assert process.capture.options.max_stream_bytes == 1234


def test_capture_that_keeps_failing_is_switched_off_and_tried_again(
    monitored: Any, answer: Any, http_scope: Any, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0
    faults = Faults(lambda: now)
    middleware = monitored(answer(), faults=faults)
    with monkeypatch.context() as broken:
        broken.setattr(ExchangeTap, "_asked", lambda *_: 1 / 0)
        for _ in range(TRIP_LOSSES + 5):
            ask(middleware, http_scope, wire)
    assert faults.tripped
    assert faults.snapshot() == {("receive", "ZeroDivisionError"): TRIP_LOSSES}, "the last five were not even tried"
    assert faults.lost == TRIP_LOSSES + 5
    ask(middleware, http_scope, wire)
    assert middleware.capture.handoff.stats().accepted == 0
    now = PAUSE_NS
    ask(middleware, http_scope, wire)
    assert (middleware.capture.handoff.stats().accepted, faults.tripped) == (1, False)
