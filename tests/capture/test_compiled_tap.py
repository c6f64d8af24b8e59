"""The compiled tap where C can go wrong: references, awaitables of every kind, cycles, re-entry, and its own faults."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import inspect
import subprocess
import sys
import sysconfig
import tracemalloc
import types
import uuid
import weakref
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from mlmon_sidecar import annotate
from mlmon_sidecar.capture import compiled
from mlmon_sidecar.capture.exchange_tap import CURRENT, NO_SPAN, ExchangeTap, _Exchange
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.records import End

TAPS = ["compiled"]
pytestmark = pytest.mark.skipif(compiled.tap is None, reason="the tap is not compiled here")

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
LAST = {"type": "http.response.body", "body": b"ok"}
SOURCE = Path(compiled.__file__).with_name("_tap.c")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(dict(START))
    await send(dict(LAST))


def step(awaitable: Any) -> Any:
    """What it returns, without a loop."""
    try:
        awaitable.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def test_memory_is_flat(monitored, http_scope, wire) -> None:
    async def ends_badly(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        annotate(segment="north")
        raise KeyError

    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await send(dict(START))
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"x" * 50, "more_body": True})
        await send(dict(LAST))

    mounted = [monitored(app) for app in (echo, ends_badly, streams)]

    def exchanges(count: int) -> None:
        for _ in range(count):
            for middleware in mounted:
                connection = wire()
                try:
                    step(middleware(http_scope(), connection.receive, connection.send))
                except KeyError:
                    pass
                assert len(middleware.drained()) == 1

    exchanges(200)
    shared = [compiled.tap, CURRENT, None, b"", (), START["headers"][0]]
    gc.collect()
    blocks, references = sys.getallocatedblocks(), [sys.getrefcount(one) for one in shared]
    tracemalloc.start()
    try:
        exchanges(200)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        exchanges(2_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000, "a leaked reference of 6,000 exchanges would be far more"
    assert sys.getallocatedblocks() - blocks < 1_000
    assert all(abs(sys.getrefcount(one) - was) < 200 for one, was in zip(shared, references, strict=True))


class Ready:
    """An awaitable that is no coroutine, and waits once."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        told = yield "waiting"
        assert told is None
        return self.value


@types.coroutine
def generated(value: Any) -> Any:
    yield "waiting"
    return value


def _objects_after(rounds: int, play: Any) -> int:
    for _ in range(rounds):
        play()
    gc.collect()
    return len(gc.get_objects())


class Full(Handoff):
    """A hand-off that fails: a fault of ours in every exchange."""

    def put(self, exchange: Any, size: Any = None) -> bool:
        raise ZeroDivisionError


class Hooked:
    def current(self) -> Any:
        raise ZeroDivisionError

    inside = current


