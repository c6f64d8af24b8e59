"""Whatever of ours breaks, the application and the client see what they would see without us."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mlmon_sidecar.capture import exchange_tap, wiring
from mlmon_sidecar.capture.body_tap import BodyTap, StreamTap
from mlmon_sidecar.capture.exchange_tap import PureExchangeTap as ExchangeTap
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.capture.selection import Selection
from mlmon_sidecar.capture.wiring import DEFAULT_ID_HEADER
from mlmon_sidecar.records import End

TAPS = ["pure"]  # broken from inside, by its methods


class Ours(Exception):
    pass


def fail(*_: Any, **__: Any) -> Any:
    raise Ours


class Span:
    """A tracing hook that notes what it is told."""

    def __init__(self) -> None:
        self.joined: list[tuple[Any, ...]] = []
        self.connection: Any = None

    def current(self) -> tuple[object, int, int, bool] | None:
        return ("span", 0xABC, 0xDEF, True)

    def inside(self) -> None:
        raise AssertionError("there was one from the start")

    def join(self, *what: Any) -> None:
        self.joined.append((*what, [message["type"] for message in self.connection.sent]))


def without_id(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**message, "headers": [pair for pair in message["headers"] if pair[0] != DEFAULT_ID_HEADER]}
        if "headers" in message
        else message
        for message in messages
    ]


MESSAGES = [
    {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]},
    {"type": "http.response.body", "body": b'{"score":', "more_body": True},
    {"type": "http.response.body", "body": b"0.7}", "more_body": False},
]

REQUEST = [
    {"type": "http.request", "body": b'{"a"', "more_body": True},
    {"type": "http.request", "body": b":1}", "more_body": False},
]

BREAKS = {
    "selection": (Selection, "match"),
    "app_path": (wiring, "app_path"),
    "handoff": (Handoff, "put"),
    "span current": (Span, "current"),
    "span join": (Span, "join"),
    "asked": (ExchangeTap, "_asked"),
    "answered": (ExchangeTap, "_answered"),
    "stream begun": (ExchangeTap, "_begin_stream"),
    "body tap": (BodyTap, "add"),
    "body tap made": (BodyTap, "__init__"),
    "kept": (BodyTap, "kept"),
    "count": (BodyTap, "count"),
    "stream looked at": (StreamTap, "_look"),
    "tail": (StreamTap, "tail"),
    "ids": (exchange_tap, "uuid7"),
    "headers": (ExchangeTap, "_wanted"),
    "response started": (ExchangeTap, "_response_started"),
    "request kept": (ExchangeTap, "_request_kept"),
    "response kept": (ExchangeTap, "_response_kept"),
    "kept bytes": (BodyTap, "kept_bytes"),
    "complete": (ExchangeTap, "_complete"),
    "offer": (ExchangeTap, "_offer"),
    "covers": (ExchangeTap, "_covers"),
}
PROPERTIES = {"kept", "kept_bytes", "count", "tail"}
OBSERVED = {"span current", "span join"}  # tracing may fail without costing the exchange


@pytest.mark.parametrize("name", BREAKS)
def test_our_failure_changes_no_byte(name, monitored, http_scope, wire, answer, monkeypatch) -> None:
    owner, attribute = BREAKS[name]
    monkeypatch.setattr(owner, attribute, property(fail) if attribute in PROPERTIES else fail)
    span = Span()
    twice = monitored(monitored(answer(*MESSAGES), span_hook=span), span_hook=span)
    connection = span.connection = wire(*REQUEST)
    asyncio.run(twice(http_scope(root_path="/api", path="/api/score"), connection.receive, connection.send))
    assert without_id(connection.sent) == MESSAGES
    counted = twice.capture.faults.snapshot(), twice.app.capture.faults.snapshot()
    assert any(error == "Ours" for faults in counted for _, error in faults)
    assert connection.asked == 2
    if name in OBSERVED:
        assert twice.exchange().response_body == (b'{"score":', b"0.7}")


@pytest.mark.parametrize("name", sorted(BREAKS.keys() - {"selection", "app_path", "covers"} - OBSERVED))
def test_a_lost_exchange_is_counted_once(name, monitored, http_scope, wire, answer, monkeypatch) -> None:
    owner, attribute = BREAKS[name]
    monkeypatch.setattr(owner, attribute, property(fail) if attribute in PROPERTIES else fail)
    middleware = monitored(answer(*MESSAGES))
    connection = wire(*REQUEST)
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert middleware.capture.handoff.stats().accepted == 0
    assert middleware.capture.faults.lost == 1
    assert sum(middleware.capture.faults.snapshot().values()) == 1


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_broken_clock(at, monitored, http_scope, wire, answer) -> None:
    readings = 0

    def clock() -> int:
        nonlocal readings
        readings += 1
        if readings == at:
            raise Ours
        return readings

    middleware = monitored(answer(*MESSAGES), now=clock)
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert without_id(connection.sent) == MESSAGES
    assert middleware.capture.faults.lost == 1


def test_our_failure_while_the_application_raises(monitored, http_scope, wire, monkeypatch) -> None:
    raised = RuntimeError("theirs")

    async def app(scope, receive, send):
        raise raised

    monkeypatch.setattr(ExchangeTap, "_offer", fail)
    middleware = monitored(app)
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(middleware(http_scope(), wire().receive, wire().send))
    assert caught.value is raised
    assert raised.__context__ is None
    assert middleware.capture.faults.snapshot() == {("end", "Ours"): 1}


@pytest.mark.parametrize("body", ["text", 7, object()])
def test_a_body_only_the_server_may_judge(body, monitored, http_scope, wire, answer) -> None:
    wrong = {"type": "http.response.body", "body": body}
    middleware = monitored(answer(MESSAGES[0], wrong))
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert connection.sent[1] is wrong


@pytest.mark.parametrize("message", [{}, None, {"type": "http.response.start"}])
def test_a_message_only_the_server_may_judge(message, monitored, http_scope, wire, answer) -> None:
    middleware = monitored(answer(message))
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert connection.sent[0] is message


# ---------------------------------------------------------------- tracing


def test_the_span_is_told_before_the_answer_begins(monitored, http_scope, wire, answer) -> None:
    span = Span()
    middleware = monitored(answer(*MESSAGES), span_hook=span)
    connection = span.connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert span.joined == [("span", exchange.prediction_id, "fraud", [])], "nothing had been sent"
    assert (exchange.trace_id, exchange.span_id, exchange.trace_sampled) == (0xABC, 0xDEF, True)


def test_no_valid_span(monitored, http_scope, wire, answer, monkeypatch) -> None:
    monkeypatch.setattr(Span, "current", lambda self: None)
    span = Span()
    middleware = monitored(answer(*MESSAGES), span_hook=span)
    connection = span.connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert span.joined == []
    assert (exchange.trace_id, exchange.span_id, exchange.trace_sampled) == (0, 0, False)
    assert exchange.end is End.COMPLETE
