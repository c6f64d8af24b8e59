"""A fault of ours at any point leaves the answer byte-identical and the application undisturbed."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from every_point import FILES, Injected, Walk, points_of
from transparency import without_id

from mlmon_sidecar import annotate
from mlmon_sidecar.capture import lifespan
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.capture.wiring import DEFAULT_ID_HEADER
from mlmon_sidecar.runtime.process import MonitoredProcess

TAPS = ["pure"]  # broken from inside, by its methods
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
REQUEST = {"type": "http.request", "body": b'{"a":1}', "more_body": False}
PART = {"type": "http.request", "body": b'{"a"', "more_body": True}
GONE = {"type": "http.disconnect"}


class Theirs(Exception):
    pass


def body(content: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def app_that(*steps: Any) -> Any:
    """Reads for each number, sends each message, raises each exception, calls each callable, in this order."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for step in steps:
            if isinstance(step, int):
                seen.extend([await receive() for _ in range(step)])
            elif isinstance(step, BaseException):
                raise step
            elif callable(step):
                step()
            else:
                await send(step)

    seen: list[Any] = []
    app.seen = seen  # type: ignore[attr-defined]
    return app


def says_something() -> None:
    annotate(features={"age": 41}, prediction="repaid", confidence=0.5, segment="north")


def stream() -> list[Any]:
    return [body(b"%d," % number, more=True) for number in range(3)]


FILE = {"type": "http.response.pathsend", "path": "/m.bin"}
COPIED = {"type": "http.response.zerocopysend", "file": 3, "count": 7}
LONG = {**START, "headers": [(b"content-length", b"12"), *START["headers"]]}
PLAYS: dict[str, tuple[list[Any], list[Any], dict[str, Any]]] = {
    "row": ([1, says_something, START, body(b'{"score":1}')], [REQUEST], {}),
    "batch in parts": ([2, START, body(b"[1,", more=True), body(b"2]")], [PART, REQUEST], {}),
    "stream": ([1, START, *stream(), body()], [REQUEST], {}),
    "stream that is watched": ([1, START, *stream(), body()], [REQUEST], {"asgi": {"spec_version": "2.4"}}),
    "error before": ([1, Theirs("x")], [REQUEST], {}),
    "error in the middle": ([1, START, *stream(), Theirs("x")], [REQUEST], {}),
    "error behind": ([1, START, body(b"ok"), Theirs("x")], [REQUEST], {}),
    "cancelled": ([1, START, asyncio.CancelledError("x")], [REQUEST], {}),
    "disconnect": ([3, Theirs("gone")], [PART, GONE, GONE], {}),
    "files": ([1, LONG, COPIED], [REQUEST], {}),
    "a file by path": ([1, LONG, FILE], [REQUEST], {}),
    "early hints and trailers": (
        [1, {**START, "status": 103}, START, body(b"ok"), {"type": "http.response.trailers"}],
        [REQUEST],
        {},
    ),
    "not a prediction": ([1, START, body(b"ok")], [REQUEST], {"path": "/v2/health"}),
    "under a root": ([1, START, body(b"ok")], [REQUEST], {"path": "/api/score", "root_path": "/api"}),
    "send refused": ([1, START, *stream()], [REQUEST], {"asgi": {"spec_version": "2.4"}, "refuse": 2}),
}


class Spans:
    def current(self) -> Any:
        return ("span", 1, 2, True)

    def inside(self) -> Any:
        return None

    def join(self, *_: Any) -> None:
        pass


def run(mounted: Any, scope: Any, incoming: list[Any], refuse: int, walk: Walk | None) -> tuple[Any, Any]:
    """Drive one exchange by hand, without a loop: what was sent, and what came out."""
    coming, sent = list(incoming), []

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        if len(sent) == refuse:
            raise OSError("gone")
        sent.append(message)

    call = mounted(scope, receive, send)
    context = contextvars.copy_context()  # of a fault amid the clearing up, the context keeps a trace
    raised: BaseException | None = None
    try:
        if walk is None:
            context.run(call.send, None)
        else:
            with walk.tracing():
                context.run(call.send, None)
    except StopIteration:
        pass
    except BaseException as error:
        raised = error
    return sent, raised


def outcome(sent: list[Any], raised: BaseException | None, seen: list[Any]) -> tuple[Any, ...]:
    links = None if raised is None else (type(raised), raised.args, raised.__context__, raised.__cause__)
    return without_id(sent), links, list(seen)


def walked(make: Callable[[Any], Any], name: str, http_scope: Any, check: Callable[[Any, Walk], None]) -> int:
    """Play ``name`` once for each of its points; how many there were."""
    steps, incoming, more = PLAYS[name]
    scoped = {key: value for key, value in more.items() if key != "refuse"}
    refuse = more.get("refuse", -1)

    def once(mounting: Callable[[Any], Any], walk: Walk | None) -> tuple[Any, Any]:
        app = app_that(*[type(step)(*step.args) if isinstance(step, BaseException) else step for step in steps])
        mounted = mounting(app)
        scope = http_scope(**scoped)
        if name in SEARCHED:
            scope["path"] += f"/{next(NUMBERS)}"
        sent, raised = run(mounted, scope, incoming, refuse, walk)
        return mounted, outcome(sent, raised, app.seen)

    _, alone = once(lambda app: app, None)
    once(make, None)  # its path is known from here on
    counting = Walk()
    mounted, healthy = once(make, counting)
    assert healthy == alone
    for target in range(counting.count):
        walk = Walk(target)
        mounted, got = once(make, walk)
        assert walk.at, f"point {target} was not reached again"
        assert got == alone, f"raised at {walk.at}"
        check(mounted, walk)
    return counting.count


