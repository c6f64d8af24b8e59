from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from typing import Any

import pytest

from mlmon_sidecar.capture.annotate import annotate
from mlmon_sidecar.capture.exchange_tap import CURRENT
from mlmon_sidecar.capture.wiring import DEFAULT_ID_HEADER, CaptureOptions
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.records import End, Exchange

FINAL = {"type": "http.response.body", "body": b"", "more_body": False}


def start(status: int = 200, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [(b"Content-Type", b"text/plain")], **more}


def body(content: Any = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


# ---------------------------------------------------------------- what is recorded


def test_one_exchange_field_by_field(monitored, http_scope, wire, ticks) -> None:
    async def app(scope, receive, send):
        ticks.ns = 1_010
        await receive()
        await receive()
        ticks.ns = 1_020
        await send(start(201))
        ticks.ns = 1_030
        await send(body(b"par", more=True))
        ticks.ns = 1_040
        await send(body(b"tial"))
        ticks.ns = 9_999

    middleware = monitored(app, now=ticks)
    connection = wire(
        {"type": "http.request", "body": b'{"a"', "more_body": True}, {"type": "http.request", "body": b":1}"}
    )
    asyncio.run(middleware(http_scope("/api/score", root_path="/api"), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert exchange == Exchange(
        prediction_id=exchange.prediction_id,
        model="fraud",
        method="POST",
        path="/api/score",
        started_ns=1_000,
        first_byte_ns=1_030,
        ended_ns=1_040,
        status=201,
        end=End.COMPLETE,
        error_type="",
        request_headers=((b"content-type", b"application/json"), (b"content-length", b"7")),
        request_body=(b'{"a"', b":1}"),
        request_bytes=7,
        response_headers=((b"content-type", b"text/plain"),),
        response_body=(b"par", b"tial"),
        response_bytes=7,
        trace_id=0,
        span_id=0,
        trace_sampled=False,
        annotations=(),
        chunk_ns=(1_030, 1_040),
        response_chunks=2,
        response_tail=(),
    )
    minted = uuid.UUID(exchange.prediction_id)
    assert minted.version == 7
    assert str(minted) == exchange.prediction_id


FORKING = """
import os
from mlmon_sidecar.capture import exchange_tap

exchange_tap.uuid7()
reader, writer = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        ids = "".join(f"{exchange_tap.uuid7()}\\n" for _ in range(200))
        os.write(writer, ids.encode())
        os._exit(0)
for _ in range(4):
    assert os.wait()[1] == 0
print(os.read(reader, 100_000).decode())
"""


def test_forked_processes_mint_ids_of_their_own() -> None:
    run = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, timeout=60)
    ids = run.stdout.split()
    assert len(ids) == 800
    tails = {minted[15:] for minted in ids}  # without time and counter: what the generators drew
    assert len(tails) == 800


def test_chunks_are_referenced_not_copied(monitored, http_scope, wire, answer) -> None:
    asked, answered = bytes(bytearray(b"request")), bytes(bytearray(b"response"))
    middleware = monitored(answer(start(), body(answered)))
    connection = wire({"type": "http.request", "body": asked})
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert exchange.request_body[0] is asked
    assert exchange.response_body[0] is answered


def test_bodies_over_the_cap_are_counted_not_kept(monitored, http_scope, wire, answer) -> None:
    middleware = monitored(answer(start(), body(b"y" * 60, more=True), body(b"z" * 60)), max_body_bytes=100)
    connection = wire(
        {"type": "http.request", "body": b"x" * 100, "more_body": True},
        {"type": "http.request", "body": b"x", "more_body": False},
    )
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert (exchange.request_body, exchange.request_bytes) == ((), 101)
    assert (exchange.response_body, exchange.response_bytes) == ((), 120)
    assert [message["body"] for message in connection.sent[1:]] == [b"y" * 60, b"z" * 60]


def test_configured_headers_only(monitored, http_scope, wire, answer) -> None:
    middleware = monitored(answer(), headers=frozenset({b"x-request-id"}))
    connection = wire()
    scope = http_scope(headers=[(b"x-request-id", b"1"), (b"cookie", b"secret"), (b"x-request-id", b"2")])
    asyncio.run(middleware(scope, connection.receive, connection.send))
    assert middleware.exchange().request_headers == ((b"x-request-id", b"1"), (b"x-request-id", b"2"))


def test_background_work_is_neither_latency_nor_failure(monitored, http_scope, wire, ticks) -> None:
    middleware = None

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"done"))
        assert middleware is not None
        assert middleware.capture.handoff.stats().accepted == 1  # recorded before the background work begins
        ticks.ns += 3_600_000_000_000
        raise RuntimeError("background")

    middleware = monitored(app, now=ticks)
    connection = wire()
    with pytest.raises(RuntimeError, match="background"):
        asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert (exchange.end, exchange.error_type) == (End.COMPLETE, "")
    assert exchange.ended_ns - exchange.started_ns == 0


