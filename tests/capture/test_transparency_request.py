"""Requests reach the application as without us: nothing is read ahead, kept back, cut or said twice."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from transparency import assert_nothing_differs, assert_only_the_id_differs, bare, play, trips_through_the_loop

from mlmon_sidecar.records import End

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
DONE = {"type": "http.response.body", "body": b"ok"}
GONE = {"type": "http.disconnect"}


def part(content: Any, *, more: bool = True, **extra: Any) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more, **extra}


WHOLE = part(b'{"a":1}', more=False)


async def answer(send: Any) -> None:
    await send(dict(START))
    await send(dict(DONE))


async def answers_without_reading(scope, receive, send):
    await answer(send)


async def reads_all(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await answer(send)


async def reads_after_it_began_to_answer(scope, receive, send):
    await send(dict(START))
    await receive()
    await send({"type": "http.response.body", "body": b"o", "more_body": True})
    await receive()
    await send({"type": "http.response.body", "body": b"k"})


async def reads_a_part_and_answers(scope, receive, send):
    await receive()
    await answer(send)


async def reads_on_after_the_body(scope, receive, send):
    for _ in range(4):
        await receive()
    await answer(send)


async def gives_up_a_read_that_never_comes(scope, receive, send):
    await receive()
    reading = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    reading.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await reading
    await answer(send)


async def reads_twice_at_once(scope, receive, send):
    first, second = await asyncio.gather(receive(), receive())
    assert (first["type"], second["type"]) == ("http.request", "http.disconnect")
    await answer(send)


async def listens_for_the_end_while_it_answers(scope, receive, send):
    await receive()
    watching = asyncio.ensure_future(receive())
    await send(dict(START))
    await watching
    await send(dict(DONE))


async def slow_part() -> dict[str, Any]:
    for _ in range(3):
        await asyncio.sleep(0)
    return part(b"slow", more=False)


async def broken_pipe() -> dict[str, Any]:
    raise ConnectionResetError("the server's own")


async def lets_the_server_s_error_pass(scope, receive, send):
    await receive()
    await receive()


PLAYS: dict[str, tuple[Any, list[Any]]] = {
    "the body is not drained before the app asks": (answers_without_reading, [WHOLE]),
    "receive is not called when nobody reads": (answers_without_reading, []),
    "one message": (reads_all, [WHOLE]),
    "many parts": (reads_all, [part(b"a"), part(b""), part(b"b"), part(b"c", more=False)]),
    "parts that are slow in coming": (reads_all, [part(b"a"), slow_part]),
    "read after the answer began": (reads_after_it_began_to_answer, [part(b"a"), part(b"b", more=False)]),
    "half read": (reads_a_part_and_answers, [part(b"a"), part(b"b", more=False)]),
    "late reads get what the server says, not the body again": (reads_on_after_the_body, [WHOLE, GONE, GONE, GONE]),
    "repeated disconnects": (reads_on_after_the_body, [part(b"a"), GONE, GONE, GONE]),
    "disconnect before anything": (reads_on_after_the_body, [GONE, GONE, GONE, GONE]),
    "a late second read can be given up": (gives_up_a_read_that_never_comes, [WHOLE]),
    "two reads at once": (reads_twice_at_once, [WHOLE, GONE]),
    "a disconnect heard in another task": (listens_for_the_end_while_it_answers, [WHOLE, GONE]),
    "missing keys": (reads_all, [{"type": "http.request"}]),
    "keys nobody knows": (reads_all, [part(b"a", more=False, extensions={"x": 1}, trailers=True)]),
    "a body that is None": (reads_all, [part(None, more=False)]),
    "a bytearray": (reads_all, [part(bytearray(b"abc"), more=False)]),
    "a memoryview": (reads_all, [part(memoryview(b"abc"), more=False)]),
    "a body of the wrong type": (reads_all, [part(17, more=False)]),
    "messages nobody knows": (reads_on_after_the_body, [{"type": "http.request.trailers", "headers": []}] * 4),
    "the server's own error in receive": (lets_the_server_s_error_pass, [part(b"a"), broken_pipe]),
}


@pytest.mark.parametrize("name", PLAYS)
def test_request(name, mount, http_scope) -> None:
    app, incoming = PLAYS[name]
    assert_nothing_differs(mount, lambda: app, http_scope, incoming=incoming)


@pytest.mark.parametrize("name", PLAYS)
def test_request_with_the_id_header(name, middleware, http_scope) -> None:
    app, incoming = PLAYS[name]
    assert_only_the_id_differs(middleware, lambda: app, http_scope, incoming=incoming)


def test_a_body_over_the_cap_reaches_the_application_whole(monitored, http_scope) -> None:
    parts = [part(b"x" * 1_000), part(b"y" * 1_000), part(b"z" * 1_000, more=False)]
    assert_nothing_differs(
        lambda app: monitored(app, max_body_bytes=10, prediction_id_header=None),
        lambda: reads_all,
        http_scope,
        incoming=parts,
    )


@pytest.mark.parametrize("how", ["excluded path", "method", "switched off"])
def test_what_is_not_captured_is_not_even_touched(how, middleware, http_scope) -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        raise AssertionError

    mounted = middleware(app)
    if how == "switched off":
        mounted._process = None
    scope = http_scope("/health" if how == "excluded path" else "/score", "GET" if how == "method" else "POST")
    asyncio.run(mounted(scope, receive, send))
    assert [one is other for one, other in zip(seen, (scope, receive, send), strict=True)] == [True] * 3


def test_no_extra_trip_through_the_loop(middleware, http_scope) -> None:
    """A message that is ready is handed over at once: in a cancelled scope the first suspension would lose it."""

    class Ready:
        def __init__(self) -> None:
            self.incoming = [part(b"a"), part(b"b", more=False), GONE]

        async def receive(self) -> Any:
            return self.incoming.pop(0)

        async def send(self, message: Any) -> None:
            pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            await receive()
        await send(dict(START))
        for number in range(5):
            await send({"type": "http.response.body", "body": b"x", "more_body": number < 4})

    for mounting in (bare, middleware, lambda inner: middleware(inner, prediction_id_header="x-id")):
        for spec in ("2.3", "2.4"):
            scope = http_scope(asgi={"version": "3.0", "spec_version": spec})
            wires = Ready()
            assert trips_through_the_loop(mounting, app, scope, wires.receive, wires.send) == 0


def framework(log: list[Any]) -> Starlette:
    """Handlers that ask for the body in all the ways a framework offers."""

    async def twice(request: Request) -> JSONResponse:
        log.append((await request.body(), await request.body(), await request.json()))
        return JSONResponse({})

    async def gone(request: Request) -> JSONResponse:
        await request.body()
        log.append(await request.is_disconnected())
        if request.headers.get("x-leaves"):
            await asyncio.sleep(0)
            log.append(await request.is_disconnected())
        return JSONResponse({})

    async def cut_off(request: Request) -> JSONResponse:
        with pytest.raises(ClientDisconnect):
            await request.body()
        log.append("cut off")
        return JSONResponse({})

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        log.append([await receive(), await receive()])
        await answer(send)

    routes = [Route("/twice", twice, methods=["POST"]), Route("/gone", gone, methods=["POST"])]
    routes += [Route("/cut", cut_off, methods=["POST"]), Mount("/raw", app=raw)]
    return Starlette(routes=routes)


@pytest.mark.parametrize(
    ("path", "incoming", "told"),
    [
        ("/twice", [part(b'{"a"'), part(b":1}", more=False)], (b'{"a":1}', b'{"a":1}', {"a": 1})),
        ("/gone", [WHOLE], False),
        ("/gone", [WHOLE, GONE], True),
        ("/cut", [part(b"{"), GONE], "cut off"),
        ("/raw/", [part(b"a"), GONE], [part(b"a"), GONE]),
    ],
    ids=["the body twice", "is_disconnected is false", "is_disconnected is true", "disconnect", "a raw mounted app"],
)
def test_what_a_framework_reads(path, incoming, told, mount, http_scope) -> None:
    log: list[Any] = []
    assert_nothing_differs(mount, lambda: framework(log), lambda: http_scope(path), incoming=incoming)
    assert log == [told, told], "alone, and watched"


def test_a_disconnect_in_the_middle_is_recorded_as_one(middleware, captured, http_scope) -> None:
    mounted: list[Any] = []

    def mounting(app: Any) -> Any:
        mounted.append(middleware(app))
        return mounted[0]

    play(mounting, reads_on_after_the_body, http_scope(), [part(b"half"), GONE, GONE, GONE])
    (exchange,) = captured(mounted[0])
    assert (exchange.end, exchange.request_body) == (End.DISCONNECT, (b"half",))


def test_a_large_body_costs_no_memory_of_ours(middleware, captured, http_scope) -> None:
    """Parts are referenced up to the cap and only counted beyond it: nothing is joined, nothing grows."""
    count, size = 2_000, 64 * 1024
    peak = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal peak
        tracemalloc.start()
        while (await receive())["more_body"]:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await answer(send)

    given = 0

    async def receive() -> Any:
        nonlocal given
        given += 1
        return part(bytes(size), more=given < count)

    async def send(message: Any) -> None:
        pass

    mounted = middleware(app)
    asyncio.run(mounted(http_scope(), receive, send))
    (exchange,) = captured(mounted)
    assert (exchange.request_bytes, exchange.request_body) == (count * size, ())
    assert peak < 6 * size
