"""The same under a real server: what a client reads from the socket."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from mlmon_sidecar.capture.body_tap import BodyTap
from mlmon_sidecar.capture.exchange_tap import PureExchangeTap as ExchangeTap
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.capture.lifespan import forward_lifespan
from mlmon_sidecar.capture.selection import Selection
from mlmon_sidecar.records import End

ID = "x-mlmon-prediction-id"


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[int]:
    """Serve ``app`` on a port of its own; requests wait in the listening socket until the server is up."""
    config = uvicorn.Config(
        app, log_config=None, ws="none", date_header=False, server_header=False, access_log=False, **options
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def exchange_bytes(port: int, method: str = "POST", path: str = "/score", body: bytes = b'{"a":1}') -> bytes:
    """Everything the server writes for one request, byte by byte."""
    head = f"{method} {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@contextlib.contextmanager
def request(port: int, path: str = "/score", method: str = "POST") -> Iterator[http.client.HTTPResponse]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, b'{"a":1}', {"connection": "close"})
        with connection.getresponse() as response:
            yield response


def answered(port: int, path: str = "/score", method: str = "POST") -> tuple[int, http.client.HTTPMessage, Any]:
    """Status, headers and body of one request, the body from JSON where it is."""
    with request(port, path, method) as response:
        content = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, response.headers, json.loads(content) if is_json else content


async def many_answers(scope, receive, send):
    """Answers of every shape, by path."""
    if scope["type"] != "http":
        raise NotImplementedError
    while (await receive()).get("more_body"):
        pass
    path = scope["path"]
    headers = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    if path == "/raise":
        raise LookupError("theirs")
    if path == "/empty":
        await send({"type": "http.response.start", "status": 204})
        return await send({"type": "http.response.body"})
    if path == "/not-modified":
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        return await send({"type": "http.response.body"})
    if path == "/half":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("theirs")
    if path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(50):
            await send({"type": "http.response.body", "body": b"%d," % number, "more_body": True})
        return await send({"type": "http.response.body"})
    headers.append((b"content-length", b"5"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": memoryview(b"plain").toreadonly()})


SHAPES = [
    ("POST", "/plain"),
    ("GET", "/plain"),
    ("HEAD", "/plain"),
    ("HEAD", "/stream"),
    ("OPTIONS", "/plain"),
    ("POST", "/empty"),
    ("POST", "/not-modified"),
    ("POST", "/stream"),
    ("POST", "/raise"),
    ("POST", "/half"),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The server logs the exceptions these applications raise on purpose."""
    logger = logging.getLogger("uvicorn.error")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def test_without_a_header_name_the_socket_carries_the_same_bytes(monitored) -> None:
    middleware = monitored(many_answers, prediction_id_header=None)
    with serving(many_answers) as bare, serving(middleware) as watched:
        for method, path in SHAPES:
            assert exchange_bytes(watched, method, path) == exchange_bytes(bare, method, path), (method, path)
    captured = [(exchange.path, exchange.end) for exchange in middleware.drained()]
    complete = ["/plain", "/empty", "/not-modified", "/stream"]
    assert captured == [(path, End.COMPLETE) for path in complete] + [("/raise", End.ERROR), ("/half", End.ERROR)]


def test_with_it_one_line_is_added_where_a_prediction_is_made(monitored) -> None:
    middleware = monitored(many_answers)
    with serving(many_answers) as bare, serving(middleware) as watched:
        for method, path in SHAPES:
            answer = exchange_bytes(watched, method, path)
            ids = re.findall(rb"x-mlmon-prediction-id: ([0-9a-f-]{36})\r\n", answer)
            expected = [exchange.prediction_id.encode() for exchange in middleware.drained() if exchange.status]
            assert ids == expected, (method, path)
            stripped = re.sub(rb"x-mlmon-prediction-id: [^\r]*\r\n", b"", answer)
            assert stripped == exchange_bytes(bare, method, path), (method, path)


class Ours(Exception):
    pass


def fail(*_: Any, **__: Any) -> Any:
    raise Ours


class BrokenSpans:
    current = join = fail


BREAKS: dict[str, tuple[Any, str]] = {
    "selection": (Selection, "match"),
    "handoff": (Handoff, "put"),
    "body": (BodyTap, "add"),
    "begin": (ExchangeTap, "_covers"),
    "answered": (ExchangeTap, "_answered"),
    "asked": (ExchangeTap, "_asked"),
    "response started": (ExchangeTap, "_response_started"),
}


@pytest.mark.parametrize("tap", ["pure"], indirect=True)  # broken from inside, by its methods
@pytest.mark.parametrize("name", [*BREAKS, "span"])
def test_our_failures_do_not_reach_the_socket(name, monitored, monkeypatch) -> None:
    if name in BREAKS:
        monkeypatch.setattr(*BREAKS[name], fail)
    twice = monitored(
        monitored(many_answers, prediction_id_header=None), prediction_id_header=None, span_hook=BrokenSpans()
    )
    with serving(many_answers) as bare, serving(twice) as watched:
        for method, path in SHAPES:
            assert exchange_bytes(watched, method, path) == exchange_bytes(bare, method, path), (method, path)
    counted = [*twice.capture.faults.snapshot(), *twice.app.capture.faults.snapshot()]
    assert "Ours" in {error for _, error in counted}