def test_concurrent_requests_do_not_mix(monitored, http_scope, wire) -> None:
    count = 50

    async def app(scope, receive, send):
        message = await receive()
        await barrier.wait()  # all requests are open at once
        await send(start(200 + int(message["body"])))
        await barrier.wait()
        await send(body(b"answer " + message["body"]))

    middleware = monitored(app)
    connections = [wire({"type": "http.request", "body": b"%d" % number}) for number in range(count)]

    async def main() -> None:
        await asyncio.gather(*(middleware(http_scope(), wired.receive, wired.send) for wired in connections))

    barrier = asyncio.Barrier(count)
    asyncio.run(main())
    exchanges = middleware.drained()
    assert len({exchange.prediction_id for exchange in exchanges}) == count
    by_id = {exchange.prediction_id.encode(): exchange for exchange in exchanges}
    for number, connection in enumerate(connections):
        exchange = by_id[dict(connection.sent[0]["headers"])[DEFAULT_ID_HEADER]]
        assert exchange.request_body == (b"%d" % number,)
        assert exchange.response_body == (b"answer %d" % number,)
        assert exchange.status == 200 + number


# ---------------------------------------------------------------- what goes by


def test_the_header_is_appended_on_a_copy(monitored, http_scope, wire, answer) -> None:
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-length", b"2")]
    opening = {**start(), "headers": headers, "trailers": True}
    middleware = monitored(answer(opening, body(b"ok")))
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    sent = connection.sent[0]
    added = (DEFAULT_ID_HEADER, middleware.exchange().prediction_id.encode())
    assert sent == {**opening, "headers": [*headers, added]}
    assert isinstance(sent["headers"], list)
    assert opening["headers"] is headers
    assert len(headers) == 3


def test_without_a_header_name_nothing_differs(monitored, http_scope, wire) -> None:
    seen: list[Any] = []
    outgoing = [start(), body(b"a", more=True), body(b"b")]
    incoming = [{"type": "http.request", "body": b"1", "more_body": True}, {"type": "http.request", "body": b"2"}]
    scope = http_scope()
    before = {key: (id(value), repr(value)) for key, value in scope.items()}

    async def app(inner_scope, receive, send):
        assert inner_scope is scope
        seen.extend([await receive(), await receive()])
        for message in outgoing:
            await send(message)

    middleware = monitored(app, prediction_id_header=None)
    connection = wire(*incoming)
    asyncio.run(middleware(scope, connection.receive, connection.send))
    assert all(mine is theirs for mine, theirs in zip(seen, incoming, strict=True))
    assert all(mine is theirs for mine, theirs in zip(connection.sent, outgoing, strict=True))
    assert {key: (id(value), repr(value)) for key, value in scope.items()} == before
    assert middleware.exchange().response_body == (b"a", b"b")


def test_every_chunk_leaves_before_the_next_is_made(monitored, http_scope, wire) -> None:
    connection = wire()

    async def app(scope, receive, send):
        await send(start())
        for number in range(5):
            await send(body(b"%d" % number, more=True))
            assert connection.sent[-1]["body"] == b"%d" % number
        await send(FINAL)

    middleware = monitored(app)
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert middleware.exchange().response_bytes == 5


