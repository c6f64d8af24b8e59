"""Which requests take the shortest way, and that those which do not are served as the same: with both taps."""

from __future__ import annotations

import asyncio
import os
import sys
import types
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from mlmon_sidecar.capture.exchange_tap import CURRENT
from mlmon_sidecar.capture.wiring import IGNORE_HEADER
from mlmon_sidecar.export.otel_spans import HostSpanHook
from mlmon_sidecar.runtime.process import MonitoredProcess

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
LAST = {"type": "http.response.body", "body": b"ok"}


def serve(made: Any, scope: Any, wire: Any, *incoming: Any) -> Any:
    connection = wire(*incoming)
    asyncio.run(made(scope, connection.receive, connection.send))
    return connection


def named_anew(message: dict[str, Any]) -> dict[str, Any]:
    """The same names, as other objects."""
    return {"".join(list(name)): value for name, value in message.items()}


def test_a_request_is_active_while_it_is_worked_on(middleware, http_scope, wire, captured) -> None:
    models: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        models.extend(tap.model for tap in made._process.active)
        if len(models) == 2:
            raise KeyError
        await send(dict(START))
        await send(dict(LAST))

    made = middleware(app)
    serve(made, http_scope(), wire)
    assert not made._process.active
    with pytest.raises(KeyError):
        serve(made, http_scope(), wire)
    assert models == ["fraud", "fraud"]
    assert not made._process.active
    assert len(captured(made)) == 2


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({}, 1),
        ({"root_path": ""}, 1),
        ({"root_path": "/api", "path": "/api/score"}, 1),
        ({"path": "/health"}, 0),
        ({"path": "/other"}, 1),
        ({"method": "GET"}, 0),
        ({"method": "BREW"}, 0),
        ({"type": "websocket"}, 0),
        ({"asgi": {"spec_version": "2.4"}}, 1),
        ({"asgi": {}}, 1),
        ({"headers": ()}, 1),
        ({"headers": ((b"content-type", b"text/plain"),)}, 1),
    ],
)
def test_who_is_captured(more, count, middleware, http_scope, wire, answer, captured) -> None:
    made = middleware(answer())
    for _ in range(3):  # what was found for a path is known from the first on
        assert len(serve(made, http_scope(**more), wire).sent) == 2
        assert len(captured(made)) == count


def test_a_scope_that_is_no_plain_dict(middleware, http_scope, wire, answer, captured) -> None:
    class Scope(dict[str, Any]):
        pass

    made = middleware(answer())
    serve(made, Scope(http_scope()), wire)
    assert [exchange.path for exchange in captured(made)] == ["/score"]


def test_another_process_starts_first(middleware, http_scope, wire, answer, captured, monkeypatch) -> None:
    started: list[Any] = []
    made = middleware(answer())
    monkeypatch.setattr(MonitoredProcess, "start", lambda process: started.append(process))
    made._process.pid = -1
    serve(made, http_scope(), wire)
    assert started == [made._process]
    assert len(captured(made)) == 1


def test_while_capture_is_switched_off_for_its_faults(middleware, http_scope, wire, answer) -> None:
    made = middleware(answer())
    faults = made._process.faults
    serve(made, http_scope(), wire)
    for _ in range(60):
        faults.lose()
    assert faults.tripped
    serve(made, http_scope(), wire)
    assert (len(made._process.handoff.drain(9)), faults.lost) == (1, 61)


def test_a_new_start_has_new_counters(middleware, http_scope, wire, answer, captured) -> None:
    made = middleware(answer())
    serve(made, http_scope(), wire)
    before = made._process.handoff
    made._process._fresh()
    serve(made, http_scope(), wire)
    assert (len(before.drain(9)), len(captured(made))) == (1, 1)


def test_who_may_ask_to_be_ignored(middleware, http_scope, wire, answer, captured) -> None:
    made = middleware(answer())
    made._process._may_ignore = "right".__eq__
    made._process._fresh()
    for token, count in ((b"wrong", 1), (b"right", 0)):
        scope = http_scope(headers=[(b"host", b"x"), (IGNORE_HEADER, token)])
        serve(made, scope, wire)
        assert len(captured(made)) == count
    serve(made, http_scope(), wire)
    assert len(captured(made)) == 1
    assert made._process.handoff.stats().ignored == 1


