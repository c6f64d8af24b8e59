"""A plain ASGI harness: no server, no framework, every message in hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mlmon_sidecar import MonitorMiddleware
from mlmon_sidecar.capture import compiled, exchange_tap
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.capture.selection import Selection, SelectionOptions
from mlmon_sidecar.capture.wiring import ASGIApp, Capture, CaptureOptions, Message, Receive, Scope, Send
from mlmon_sidecar.records import Exchange
from mlmon_sidecar.runtime import middleware as middleware_module
from mlmon_sidecar.runtime import process as process_module
from mlmon_sidecar.runtime.process import MonitoredProcess

pytest.register_assert_rewrite("transparency")

REQUEST_HEADERS = [
    (b"host", b"127.0.0.1"),
    (b"content-type", b"application/json"),
    (b"authorization", b"Bearer secret"),
    (b"content-length", b"7"),
]


TAPS = {"pure": exchange_tap.PureExchangeTap} | ({} if compiled.tap is None else {"compiled": exchange_tap.ExchangeTap})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of this stage with each tap there is; those that break the Python one from inside with that alone."""
    if any(mark.args[0] == "tap" for mark in metafunc.definition.iter_markers("parametrize")):
        return
    only = getattr(metafunc.module, "TAPS", list(TAPS))
    metafunc.parametrize("tap", [name for name in TAPS if name in only], indirect=True)


@pytest.fixture(autouse=True)
def tap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(middleware_module, "ExchangeTap", TAPS[request.param])
    monkeypatch.setattr(middleware_module, "opened", exchange_tap.opened if request.param == "compiled" else None)
    monkeypatch.setattr(process_module, "Active", exchange_tap.Active if request.param == "compiled" else set)
    return str(request.param)


class Monitored:
    """The middleware as a host mounts it: one line for what is not ours, one line for what is."""

    def __init__(self, app: ASGIApp, capture: Capture) -> None:
        self.app = app
        self.capture = capture

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        model = self.capture.model_for(scope)
        if model is None:
            return await self.app(scope, receive, send)
        await middleware_module.ExchangeTap(self.capture, model, scope).run(self.app, receive, send)

    def drained(self) -> list[Exchange]:
        return self.capture.handoff.drain(1_000_000)

    def exchange(self) -> Exchange:
        exchanges = self.drained()
        assert len(exchanges) == 1
        return exchanges[0]


class Ticks:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.ns = 1_000

    def __call__(self) -> int:
        return self.ns


def _monitored(
    app: ASGIApp, *, routes: Iterable[str] = (), handoff: Handoff | None = None, **options: Any
) -> Monitored:
    wiring = {name: options.pop(name) for name in ("span_hook", "now", "faults") if name in options}
    selection = Selection(SelectionOptions({"fraud": tuple(routes)}))
    return Monitored(app, Capture(handoff or Handoff(), selection, CaptureOptions(**options), **wiring))


def _http_scope(path: str = "/score", method: str = "POST", **more: Any) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": method,
        "path": path,
        "headers": list(REQUEST_HEADERS),
        **more,
    }


class Wire:
    """The server's side: hands out the given messages, then waits like an idle connection; keeps what is sent."""

    def __init__(self, *incoming: Message) -> None:
        self.incoming = list(incoming or [{"type": "http.request", "body": b'{"a":1}', "more_body": False}])
        self.asked = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        self.asked += 1
        if not self.incoming:
            await asyncio.Event().wait()
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture
def monitored() -> Callable[..., Monitored]:
    return _monitored


@pytest.fixture
def http_scope() -> Callable[..., Scope]:
    return _http_scope


@pytest.fixture
def wire() -> type[Wire]:
    return Wire


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}


@pytest.fixture
def answer() -> Callable[..., ASGIApp]:
    """An application that reads its body and answers with ``messages``, the very objects."""

    def build(*messages: Message) -> ASGIApp:
        chosen = messages or (dict(START), {"type": "http.response.body", "body": b'{"score":0.7}'})

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive()).get("more_body"):
                pass
            for message in chosen:
                await send(message)

        return app

    return build


@pytest.fixture
def middleware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., MonitorMiddleware]:
    """What users mount, adding nothing of its own unless told to. Its recorder is never started: nothing drains."""
    monkeypatch.setattr(MonitoredProcess, "start", lambda process: None)

    def build(app: ASGIApp, **options: Any) -> MonitorMiddleware:
        keywords = {"model": "fraud", "prediction_id_header": None, "endpoints": None} | options
        made = MonitorMiddleware(app, store=f"sqlite:///{tmp_path}/mlmon.db", strict=True, **keywords)
        made._process.pid = os.getpid()  # as after the server's start-up
        return made

    return build


@pytest.fixture(params=["once", "twice"])
def mount(request: pytest.FixtureRequest, middleware: Callable[..., MonitorMiddleware]) -> Callable[[ASGIApp], ASGIApp]:
    """Without a header and without endpoints: nothing at all may differ."""
    if request.param == "once":
        return middleware
    return lambda app: middleware(middleware(app))


@pytest.fixture
def captured() -> Callable[[MonitorMiddleware], list[Exchange]]:
    def drain(middleware: MonitorMiddleware) -> list[Exchange]:
        assert middleware._process is not None
        assert middleware._process.faults.snapshot() == {}
        return middleware._process.handoff.drain(1_000)

    return drain