def test_back_pressure_reaches_the_application(monitored, http_scope, wire) -> None:
    log: list[str] = []

    async def app(scope, receive, send):
        await send(start())
        for number in range(3):
            await send(body(b"x", more=True))
            log.append(f"made {number}")
        await send(FINAL)

    middleware = monitored(app)

    async def main() -> None:
        taken = asyncio.Semaphore(0)

        async def slow_send(message):
            await taken.acquire()

        call = asyncio.create_task(middleware(http_scope(), wire().receive, slow_send))
        for expected in ([], [], ["made 0"], ["made 0", "made 1"]):
            for _ in range(5):
                await asyncio.sleep(0)  # lets the application run as far as it can
            assert log == expected
            taken.release()
        taken.release()
        await call

    asyncio.run(main())


def test_nothing_is_received_unless_the_application_asks(monitored, http_scope, wire) -> None:
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"early"))

    middleware = monitored(app)
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert connection.asked == 0
    assert middleware.exchange().request_bytes == 0


def test_runs_in_the_same_task(monitored, http_scope, wire) -> None:
    async def main() -> None:
        async def app(scope, receive, send):
            assert asyncio.current_task() is outer
            await send(start())
            await send(FINAL)

        outer = asyncio.current_task()
        connection = wire()
        await monitored(app)(http_scope(), connection.receive, connection.send)

    asyncio.run(main())


def test_informational_and_unknown_messages_are_the_same_objects(monitored, http_scope, wire, answer) -> None:
    messages = [
        {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
        {"type": "http.response.start", "status": 103, "headers": [(b"link", b"</a.css>")]},
        {"type": "http.response.push", "path": "/a.css", "headers": []},
        {"type": "http.response.debug", "info": {"template": "x"}},
        start(trailers=True),
        body(b"abc", more=False),
        {"type": "http.response.trailers", "headers": [(b"digest", b"1")], "more_trailers": False},
    ]
    middleware = monitored(answer(*messages))
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    changed = [number for number, message in enumerate(messages) if connection.sent[number] is not message]
    assert changed == [4]
    exchange = middleware.exchange()
    assert (exchange.status, exchange.response_body, exchange.end) == (200, (b"abc",), End.COMPLETE)


@pytest.mark.parametrize(
    ("messages", "counted"),
    [
        ([{"type": "http.response.pathsend", "path": "/tmp/model.bin"}], 5_000),
        ([{"type": "http.response.zerocopysend", "file": 3, "count": 70}], 70),
        ([{"type": "http.response.zerocopysend", "file": 3}], 5_000),
        ([body(b"head", more=True), {"type": "http.response.zerocopysend", "file": 3}], 5_000),
        (
            [
                {"type": "http.response.zerocopysend", "file": 3, "count": 70, "more_body": True},
                {"type": "http.response.zerocopysend", "file": 3, "count": 30},
            ],
            100,
        ),
    ],
)
def test_files_sent_by_the_server_are_forwarded_and_counted(
    messages, counted, monitored, http_scope, wire, answer
) -> None:
    opening = {**start(), "headers": [(b"content-length", b"5000")]}
    middleware = monitored(answer(opening, *messages))
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert all(sent is message for sent, message in zip(connection.sent[1:], messages, strict=True))
    exchange = middleware.exchange()
    assert (exchange.response_body, exchange.response_bytes, exchange.end) == ((), counted, End.COMPLETE)
    assert exchange.first_byte_ns


@pytest.mark.parametrize("header", [DEFAULT_ID_HEADER, None])
def test_headers_that_can_be_read_once_reach_the_server(header, monitored, http_scope, wire, answer) -> None:
    pairs = [(b"content-type", b"text/plain"), (b"x-own", b"1")]
    opening = {"type": "http.response.start", "status": 200, "headers": iter(pairs)}
    middleware = monitored(answer(opening, FINAL), prediction_id_header=header)
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    own = [] if header is None else [(header, middleware.exchange().prediction_id.encode())]
    assert list(connection.sent[0]["headers"]) == pairs + own


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.start", "status": 204}, {"type": "http.response.body"}],
        [{"type": "http.response.start", "status": 200, "headers": ()}, {"type": "http.response.body", "body": b""}],
    ],
)
def test_optional_keys_may_be_missing(messages, monitored, http_scope, wire, answer) -> None:
    middleware = monitored(answer(*messages))
    connection = wire({"type": "http.request"})
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert (exchange.request_bytes, exchange.response_bytes, exchange.end) == (0, 0, End.COMPLETE)
    assert connection.sent[1] is messages[1]
    assert middleware.capture.faults.snapshot() == {}


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "webtransport", "mcp"])
def test_other_scopes_pass_untouched(kind, monitored) -> None:
    seen: list[Any] = []

    async def app(*arguments):
        seen.extend(arguments)

    async def never(*_):
        raise AssertionError

    scope = {"type": kind, "path": "/score"}
    middleware = monitored(app)
    asyncio.run(middleware(scope, never, never))
    assert seen[0] is scope
    assert seen[1] is never
    assert seen[2] is never
    assert middleware.drained() == []
    assert middleware.capture.faults.snapshot() == {}


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/score"), ("OPTIONS", "/score"), ("POST", "/health")])
def test_unselected_requests_pass_untouched(method, path, monitored, http_scope, wire) -> None:
    connection = wire()

    async def app(scope, receive, send):
        assert receive == connection.receive
        assert send == connection.send

    middleware = monitored(app)
    asyncio.run(middleware(http_scope(path, method), connection.receive, connection.send))
    assert middleware.drained() == []


