"""Scopes of every kind and in every state: the very object reaches the application, and nothing is made of it."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest
from asgiref.compatibility import is_double_callable
from hypercorn.utils import is_asgi
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect
from transparency import assert_nothing_differs, bare, play
from uvicorn import Config

PAIRS = [(b"host", b"model.test"), (b"content-type", b"application/json")]


async def app_that_looks_at_everything(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the scope, and leaves its own marks in it, as routers do."""
    shown = {key: value for key, value in dict(scope).items() if key != "headers"}
    scope["path_params"] = {"model": "fraud"}
    scope["mlmon"] = "theirs"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(shown).encode()})


SCOPES: dict[str, dict[str, Any]] = {
    "as servers make it": {"query_string": b"a=1", "raw_path": b"/score", "client": ("127.0.0.1", 1), "server": None},
    "state": {"state": {"model": "loaded"}},
    "extensions": {"extensions": {"http.response.pathsend": {}, "tls": {"server_cert": None}, "x": {}}},
    "root_path": {"path": "/api/score", "root_path": "/api"},
    "root_path that the path lacks": {"root_path": "/api"},
    "root_path that only looks like a prefix": {"path": "/apiary", "root_path": "/api"},
    "root_path is the whole path": {"path": "/api", "root_path": "/api"},
    "root_path with a slash": {"path": "/api/score", "root_path": "/api/"},
    "root_path None": {"root_path": None},
    "unmatched path": {"path": "/no/such/route/" + "x" * 5_000},
    "empty path": {"path": ""},
    "path without a slash": {"path": "score"},
    "path as in an absolute address": {"path": "http://other/score"},
    "path with what is no text": {"path": "/\udcff\x00\n"},
    "star path": {"path": "*", "method": "OPTIONS"},
    "bytes path": {"path": b"/score"},
    "malformed Host": {"headers": [(b"host", b"\xff:99999:\r\n<script>")]},
    "two Hosts": {"headers": [(b"host", b"a"), (b"host", b"b")]},
    "undecodable headers": {"headers": [(b"\xff\xfe", b"\x80"), (b"", b""), (b"content-type", b"\xff")]},
    "repeated headers": {"headers": [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-type", b"a"), (b"content-type", b"b")]},
    "headers in upper case": {"headers": [(b"Content-Type", b"a")]},
    "headers as a tuple": {"headers": tuple(PAIRS)},
    "headers as lists": {"headers": [list(pair) for pair in PAIRS]},
    "headers of the wrong shape": {"headers": [b"host"]},
    "headers None": {"headers": None},
    "ASGI 2": {"asgi": {"version": "2.0"}},
    "asgi without versions": {"asgi": {}},
    "asgi None": {"asgi": None},
    "a method nobody knows": {"method": "BREW"},
    "a method in small letters": {"method": "post"},
    "CORS preflight": {"method": "OPTIONS", "headers": [*PAIRS, (b"access-control-request-method", b"POST")]},
    "http/2": {"http_version": "2", "scheme": "https"},
    "websocket": {"type": "websocket", "subprotocols": ["a"]},
    "lifespan": {"type": "lifespan"},
    "webtransport": {"type": "webtransport"},
    "a type in capitals": {"type": "HTTP"},
    "a type that is no text": {"type": 7},
    "a type that cannot be hashed": {"type": ["http"]},
}


@pytest.mark.parametrize("name", SCOPES)
def test_scope(name, mount, http_scope) -> None:
    made: list[dict[str, Any]] = []

    def scope() -> Any:
        made.append(http_scope(**{"asgi": {"version": "3.0", "spec_version": "2.3"}, **copy.deepcopy(SCOPES[name])}))
        return made[-1]

    watched = assert_nothing_differs(mount, lambda: app_that_looks_at_everything, scope, incoming=[])
    assert watched.log[0][:3] == ("called", True, True), "the very scope, in the very task"
    assert made[1] == made[0]
    assert made[1]["mlmon"] == "theirs"


@pytest.mark.parametrize("missing", ["type", "asgi", "method", "path", "headers"])
def test_a_scope_with_a_key_missing(missing, mount, http_scope) -> None:
    def scope() -> Any:
        made = http_scope()
        del made[missing]
        return made

    assert_nothing_differs(mount, lambda: app_that_looks_at_everything, scope, incoming=[])


def test_headers_that_can_be_read_once_are_the_application_s(mount, http_scope) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(list(scope["headers"]))

    assert_nothing_differs(mount, lambda: app, lambda: http_scope(headers=iter(PAIRS)))
    assert seen == [PAIRS, PAIRS]


@pytest.mark.parametrize("kind", [UserDict, MappingProxyType], ids=["a mapping", "a read-only mapping"])
def test_a_scope_that_is_no_dict(kind, mount, http_scope) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert type(scope) is kind

    assert_nothing_differs(mount, lambda: app, lambda: kind(http_scope()))


def test_what_the_application_leaves_in_the_scope_is_seen_outside(mount, http_scope) -> None:
    scope = http_scope(state={})
    play(mount, app_that_looks_at_everything, scope, [])
    assert scope["path_params"] == {"model": "fraud"}
    assert set(scope) == {*http_scope(state={}), "path_params", "mlmon"}, "and nothing of ours"


# ---------------------------------------------------------------- ASGI 2 and 3


def test_servers_and_adapters_take_it_for_asgi_3(middleware) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    mounted = middleware(app)
    assert not is_double_callable(mounted)
    assert is_asgi(mounted)
    config = Config(mounted, log_config=None)
    config.load()
    assert config.interface == "asgi3"
    assert asyncio.iscoroutinefunction(mounted.__call__) and not asyncio.iscoroutinefunction(mounted)


class Callable3:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await app_that_looks_at_everything(scope, receive, send)

    async def method(self, scope: Any, receive: Any, send: Any) -> None:
        await self(scope, receive, send)


async def with_one_more(extra: int, scope: Any, receive: Any, send: Any) -> None:
    await app_that_looks_at_everything(scope, receive, send)


def returns_an_awaitable(scope: Any, receive: Any, send: Any) -> Any:
    return asyncio.ensure_future(app_that_looks_at_everything(scope, receive, send))


@pytest.mark.parametrize(
    "app",
    [Callable3(), Callable3().method, functools.partial(with_one_more, 1), returns_an_awaitable],
    ids=["an object", "a method", "a partial", "a plain function"],
)
def test_applications_of_every_make(app, mount, http_scope, wire) -> None:
    answers = []
    for mounting in (bare, mount):
        connection = wire()
        asyncio.run(_call(mounting(app), http_scope(), connection))
        answers.append(connection.sent)
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2


async def _call(app: Any, scope: Any, connection: Any) -> None:
    await app(scope, connection.receive, connection.send)


# ---------------------------------------------------------------- other protocols


@pytest.mark.parametrize("accepts", [True, False])
def test_a_websocket_connects_talks_and_ends(accepts, mount) -> None:
    incoming = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.receive", "bytes": b"\x00"},
        {"type": "websocket.disconnect", "code": 1001},
    ]

    async def talk(websocket: Any) -> None:
        if not accepts:
            return await websocket.close(4000)
        await websocket.accept("a", [(b"x-a", b"1")])
        await websocket.send_text(await websocket.receive_text())
        await websocket.send_bytes(await websocket.receive_bytes())
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive_text()

    def scope() -> dict[str, Any]:
        return {"type": "websocket", "path": "/score", "headers": [], "query_string": b"", "subprotocols": ["a"]}

    watched = assert_nothing_differs(
        mount, lambda: Starlette(routes=[WebSocketRoute("/score", talk)]), scope, incoming=incoming
    )
    assert watched.sent[0]["type"] == ("websocket.accept" if accepts else "websocket.close")
    assert watched.our_frames == 0


@pytest.mark.parametrize("kind", ["websocket", "webtransport", "mcp"])
def test_what_is_not_http_gets_the_server_s_own_ends(kind, middleware) -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    async def end(*_: Any) -> Any:
        raise AssertionError

    scope = {"type": kind}
    asyncio.run(middleware(app)(scope, end, end))
    assert seen[0] is scope and seen[1] is end and seen[2] is end


# ---------------------------------------------------------------- what must not become a label


def test_paths_and_preflights_leave_no_trace(middleware, captured, http_scope) -> None:
    """A CORS preflight is no prediction; what a client calls its path reaches no counter's name."""

    async def score(request: Any) -> JSONResponse:
        return JSONResponse({})

    app = Starlette(
        routes=[Route("/score", score, methods=["POST"])],
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"])],
    )
    mounted = middleware(app)
    asked = [(b"origin", b"http://x"), (b"access-control-request-method", b"POST")]
    for number in range(200):
        play(lambda _: mounted, app, http_scope("/score", "OPTIONS", headers=asked))
        play(lambda _: mounted, app, http_scope(f"/client/chosen/{number}"))
    exchanges = captured(mounted)
    assert {(exchange.method, exchange.status, exchange.model) for exchange in exchanges} == {("POST", 404, "fraud")}


def test_a_mounted_application_keeps_its_own_paths(mount, http_scope) -> None:
    async def score(request: Any) -> JSONResponse:
        return JSONResponse([request.scope["root_path"], request.scope["path"], str(request.url)])

    def framework(mounting: Any) -> Any:
        return Starlette(
            routes=[Mount("/sub", app=mounting(Starlette(routes=[Route("/score", score, methods=["POST"])])))]
        )

    def scope() -> Any:
        return http_scope("/api/sub/score", root_path="/api", query_string=b"a=1", server=("h", 80), scheme="http")

    alone, watched = (play(bare, framework(mounting), scope()) for mounting in (bare, mount))
    assert watched.shown == alone.shown
    assert alone.shown[1]["body"] == b'["/api/sub","/api/sub/score","http://127.0.0.1/api/sub/score?a=1"]'