@pytest.fixture
def make(middleware) -> Callable[..., Any]:
    """One middleware for all runs, with fresh counters each time: configuration is read once."""
    made = middleware(None, prediction_id_header=DEFAULT_ID_HEADER.decode())
    process = made._process

    def mount(app: Any) -> Any:
        made.app = app
        process._fresh()
        object.__setattr__(process.capture, "span_hook", Spans())
        return made

    return mount


def is_counted(mounted: Any, walk: Walk) -> None:
    """The fault is told of, and an exchange that it cost is counted, once."""
    process = mounted._process
    kinds = {error for _, error in process.faults.snapshot()}
    if not walk.at.endswith("in annotate"):  # there, it may not be known yet whose exchange it was
        assert kinds == {"Injected"}, f"raised at {walk.at}: {process.faults.snapshot()}"
    stats = process.handoff.stats()
    assert stats.items_in_queue == len(process.handoff.drain(9)) == stats.accepted, walk.at
    assert stats.accepted + process.faults.lost <= 1, walk.at
    assert (process.handoff.stats().bytes_in_queue, process.handoff.stats().items_in_queue) == (0, 0), walk.at


SEARCHED = ("row", "not a prediction", "under a root")  # whose path is a new one each time
NUMBERS = itertools.count(1_000)
LEAST_POINTS = 100  # of an exchange that is captured; far fewer would mean that the walk went by
LEAST_ELSEWHERE = 30


@pytest.mark.parametrize("name", PLAYS)
def test_a_fault_of_ours_at_any_point(name, make, http_scope) -> None:
    gc.disable()  # a collection would run under the tracer
    try:
        count = walked(make, name, http_scope, is_counted)
    finally:
        gc.enable()
    assert count >= (LEAST_ELSEWHERE if name == "not a prediction" else LEAST_POINTS)


@pytest.mark.parametrize("name", ["row", "error in the middle"])
def test_mounted_twice(name, middleware, make, http_scope) -> None:
    inner = middleware(None)

    def both(app: Any) -> Any:
        inner.app = app
        inner._process._fresh()
        return make(inner)

    assert walked(both, name, http_scope, lambda *_: None) >= LEAST_POINTS


@pytest.mark.parametrize("name", ["row", "stream", "error in the middle"])
def test_a_second_fault_while_the_first_is_counted(name, make, http_scope, monkeypatch) -> None:
    """The hand-off is broken for good, and its fault's own handling is walked as well."""

    def broken(handoff: Handoff, exchange: Any) -> bool:
        raise ValueError

    monkeypatch.setattr(Handoff, "put", broken)
    assert walked(make, name, http_scope, lambda *_: None) >= LEAST_POINTS


def test_a_fault_that_is_not_caught_is_noticed(make, http_scope, monkeypatch) -> None:
    """The walk itself is honest: with one guard taken away it fails."""
    monkeypatch.setattr("every_point.HANDING_OVER", frozenset())
    points_of.cache_clear()
    try:
        with pytest.raises(AssertionError, match="raised at"):
            walked(make, "row", http_scope, lambda *_: None)
    finally:
        points_of.cache_clear()


LIFESPANS: dict[str, list[Any]] = {
    "in order": [1, "startup.complete", 1, "shutdown.complete"],
    "failing start-up": [1, "startup.failed"],
    "failing shutdown": [1, "startup.complete", 1, "shutdown.failed"],
    "leaves without a word": [1, "startup.complete", 1],
    "breaks": [1, "startup.complete", 1, Theirs("pool")],
    "does not support it": [Theirs("only http here")],
}


@pytest.mark.parametrize("name", LIFESPANS)
def test_a_fault_of_ours_at_any_point_of_a_lifespan(name, make, monkeypatch) -> None:
    steps = [{"type": f"lifespan.{step}"} if isinstance(step, str) else step for step in LIFESPANS[name]]
    log: list[str] = []
    monkeypatch.setattr(MonitoredProcess, "start", lambda process: log.append("start"))
    monkeypatch.setattr(MonitoredProcess, "stop", lambda process: log.append("stop"))
    monkeypatch.setattr(lifespan, "POLL_SECONDS", 0)

    def live(mounting: Callable[[Any], Any], walk: Walk) -> tuple[Any, Any, Any]:
        app = app_that(*[type(step)(*step.args) if isinstance(step, BaseException) else step for step in steps])
        coming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent, raised = [], None

        async def receive() -> Any:
            return coming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        mounted = mounting(app)

        async def main() -> None:
            with walk.tracing():
                await mounted({"type": "lifespan"}, receive, send)

        try:
            asyncio.run(main())
        except Exception as error:
            raised = error
        return outcome(sent, raised, app.seen)

    alone = live(lambda app: app, Walk())
    polls = Walk()
    assert live(make, polls) == alone
    supported = name not in ("failing start-up", "does not support it")
    assert log == (["start", "stop"] if supported else [])
    target = reached = 0
    while reached == target:  # how often the thread is polled differs from run to run
        walk = Walk(target)
        assert live(make, walk) == alone, f"raised at {walk.at}"
        target += 1
        reached += bool(walk.at)
    assert reached >= (12 if supported else 3)


def test_every_file_of_the_stage_is_walked() -> None:
    assert {"exchange_tap.py", "body_tap.py", "handoff.py", "selection.py", "middleware.py"} <= {
        file.rsplit("/", 1)[-1] for file in FILES
    }
    assert issubclass(Injected, Exception)