# ---------------------------------------------------------------- how it ends


def test_the_very_exception_comes_out(monitored, http_scope, wire) -> None:
    raised = KeyError("no such feature")
    cause = ValueError("cause")

    async def app(scope, receive, send):
        await receive()
        raise raised from cause

    middleware = monitored(app)
    connection = wire()
    with pytest.raises(KeyError) as caught:
        asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert caught.value is raised
    assert raised.__cause__ is cause
    assert raised.__context__ is None
    exchange = middleware.exchange()
    assert (exchange.end, exchange.error_type, exchange.status) == (End.ERROR, "KeyError", 0)
    assert (exchange.first_byte_ns, exchange.request_body) == (0, (b'{"a":1}',))
    assert connection.sent == []


def test_an_error_half_way_through_a_stream(monitored, http_scope, wire, ticks) -> None:
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"first", more=True))
        ticks.ns = 5_000
        raise ValueError

    middleware = monitored(app, now=ticks)
    with pytest.raises(ValueError):
        asyncio.run(middleware(http_scope(), wire().receive, wire().send))
    exchange = middleware.exchange()
    assert (exchange.end, exchange.error_type, exchange.status) == (End.ERROR, "ValueError", 200)
    assert (exchange.first_byte_ns, exchange.ended_ns, exchange.response_body) == (1_000, 5_000, (b"first",))


def test_cancellation_passes(monitored, http_scope, wire) -> None:
    middleware = None

    async def main() -> None:
        nonlocal middleware
        entered = asyncio.Event()

        async def app(scope, receive, send):
            entered.set()
            await asyncio.Event().wait()

        middleware = monitored(app)
        task = asyncio.create_task(middleware(http_scope(), wire().receive, wire().send))
        await entered.wait()
        task.cancel("deadline")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("deadline",)
        assert task.cancelled()

    asyncio.run(main())
    assert middleware is not None
    exchange = middleware.exchange()
    assert (exchange.end, exchange.error_type) == (End.DISCONNECT, "CancelledError")


def test_a_swallowed_cancellation_stays_the_applications_business(monitored, http_scope, wire) -> None:
    async def main() -> None:
        async def app(scope, receive, send):
            try:
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
            await send(start())
            await send(FINAL)

        middleware = monitored(app)
        connection = wire()
        await middleware(http_scope(), connection.receive, connection.send)
        assert asyncio.current_task().cancelling() == 0
        assert middleware.exchange().end is End.COMPLETE

    asyncio.run(main())


def test_a_body_cut_off_by_a_disconnect(monitored, http_scope, wire) -> None:
    seen: list[str] = []

    async def app(scope, receive, send):
        seen.extend([(await receive())["type"] for _ in range(4)])  # a disconnect may be read again and again

    middleware = monitored(app)
    gone = {"type": "http.disconnect"}
    connection = wire({"type": "http.request", "body": b'{"a', "more_body": True}, gone, gone, gone)
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert seen == ["http.request"] + 3 * ["http.disconnect"]
    exchange = middleware.exchange()
    assert (exchange.end, exchange.request_body, exchange.status) == (End.DISCONNECT, (b'{"a',), 0)


