"""Errors, cancellation and context: what the application raises, sets and awaits is as without us."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import anyio
import pytest
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from transparency import INSIDE, assert_nothing_differs, assert_only_the_id_differs, bare, play

from mlmon_sidecar.capture.exchange_tap import CURRENT
from mlmon_sidecar.records import End

START = {"type": "http.response.start", "status": 200, "headers": []}
MOST_FRAMES = 2  # of ours in a traceback: the middleware and the tap; what a reader of a log has to skip


def body(content: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Theirs(Exception):
    pass


def raises(error: BaseException, *, after: int = 0, cause: BaseException | None = None) -> Any:
    """An application that sends ``after`` messages of an answer and raises."""
    messages = [dict(START), body(b"a", more=True), body(b"b")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages[:after]:
            await send(message)
        if cause is not None:
            raise error from cause
        raise error

    return app


def suppressed() -> BaseException:
    error = Theirs("suppressed")
    error.__context__ = KeyError("hidden")
    error.__suppress_context__ = True
    error.add_note("a note")
    return error


ERRORS: dict[str, Any] = {
    "an exception": lambda: Theirs("x"),
    "without arguments": Theirs,
    "a group": lambda: ExceptionGroup("several", [Theirs(1), ValueError(2)]),
    "cancelled": lambda: asyncio.CancelledError("by hand"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopAsyncIteration": StopAsyncIteration,
    "StopIteration": StopIteration,
    "an OSError": lambda: FileNotFoundError(2, "model.bin"),
    "with a hidden context": suppressed,
}


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ERRORS)
def test_error(name, after, middleware, http_scope) -> None:
    for spec in ("2.3", "2.4"):
        scope = lambda spec=spec: http_scope(asgi={"version": "3.0", "spec_version": spec})  # noqa: E731
        watched = assert_nothing_differs(middleware, lambda: raises(ERRORS[name](), after=after), scope)
        assert 0 < watched.our_frames <= MOST_FRAMES


@pytest.mark.parametrize("after", [0, 2])
def test_the_error_is_the_very_object_with_the_links_it_had(after, mount, http_scope) -> None:
    error, cause = Theirs("x"), KeyError("cause")
    watched = play(mount, raises(error, after=after, cause=cause), http_scope())
    assert (watched.raised, watched.cause, watched.context) == (error, cause, None)
    hidden = suppressed()
    watched = play(mount, raises(hidden, after=after), http_scope())
    assert watched.raised is hidden
    assert watched.context is hidden.__context__ and hidden.__suppress_context__
    assert hidden.__notes__ == ["a note"]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("error", [OSError, ConnectionResetError, RuntimeError])
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
def test_an_error_of_the_server_s_send(spec, error, number, mount, http_scope) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in (dict(START), body(b"a", more=True), body(b"b")):
            await send(message)

    assert_nothing_differs(
        mount,
        lambda: app,
        lambda: http_scope(asgi={"version": "3.0", "spec_version": spec}),
        refuse=lambda at: error("gone") if at == number else None,
    )


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
def test_an_application_may_survive_a_send_that_fails(spec, mount, http_scope) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(dict(START))
        for _ in range(3):
            try:
                await send(body(b"a", more=True))
            except OSError as error:
                assert error.args == ("gone",)

    assert_nothing_differs(
        mount,
        lambda: app,
        lambda: http_scope(asgi={"version": "3.0", "spec_version": spec}),
        refuse=lambda at: OSError("gone") if at else None,
    )


# ---------------------------------------------------------------- cancellation


async def swallows_one_cancellation(scope: Any, receive: Any, send: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("one")
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as error:
        assert error.args == ("one",)
    await send(dict(START))
    await send(body(b"ok"))


async def is_cancelled_twice(scope: Any, receive: Any, send: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    task.cancel("again")
    await asyncio.sleep(0)


async def times_out_inside(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await receive()
    await send(dict(START))
    await send(body(b"late"))


async def cancels_a_scope_inside(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    with anyio.CancelScope() as inner:
        inner.cancel()
        await receive()
    assert inner.cancelled_caught
    await send(dict(START))
    await send(body(b"ok"))


async def is_cancelled_while_it_reads(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel, "while reading")
    await receive()


CANCELLATIONS = [
    swallows_one_cancellation,
    is_cancelled_twice,
    times_out_inside,
    cancels_a_scope_inside,
    is_cancelled_while_it_reads,
]


@pytest.mark.parametrize("app", CANCELLATIONS, ids=lambda app: app.__name__)
def test_cancellation(app, mount, http_scope) -> None:
    assert_nothing_differs(mount, lambda: app, http_scope)


@pytest.mark.parametrize("name", ["asyncio.timeout", "anyio scope", "task group"])
def test_cancelled_from_outside(name, mount, http_scope) -> None:
    """A server's or a middleware's own scope around us gets its cancellation back, once."""
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reached.append("cleaned up")

    async def main(mounting: Any) -> Any:
        call = mounting(app)(http_scope(), None, None)
        task = asyncio.current_task()
        assert task is not None
        if name == "asyncio.timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await call
        elif name == "anyio scope":
            with anyio.move_on_after(0.01) as scope:
                await call
            assert scope.cancelled_caught
        else:
            with pytest.raises(ExceptionGroup) as group:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(call)
                    tasks.create_task(fail())
            assert [type(error) for error in group.value.exceptions] == [Theirs]
        return task.cancelling()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise Theirs

    assert asyncio.run(main(bare)) == asyncio.run(main(mount))
    assert reached == ["cleaned up"] * 2


def test_a_cancelled_request_is_recorded_as_left_by_its_client(middleware, captured, http_scope) -> None:
    mounted: list[Any] = []
    play(lambda app: mounted.append(middleware(app)) or mounted[0], is_cancelled_twice, http_scope())
    (exchange,) = captured(mounted[0])
    assert (exchange.end, exchange.error_type) == (End.DISCONNECT, "CancelledError")


def test_a_request_cancelled_on_trio(middleware, captured, http_scope) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep_forever()

    async def main() -> None:
        with trio.move_on_after(0) as scope:
            await mounted(http_scope(), None, None)
        assert scope.cancelled_caught

    mounted = middleware(app)
    trio.run(main)
    (exchange,) = captured(mounted)
    assert (exchange.end, exchange.error_type) == (End.DISCONNECT, "Cancelled")


# ---------------------------------------------------------------- context


async def sets_a_variable(scope: Any, receive: Any, send: Any) -> None:
    INSIDE.set("seen from outside")
    await send(dict(START))
    await send(body(b"ok"))


async def sets_a_variable_and_raises(scope: Any, receive: Any, send: Any) -> None:
    INSIDE.set("seen from outside")
    raise Theirs


@pytest.mark.parametrize("app", [sets_a_variable, sets_a_variable_and_raises], ids=lambda app: app.__name__)
def test_context_variables_go_both_ways(app, mount, http_scope) -> None:
    watched = assert_nothing_differs(mount, lambda: app, http_scope)
    assert watched.inside == "seen from outside"
    assert watched.log[0][-1] == "set outside"


def test_the_context_itself_stays_the_callers(mount, http_scope) -> None:
    """Nothing of ours is left behind in it, and a variable can be reset with a token from before."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("theirs", default=0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        variable.reset(token)

    async def main() -> None:
        nonlocal token
        token = variable.set(1)
        await mount(app)(http_scope(), None, None)
        assert variable.get() == 0
        assert CURRENT.get() is None

    token: Any = None
    asyncio.run(main())


