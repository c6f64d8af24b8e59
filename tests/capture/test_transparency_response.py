"""Answers leave as without us: every message of every extension, in order, at once, as the object that it was."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from transparency import assert_nothing_differs, assert_only_the_id_differs, bare, play

from mlmon_sidecar.records import End

PAIRS = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]


def start(status: int = 200, headers: Any = PAIRS, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(content: Any = b"", *, more: bool = False, **extra: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more, **extra}


ANYTHING = object()
EARLY = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
PUSH = {"type": "http.response.push", "path": "/a.css", "headers": []}
DEBUG = {"type": "http.response.debug", "info": {"template": "x", "context": ANYTHING}}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"digest", b"1")], "more_trailers": True}


def last_trailers() -> dict[str, Any]:
    return {"type": "http.response.trailers", "headers": iter([(b"digest", b"2")])}


PATHSEND = {"type": "http.response.pathsend", "path": "/tmp/model.bin"}

ANSWERS: dict[str, Any] = {
    "one body": lambda: [start(), body(b"ok")],
    "a stream": lambda: [start(), *(body(b"%d" % n, more=True) for n in range(20)), body()],
    "a stream with empty parts": lambda: [start(), *(body(part, more=True) for part in (b"", b"a", b"")), body(b"b")],
    "a stream that is never ended": lambda: [start(), body(b"a", more=True)],
    "no body message at all": lambda: [start()],
    "nothing at all": lambda: [],
    "a body before its start": lambda: [body(b"early"), start()],
    "messages after the last": lambda: [start(), body(b"ok"), body(b"again"), start(500), body(b"more")],
    "HEAD, with the length of what is not sent": lambda: [start(headers=[(b"content-length", b"9")]), body()],
    "204": lambda: [{"type": "http.response.start", "status": 204}, {"type": "http.response.body"}],
    "304": lambda: [start(304), body()],
    "informational, then the answer": lambda: [start(100, []), start(103, [(b"link", b"<a>")]), start(), body(b"ok")],
    "early hints": lambda: [EARLY, start(), body(b"ok")],
    "push": lambda: [PUSH, start(), PUSH, body(b"ok")],
    "debug": lambda: [DEBUG, start(), body(b"ok")],
    "trailers": lambda: [start(trailers=True), body(b"ok"), TRAILERS, last_trailers()],
    "pathsend": lambda: [start(), PATHSEND],
    "zerocopysend": lambda: [start(), {"type": "http.response.zerocopysend", "file": 3, "offset": 5, "count": 70}],
    "zerocopysend in parts": lambda: (
        [start(), body(b"head", more=True)]
        + [{"type": "http.response.zerocopysend", "file": 3, "count": n, "more_body": n < 2} for n in range(3)]
    ),
    "a type nobody knows": lambda: [{"type": "http.response.hologram", "depth": 3}, start(), body(b"ok")],
    "keys nobody knows": lambda: [start(reason=b"Fine", extra=ANYTHING), body(b"ok", flush=True)],
    "missing keys": lambda: [{"type": "http.response.start", "status": 200}, {"type": "http.response.body"}],
    "headers as a tuple": lambda: [start(headers=tuple(PAIRS)), body(b"ok")],
    "headers as a generator": lambda: [start(headers=(pair for pair in PAIRS)), body(b"ok")],
    "headers as lists": lambda: [start(headers=[list(pair) for pair in PAIRS]), body(b"ok")],
    "headers that cannot be decoded": lambda: [start(headers=[(b"x-\xff\xfe", b"\x80\xff"), (b"", b"")]), body(b"ok")],
    "headers in upper case": lambda: [start(headers=[(b"Content-TYPE", b"a"), (b"CONTENT-LENGTH", b"2")]), body(b"ok")],
    "a length that is no number": lambda: [start(headers=[(b"content-length", b"\xb2")]), PATHSEND],
    "a memoryview": lambda: [start(), body(memoryview(b"ok"))],
    "a memoryview of numbers": lambda: [start(), body(memoryview(b"12345678").cast("I"))],
    "a bytearray": lambda: [start(), body(bytearray(b"ok"))],
    "a body of the wrong type": lambda: [start(), body("text")],
    "a status of the wrong type": lambda: [start("200"), body(b"ok")],  # type: ignore[arg-type]
    "no type": lambda: [{"status": 200}, start(), body(b"ok")],
    "no status": lambda: [{"type": "http.response.start"}, body(b"ok")],
    "headers of the wrong shape": lambda: [start(headers=[b"content-type"]), body(b"ok")],
    "headers that are text": lambda: [start(headers=[("content-type", "text/plain")]), body(b"ok")],
}


def sends(messages: list[Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)

    return app


@pytest.mark.parametrize("name", ANSWERS)
def test_response(name, mount, http_scope) -> None:
    watched = assert_nothing_differs(mount, lambda: sends(ANSWERS[name]()), http_scope)
    assert all(entry[2] for entry in watched.log if entry[0] == "server gets"), "each message is the very object"


@pytest.mark.parametrize("name", ANSWERS)
def test_response_with_the_id_header(name, middleware, http_scope) -> None:
    assert_only_the_id_differs(middleware, lambda: sends(ANSWERS[name]()), http_scope)


@pytest.mark.parametrize("spec", ["2.0", "2.4", "2.5", "3.0", None, 7])
def test_response_under_every_version_of_the_specification(spec, mount, http_scope) -> None:
    """From 2.4 on ``send`` may raise, and is watched: the messages are the same."""
    assert_nothing_differs(
        mount, lambda: sends(ANSWERS["a stream"]()), lambda: http_scope(asgi={"version": "3.0", "spec_version": spec})
    )


async def send_from_two_tasks(scope: Any, receive: Any, send: Any) -> None:
    await send(start())
    await asyncio.gather(send(body(b"a", more=True)), send(body(b"b", more=True)))
    await send(body())


async def send_made_before_it_is_awaited(scope: Any, receive: Any, send: Any) -> None:
    waiting = [send(start()), send(body(b"a", more=True)), send(body(b"b"))]
    for one in waiting:
        await one


async def send_in_a_task(scope: Any, receive: Any, send: Any) -> None:
    for message in (start(), body(b"a", more=True), body(b"b")):
        await asyncio.create_task(send(message))


async def changes_a_message_that_was_sent(scope: Any, receive: Any, send: Any) -> None:
    """A buffer and a message used again and again, as frugal applications do."""
    buffer = bytearray(b"aaaa")
    message = body(buffer, more=True)
    await send(start())
    for letter in b"abc":
        buffer[:] = bytes([letter]) * 4
        await send(message)
    await send(body())


async def leaves_work_behind(scope: Any, receive: Any, send: Any) -> None:
    await sends([start(), body(b"ok")])(scope, receive, send)
    for _ in range(3):
        await asyncio.sleep(0)
    await receive()


async def leaves_a_task_behind(scope: Any, receive: Any, send: Any) -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        with suppress(Exception):
            await send(body(b"late"))

    await sends([start(), body(b"ok")])(scope, receive, send)
    LEFT.append(asyncio.create_task(later()))


LEFT: list[Any] = []  # asyncio keeps only weak ones
HANDLERS = [
    send_from_two_tasks,
    send_made_before_it_is_awaited,
    send_in_a_task,
    changes_a_message_that_was_sent,
    leaves_work_behind,
    leaves_a_task_behind,
]


@pytest.mark.parametrize("app", HANDLERS, ids=lambda app: app.__name__)
def test_ways_to_send(app, mount, http_scope) -> None:
    incoming = [{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}]
    if app is send_made_before_it_is_awaited:  # the witness between them would await one by one
        sent = [play(mounting, app, http_scope(), incoming).shown for mounting in (bare, mount)]
        assert sent[0] == sent[1]
    else:
        assert_nothing_differs(mount, lambda: app, http_scope, incoming=incoming)


def test_a_buffer_that_is_written_again_is_recorded_as_it_was_sent(middleware, captured, http_scope) -> None:
    mounted: list[Any] = []
    play(lambda app: mounted.append(middleware(app)) or mounted[0], changes_a_message_that_was_sent, http_scope())
    (exchange,) = captured(mounted[0])
    assert exchange.response_body == (b"aaaa", b"bbbb", b"cccc")


def test_background_work_is_cancelled_by_the_server_alone(middleware, captured, http_scope) -> None:
    """A client that leaves after the answer neither cancels what still runs nor makes the answer incomplete."""
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sends([start(), body(b"ok")])(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"
        await asyncio.sleep(0)
        reached.append("the end")

    mounted: list[Any] = []
    incoming = [{"type": "http.request"}, {"type": "http.disconnect"}]
    play(lambda inner: mounted.append(middleware(inner)) or mounted[0], app, http_scope(), incoming)
    (exchange,) = captured(mounted[0])
    assert (reached, exchange.end) == (["the end"], End.COMPLETE)


def test_a_long_stream_costs_no_memory_of_ours(middleware, captured, http_scope) -> None:
    count, size = 2_000, 64 * 1024

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal peak
        await send(start())
        tracemalloc.start()
        for _ in range(count):
            await send(body(bytes(size), more=True))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await send(body())

    async def nothing(*_: Any) -> Any:
        return None

    peak = 0
    mounted = middleware(app)
    asyncio.run(mounted(http_scope(), nothing, nothing))
    (exchange,) = captured(mounted)
    assert (exchange.response_bytes, exchange.response_body) == (count * size, ())
    assert peak < 6 * size


def test_asynchronous_functions_stay_recognisable(middleware, http_scope) -> None:
    """Adapters ask whether ``receive`` and ``send`` are asynchronous, and warn in every request where they are not."""
    from asgiref.sync import iscoroutinefunction

    seen: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([iscoroutinefunction(receive), iscoroutinefunction(send)])

    async def wire(*_: Any) -> Any:
        return {"type": "http.request"}

    asyncio.run(middleware(app)(http_scope(), wire, wire))
    assert seen == [True, True]


def test_a_wsgi_application_behind_the_adapter(mount, http_scope, wire) -> None:
    from asgiref.wsgi import WsgiToAsgi

    def wsgi(environ: Any, start_response: Any) -> Any:
        content = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
        return [content[:3], content[3:]]

    answers = []
    for mounting in (bare, mount):
        connection = wire()
        scope = http_scope(query_string=b"", http_version="1.1")
        asyncio.run(mounting(WsgiToAsgi(wsgi))(scope, connection.receive, connection.send))
        answers.append(connection.sent)
    assert answers[1] == answers[0]
    assert [message.get("body") for message in answers[0]] == [None, b'{"a', b'":1}', None]