def test_a_chunk_is_on_the_wire_before_the_next_is_made(monitored) -> None:
    """In lock step: the application makes a chunk only after the client said that it has the one before."""

    async def stream(request: Request) -> StreamingResponse:
        async def chunks() -> Any:
            for number in range(5):
                yield f"chunk {number};"
                await acknowledged[number].wait()

        return StreamingResponse(chunks(), media_type="text/plain")

    async def acknowledge(request: Request) -> Response:
        acknowledged[int(request.path_params["number"])].set()
        return Response()

    acknowledged = [asyncio.Event() for _ in range(5)]
    routes = [Route("/stream", stream, methods=["POST"]), Route("/got/{number}", acknowledge, methods=["GET"])]
    middleware = monitored(Starlette(routes=routes), routes=["POST /stream"])
    with serving(middleware) as port, request(port, "/stream") as response:
        for number in range(5):
            assert response.read(8) == f"chunk {number};".encode()
            assert answered(port, f"/got/{number}", "GET")[0] == 200
        assert response.read() == b""
    exchange = middleware.exchange()
    assert exchange.response_body[:5] == tuple(f"chunk {number};".encode() for number in range(5))
    assert exchange.started_ns <= exchange.first_byte_ns < exchange.ended_ns


def test_background_work_goes_on_after_the_answer_and_is_not_counted(monitored) -> None:
    release, ran = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(30)
        ran.set()

    def score(request: Request) -> JSONResponse:
        return JSONResponse({"score": 0.7}, background=BackgroundTask(work))

    middleware = monitored(Starlette(routes=[Route("/score", score, methods=["POST"])]))
    with serving(middleware) as port:
        assert answered(port)[2] == {"score": 0.7}
        exchange = middleware.exchange()  # complete, although the background work has not ended
        assert not ran.is_set()
        release.set()
    assert ran.is_set()
    assert exchange.end is End.COMPLETE
    assert exchange.response_body == (b'{"score":0.7}',)


def test_a_client_that_leaves_in_the_middle_of_its_body(monitored) -> None:
    ended = threading.Event()
    began = threading.Event()

    async def score(request: Request) -> Response:
        try:
            async for chunk in request.stream():
                if chunk:
                    began.set()
            return Response()
        finally:
            ended.set()

    middleware = monitored(Starlette(routes=[Route("/score", score, methods=["POST"])]))
    with serving(middleware) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n" + b'{"a":')
            assert began.wait(30)
        assert ended.wait(30)
    exchange = middleware.exchange()
    assert exchange.end is End.DISCONNECT
    assert exchange.request_body == (b'{"a":',)


def test_a_client_that_leaves_a_stream(monitored) -> None:
    async def stream(request: Request) -> StreamingResponse:
        async def endless() -> Any:
            while True:
                yield "x" * 1000
                await asyncio.sleep(0)

        return StreamingResponse(endless())

    middleware = monitored(Starlette(routes=[Route("/stream", stream, methods=["POST"])]))
    with serving(middleware) as port, request(port, "/stream") as response:
        assert response.read(1000) == b"x" * 1000
    exchange = middleware.exchange()
    assert (exchange.end, exchange.error_type, exchange.status) == (End.DISCONNECT, "", 200)
    assert exchange.response_bytes >= 1000


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_the_server_s_root_path(root_path, monitored) -> None:
    def score(request: Request) -> JSONResponse:
        return JSONResponse({"path": request.url.path})

    app = Starlette(routes=[Route("/score", score, methods=["POST"])])
    middleware = monitored(app, routes=["POST /score"])
    with serving(middleware, root_path=root_path) as port:
        assert answered(port)[2] == {"path": f"{root_path}/score"}
    assert middleware.exchange().path == f"{root_path}/score"


def test_a_mounted_sub_application(monitored) -> None:
    def score(request: Request) -> JSONResponse:
        return JSONResponse({"root": request.scope["root_path"], "path": request.scope["path"]})

    inner = monitored(Starlette(routes=[Route("/score", score, methods=["POST"])]), routes=["POST /score"])
    with serving(Starlette(routes=[Mount("/models/fraud", app=inner)])) as port:
        _, headers, told = answered(port, "/models/fraud/score")
        assert told == {"root": "/models/fraud", "path": "/models/fraud/score"}
        assert answered(port, "/models/fraud/other")[0] == 404
    assert inner.exchange().prediction_id == headers[ID]


def test_mounted_outside_and_inside_is_captured_once(monitored) -> None:
    def score(request: Request) -> JSONResponse:
        return JSONResponse({})

    inner = monitored(Starlette(routes=[Route("/score", score, methods=["POST"])]))
    outer = monitored(Starlette(routes=[Mount("/sub", app=inner)]))
    with serving(outer) as port:
        _, headers, _ = answered(port, "/sub/score")
    assert headers.get_all(ID) == [outer.exchange().prediction_id]
    assert inner.drained() == []


def test_lifespan_and_requests_under_the_server(monitored) -> None:
    log: list[str] = []

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> Any:
        log.append("theirs up")
        yield {"model": "loaded"}
        log.append("theirs down")

    def score(request: Request) -> JSONResponse:
        log.append("request")
        return JSONResponse({"model": request.state.model})

    tapped = monitored(Starlette(routes=[Route("/score", score, methods=["POST"])], lifespan=life))

    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            return await tapped(scope, receive, send)
        started, stopping = noting("ours up"), noting("ours down")
        await forward_lifespan(tapped, scope, receive, send, started, stopping, faults=tapped.capture.faults)

    def noting(what: str) -> Callable[[], None]:
        return lambda: log.append(what)

    with serving(app, lifespan="on") as port:
        assert answered(port)[2] == {"model": "loaded"}
    assert log == ["theirs up", "ours up", "request", "theirs down", "ours down"]
    assert tapped.exchange().status == 200