def test_an_application_driven_in_another_context_is_served(mount, http_scope) -> None:
    """Some hosts drive the coroutine themselves, each step in a context of its own."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await send(dict(START))
        await send(body(b"ok"))

    async def send(message: Any) -> None:
        sent.append(message)

    call = mount(app)(http_scope(), None, send)
    contextvars.copy_context().run(call.send, None)
    with pytest.raises(StopIteration):
        contextvars.copy_context().run(call.send, None)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


# ---------------------------------------------------------------- among other middleware


class Breaks:
    """Another middleware, which raises before, after, or in the middle of an answer."""

    def __init__(self, app: Any, when: str) -> None:
        self.app, self.when = app, when

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.when == "before":
            raise Theirs
        if self.when != "in send":
            await self.app(scope, receive, send)
            raise Theirs

        async def breaking(message: Any) -> None:
            if message["type"] == "http.response.body":
                raise Theirs
            await send(message)

        await self.app(scope, receive, breaking)


@pytest.mark.parametrize("when", ["before", "after", "in send"])
@pytest.mark.parametrize("where", ["outside", "inside"])
def test_another_middleware_that_raises(where, when, mount, http_scope) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(dict(START))
        await send(body(b"ok"))

    if where == "inside":
        assert_nothing_differs(mount, lambda: Breaks(app, when), http_scope)
        return
    alone, watched = (
        play(lambda inner, at=mounting: Breaks(at(inner), when), app, http_scope()) for mounting in (bare, mount)
    )
    assert watched.comparable() == alone.comparable()


def test_an_error_in_a_mounted_application_is_raised_and_recorded_once(middleware, captured, http_scope) -> None:
    async def fails(request: Any) -> JSONResponse:
        raise Theirs

    made: list[Any] = []

    def mounting(app: Any) -> Any:
        made.append(middleware(app))
        return made[-1]

    def framework(mount: Any) -> Any:
        inner = Starlette(routes=[Route("/fails", fails, methods=["POST"])])
        return Starlette(routes=[Mount("/sub", app=mount(inner))], middleware=[Middleware(mount)])

    alone = play(bare, framework(bare), http_scope("/sub/fails"))
    watched = play(bare, framework(mounting), http_scope("/sub/fails"))
    assert watched.comparable()[:3] == alone.comparable()[:3]
    assert isinstance(watched.raised, Theirs)
    assert watched.frames == alone.frames
    exchanges = [exchange for one in made for exchange in captured(one)]
    assert [(exchange.status, exchange.end) for exchange in exchanges] in ([(0, End.ERROR)], [(500, End.COMPLETE)])


@pytest.mark.parametrize("app", [*CANCELLATIONS, sets_a_variable], ids=lambda app: app.__name__)
def test_with_the_id_header_too(app, middleware, http_scope) -> None:
    assert_only_the_id_differs(middleware, lambda: app, http_scope)