def test_a_disconnect_after_the_answer_is_none(monitored, http_scope, wire, answer) -> None:
    inner = answer()

    async def app(scope, receive, send):
        await inner(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    middleware = monitored(app)
    connection = wire({"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"})
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert middleware.exchange().end is End.COMPLETE


def test_an_answer_left_unfinished_is_an_error_without_a_type(monitored, http_scope, wire) -> None:
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"half", more=True))

    middleware = monitored(app)
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    exchange = middleware.exchange()
    assert (exchange.end, exchange.error_type, exchange.response_body) == (End.ERROR, "", (b"half",))


def test_send_that_raises_because_the_client_is_gone(monitored, http_scope, wire) -> None:
    raised = OSError("gone")

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x", more=True))

    async def broken_send(message):
        if message["type"] == "http.response.body":
            raise raised

    middleware = monitored(app)
    scope = http_scope(asgi={"version": "3.0", "spec_version": "2.4"})
    with pytest.raises(OSError, match="gone") as caught:
        asyncio.run(middleware(scope, wire().receive, broken_send))
    assert caught.value is raised
    assert middleware.exchange().end is End.DISCONNECT


def test_an_os_error_of_the_applications_own_is_no_disconnect(monitored, http_scope, wire) -> None:
    async def app(scope, receive, send):
        await send(start())
        raise FileNotFoundError

    middleware = monitored(app)
    scope = http_scope(asgi={"version": "3.0", "spec_version": "2.4"})
    with pytest.raises(FileNotFoundError):
        asyncio.run(middleware(scope, wire().receive, wire().send))
    assert middleware.exchange().error_type == "FileNotFoundError"


# ---------------------------------------------------------------- mounted twice


@pytest.mark.parametrize("copied", [False, True], ids=["same scope", "copied scope"])
def test_mounted_twice_is_captured_once(copied, monitored, http_scope, wire, answer) -> None:
    inner = monitored(answer())

    async def between(scope, receive, send):
        await inner(dict(scope, root_path="/sub") if copied else scope, receive, send)

    outer = monitored(between)
    connection = wire()
    asyncio.run(outer(http_scope(), connection.receive, connection.send))
    assert inner.drained() == []
    exchange = outer.exchange()
    ids = [value for name, value in connection.sent[0]["headers"] if name == DEFAULT_ID_HEADER]
    assert ids == [exchange.prediction_id.encode()]


def test_mounted_twice_where_the_inner_runs_in_a_task_of_its_own(monitored, http_scope, wire, answer) -> None:
    inner = monitored(answer())

    async def between(scope, receive, send):
        await asyncio.create_task(inner(scope, receive, send))

    outer = monitored(between)
    connection = wire()
    asyncio.run(outer(http_scope(), connection.receive, connection.send))
    assert (len(outer.drained()), inner.drained()) == (1, [])


@pytest.mark.parametrize("headers", [[(b"content-type", b"application/json")], ()])
def test_a_request_made_by_a_handler_is_captured_for_itself(headers, monitored, http_scope, wire, answer) -> None:
    inner = monitored(answer())

    async def gateway(scope, receive, send):
        nested = wire()
        await inner(http_scope("/inner", headers=type(headers)(headers)), nested.receive, nested.send)
        annotate(segment="outer")
        await send(start())
        await send(FINAL)

    outer = monitored(gateway)
    connection = wire()
    asyncio.run(outer(http_scope("/outer", headers=headers), connection.receive, connection.send))
    recorded = outer.exchange()
    assert (recorded.path, recorded.annotations[0].segment) == ("/outer", "outer")
    recorded = inner.exchange()
    assert (recorded.path, recorded.annotations) == ("/inner", ())


def test_requests_one_after_another_in_one_context(monitored, http_scope, wire, answer) -> None:
    middleware = monitored(answer())

    async def main() -> None:
        for number in range(3):
            connection = wire()
            await middleware(http_scope(f"/{number}"), connection.receive, connection.send)
            assert CURRENT.get() is None

    asyncio.run(main())
    assert [exchange.path for exchange in middleware.drained()] == ["/0", "/1", "/2"]


@pytest.mark.parametrize("name", [b"X-Upper", b"", b"with space", b"line\r\nbreak", b"colon:"])
def test_a_header_name_that_cannot_be_sent_is_refused(name) -> None:
    with pytest.raises(ConfigError):
        CaptureOptions(prediction_id_header=name)