async def hears_the_end(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    await send(dict(START))
    await send(dict(LAST))


async def waits(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await Ready(1)


async def streams(scope: Any, receive: Any, send: Any) -> None:
    await send(dict(START))
    for _ in range(9):
        await send({"type": "http.response.body", "body": b"x" * 50, "more_body": True})
    raise KeyError


async def says_nonsense(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": object(), "headers": 7})
    await send({"type": "http.response.body", "body": 7})


def test_no_end_of_an_exchange_leaves_objects_behind(monitored, http_scope, wire) -> None:
    asked, gone = {"type": "http.request", "body": b"x" * 70}, {"type": "http.disconnect"}
    apps = [monitored(app) for app in (echo, hears_the_end, waits, streams, says_nonsense)]
    apps += [monitored(echo, handoff=Full()), monitored(echo, span_hook=Hooked())]

    def play() -> None:
        for app in apps:
            for end in ("close", "throw", "drop"):
                connection = wire(dict(asked), dict(gone))
                call = app(http_scope(), connection.receive, connection.send)
                with contextlib.suppress(StopIteration, KeyError, asyncio.CancelledError):
                    call.send(None)
                    if end == "throw":
                        call.throw(asyncio.CancelledError())
                if end == "close":
                    call.close()
                del call
            app.drained()

    sentinels = [compiled.tap, CURRENT, asked["type"], None, NO_SPAN, End.COMPLETE, End.DISCONNECT]
    before = _objects_after(100, play)
    counts = [sys.getrefcount(one) for one in sentinels]
    after = _objects_after(300, play)
    assert after - before < 100, "one object left behind by each exchange would be thousands"
    assert all(abs(sys.getrefcount(one) - was) < 100 for one, was in zip(sentinels, counts, strict=True))


def test_what_receive_returns_says_its_state_as_a_coroutine(monitored, http_scope, wire) -> None:
    states: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        call = receive()
        assert asyncio.iscoroutine(call)
        states.append(inspect.getcoroutinestate(call))
        await call
        states.append(inspect.getcoroutinestate(call))
        await send(dict(START))
        await send(dict(LAST))

    connection = wire()
    step(monitored(app)(http_scope(), connection.receive, connection.send))
    assert states == [inspect.CORO_CREATED, inspect.CORO_CLOSED]


def test_a_second_interpreter_takes_the_pure_tap() -> None:
    """What the module holds is the process's, so it is loaded once."""
    spec = importlib.util.spec_from_file_location("mlmon_sidecar.capture._tap", compiled.tap.__file__)
    assert spec is not None and spec.loader is not None
    with pytest.raises(ImportError, match="one interpreter"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize("kind", [Ready, generated, lambda value: asyncio.wait_for(asyncio.sleep(0, value), 5)])
def test_whatever_the_server_gives_to_await(kind, monitored, http_scope) -> None:
    sent: list[Any] = []
    message = {"type": "http.request", "body": b"asked"}

    async def send(message: Any) -> None:
        sent.append(message)

    middleware = monitored(echo)
    if kind in (Ready, generated):
        call = middleware(http_scope(), lambda: kind(message), send)
        assert call.send(None) == "waiting"
        assert step(call) is None
    else:

        async def main() -> None:
            await middleware(http_scope(), lambda: kind(message), send)

        asyncio.run(main())
    assert middleware.exchange().request_body == (b"asked",)


@pytest.mark.parametrize("result", [3, None, iter(())])
def test_what_cannot_be_awaited_is_the_same_error(result, monitored, http_scope, wire) -> None:
    def play(app: Any) -> str:
        with pytest.raises(TypeError) as caught:
            step(app(http_scope(), lambda: result, wire().send))
        return str(caught.value)

    assert play(monitored(echo)) == play(echo)


@pytest.mark.parametrize("at", ["receive", "send", "own"])
def test_cancelled_at_every_await(at, monitored, http_scope) -> None:
    async def main() -> None:
        waits = asyncio.Event()

        async def hang(place: str) -> None:
            if at == place:
                waits.set()
                await asyncio.Event().wait()

        async def receive() -> Any:
            await hang("receive")
            return {"type": "http.request", "body": b"x"}

        async def send(message: Any) -> None:
            await hang("send")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.create_task(receive())  # some frameworks do
            await receive()
            await hang("own")
            await send(dict(START))

        middleware = monitored(app)
        task = asyncio.create_task(middleware(http_scope(), receive, send))
        await waits.wait()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert middleware.exchange().end is End.DISCONNECT
        assert middleware.capture.faults.snapshot() == {}

    asyncio.run(main())


def test_closed_and_thrown_into(monitored, http_scope, wire) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await Ready(1)
        except ValueError:
            seen.append("ValueError")
        try:
            await Ready(1)
        finally:
            seen.append("closed")

    middleware = monitored(app)
    call = middleware(http_scope(), wire().receive, wire().send)
    assert call.send(None) == "waiting"
    assert call.throw(ValueError("told")) == "waiting"
    call.close()
    assert seen == ["ValueError", "closed"]
    exchange = middleware.exchange()
    assert (exchange.end, exchange.error_type) == (End.DISCONNECT, "GeneratorExit")
    assert CURRENT.get() is None


def test_awaited_once_only(monitored, http_scope, wire) -> None:
    middleware = monitored(echo)
    connection = wire()
    call = ExchangeTap(middleware.capture, "fraud", http_scope()).run(echo, connection.receive, connection.send)
    assert step(call) is None
    with pytest.raises(RuntimeError, match="cannot reuse"):
        call.send(None)
    call.close()
    again = ExchangeTap(middleware.capture, "fraud", http_scope()).run(echo, connection.receive, connection.send)
    with pytest.raises(ValueError, match="early"):
        again.throw(ValueError("early"))
    assert len(middleware.drained()) == 1


def test_receive_and_send_in_tasks_of_their_own(monitored, http_scope) -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await asyncio.sleep(0)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            listening = asyncio.create_task(receive())
            await asyncio.gather(*(send(message) for message in (dict(START), dict(LAST))))
            gone.set()
            assert (await listening)["type"] == "http.disconnect"

        middleware = monitored(app)
        await middleware(http_scope(), receive, send)
        assert middleware.exchange().end is End.COMPLETE

    asyncio.run(main())


def test_a_cycle_through_the_tap_is_collected(monitored, http_scope) -> None:
    class Server:
        async def receive(self) -> Any:
            return {"type": "http.request", "body": b"x"}

        async def send(self, message: Any) -> None:
            self.kept = message

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["server"].calls = (receive, send, receive())  # holds the tap, which holds the server

    server = Server()
    gone = weakref.ref(server)
    middleware = monitored(app)
    scope = http_scope(server=server)
    step(middleware(scope, server.receive, server.send))
    server.calls[2].close()
    scope.clear()
    middleware.drained()
    del server, scope
    gc.collect()
    assert gone() is None


def test_called_again_from_within(monitored, http_scope, wire) -> None:
    connection = wire()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal again
        again = send
        await receive()
        await send(dict(START))
        await send(dict(LAST))

    async def server_send(message: Any) -> None:
        connection.sent.append(message)
        if message["type"] == "http.response.start":
            await again(dict(LAST))

    again: Any = None
    middleware = monitored(app)
    asyncio.run(middleware(http_scope(), connection.receive, server_send))
    assert [message["type"] for message in connection.sent] == [START["type"], LAST["type"], LAST["type"]]
    assert middleware.exchange().response_body == (b"ok",)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
def test_neither_a_request_nor_a_stream_of_chunks_needs_a_method(
    spec_version, monitored, http_scope, wire, monkeypatch
) -> None:
    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(dict(START))
        for _ in range(200):
            await send({**LAST, "more_body": True})
        await send({**LAST, "body": b"end", "more_body": False})

    called: list[str] = []
    for name in ("_begin", "_received", "_seen", "_offer"):
        monkeypatch.setattr(_Exchange, name, lambda *_, name=name: called.append(name))
    for app, pieces in ((echo, [b"ok"]), (streams, [b"ok"] * 200 + [b"end"])):
        middleware = monitored(app)
        connection = wire({"type": "http.request", "body": b"asked"})
        asyncio.run(middleware(http_scope(asgi={"spec_version": spec_version}), connection.receive, connection.send))
        assert list(middleware.exchange().response_body) == pieces
    assert called == []


def test_ids_are_of_version_seven_and_in_order(monitored, http_scope, wire) -> None:
    middleware = monitored(echo)
    for _ in range(500):
        connection = wire()
        step(middleware(http_scope(), connection.receive, connection.send))
    ids = [exchange.prediction_id for exchange in middleware.drained()]
    assert len(set(ids)) == 500
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(7, uuid.RFC_4122)}


def test_a_failure_at_every_point_of_it(tmp_path: Path) -> None:
    compiler = which("gcc") or which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    built = tmp_path / f"_tap{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    command = [compiler, "-shared", "-fPIC", "-O1", "-DMLMON_TAP_INJECT", include, str(SOURCE), "-o", str(built)]
    if sys.platform == "darwin":
        command[1:2] = ["-bundle", "-undefined", "dynamic_lookup"]
    subprocess.run(command, check=True, timeout=120)
    program = Path(__file__).with_name("compiled_points_program.py")
    run = subprocess.run(
        [sys.executable, program, built, tmp_path], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    points = dict(line.rsplit(": ", 1) for line in run.stdout.splitlines())
    assert int(points["error behind"]) >= 20