def test_names_in_a_message_may_be_other_objects(middleware, http_scope, wire, answer, captured) -> None:
    said = [dict(START), {"type": "http.response.body", "body": b"a", "more_body": True}]
    said += [{"type": "http.response.body", "body": b"b", "more_body": True, "more": 1} for _ in range(12)]
    said += [dict(LAST)]
    made = middleware(answer(*(named_anew(message) for message in said)))
    asked = named_anew({"type": "http.request", "body": b"asked", "more_body": False})
    connection = serve(made, http_scope(), wire, asked)
    assert connection.sent == said
    (exchange,) = captured(made)
    assert exchange.request_body == (b"asked",)
    assert b"".join(exchange.response_body) == b"a" + b"b" * 12 + b"ok"
    assert (exchange.status, exchange.response_chunks) == (200, 14)


def test_a_message_with_names_that_are_no_texts(middleware, http_scope, wire, answer, captured) -> None:
    made = middleware(answer({**START, 7: "seven"}, {**LAST, None: 1}))
    serve(made, http_scope(), wire)
    assert captured(made)[0].response_body == (b"ok",)


def test_nothing_is_asked_while_nothing_traces(monitored, http_scope, wire, answer, monkeypatch, tap) -> None:
    variable: ContextVar[object] = ContextVar("tracing", default=(nothing := object()))
    asked: list[str] = []

    class Hook:
        idle = (variable, nothing, "a_tracer_of_the_test")

        def current(self) -> Any:
            asked.append("current")

        def inside(self) -> Any:
            asked.append("inside")

    def play() -> list[str]:
        asked.clear()
        connection = wire()
        asyncio.run(monitored(answer(), span_hook=Hook())(http_scope(), connection.receive, connection.send))
        return list(asked)

    always = [] if tap == "compiled" else ["current", "inside"]
    assert play() == always
    context = copy_context()
    context.run(variable.set, "a span")
    assert context.run(play) == (["current"] if tap == "compiled" else always)
    monkeypatch.setitem(sys.modules, "a_tracer_of_the_test", types.ModuleType("a_tracer_of_the_test"))
    assert play() == ["current", "inside"]


def test_the_hosts_hook_says_when_it_need_not_be_asked() -> None:
    from opentelemetry import context, trace

    idle = HostSpanHook().idle
    assert idle is not None, "the context moved: each request pays for two look-ups"
    variable, empty, _ = idle
    assert copy_context().run(variable.get) is empty
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    token = context.attach(trace.set_span_in_context(span))
    try:
        assert variable.get() is not empty
        assert HostSpanHook().current() == (span, 1, 2, False)
        assert HostSpanHook().idle == idle
    finally:
        context.detach(token)


def test_what_the_application_left_behind_is_harmless(middleware, http_scope, wire, captured) -> None:
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.extend((receive, send))
        await send(dict(START))
        await send(dict(LAST))

    made = middleware(app)
    connection = wire()

    async def main() -> None:
        await made(http_scope(), connection.receive, connection.send)
        await kept[1](dict(LAST))
        assert (await kept[0]())["type"] == "http.request"
        assert CURRENT.get() is None

    asyncio.run(main())
    assert len(connection.sent) == 3
    assert captured(made)[0].response_body == (b"ok",)


def test_its_calls_are_known_as_coroutine_functions(middleware, http_scope, wire) -> None:
    said: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        said.append(asyncio.iscoroutinefunction(receive))
        said.append(asyncio.iscoroutinefunction(send))

    made = middleware(app)
    serve(made, http_scope(), wire)
    said.append(asyncio.iscoroutinefunction(made.__call__))
    assert said == [True, True, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_children_mint_ids_of_their_own(middleware, http_scope, wire, answer) -> None:
    def mint(count: int) -> list[str]:
        for _ in range(count):
            serve(made, http_scope(), wire)
        return [exchange.prediction_id for exchange in made._process.handoff.drain(count)]

    made = middleware(answer())
    ids = mint(3)  # some of what was drawn at once is left
    reader, writer = os.pipe()
    for _ in range(3):
        if os.fork() == 0:
            try:
                made._process.pid = os.getpid()
                os.write(writer, "".join(f"{one}\n" for one in mint(40)).encode())
            finally:
                os._exit(0)
    for _ in range(3):
        assert os.wait()[1] == 0
    os.close(writer)
    with os.fdopen(reader) as file:
        ids += file.read().split()
    ids += mint(40)
    assert len(ids) == 163
    assert len({minted[19:] for minted in ids}) == 163, "without the time: what was drawn"
