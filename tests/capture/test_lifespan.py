from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.lifespan import forward_lifespan

SCOPE = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}


class Server:
    """Both ends of a lifespan: what the server says and hears, in one log with ours."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.faults = Faults()
        self.incoming = ["lifespan.startup", "lifespan.shutdown"]

    async def receive(self) -> dict[str, Any]:
        return {"type": self.incoming.pop(0)}

    async def send(self, message: dict[str, Any]) -> None:
        self.log.append(message["type"])

    def noting(self, what: str) -> Callable[[], None]:
        return lambda: self.log.append(what)

    def run(self, app: Any, started: Any = None, stopping: Any = None, seconds: float = 30.0) -> None:
        asyncio.run(
            forward_lifespan(
                app,
                SCOPE,
                self.receive,
                self.send,
                started or self.noting("ours started"),
                stopping or self.noting("ours stopped"),
                faults=self.faults,
                stop_seconds=seconds,
            )
        )


async def good(scope, receive, send):
    assert scope is SCOPE
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


def test_ours_start_after_theirs_and_stop_after_theirs() -> None:
    server = Server()

    async def app(scope, receive, send):
        await receive()
        server.log.append("theirs started")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        server.log.append("theirs stopped")
        await send({"type": "lifespan.shutdown.complete"})

    server.run(app)
    assert server.log == [
        "theirs started",
        "ours started",
        "lifespan.startup.complete",
        "theirs stopped",
        "ours stopped",
        "lifespan.shutdown.complete",
    ]
    assert server.faults.snapshot() == {}


def test_stopping_does_not_block_the_loop() -> None:
    server = Server()
    loop_ran = threading.Event()
    waited: list[bool] = []

    async def app(scope, receive, send):
        asyncio.get_running_loop().call_later(0, asyncio.get_running_loop().call_soon, loop_ran.set)
        await good(scope, receive, send)

    server.run(app, stopping=lambda: waited.append(loop_ran.wait(20)))
    assert waited == [True]  # the loop went on while we were stopping
    assert server.log[-1] == "lifespan.shutdown.complete"


def test_a_drain_that_hangs_is_left_at_the_deadline() -> None:
    server = Server()
    release = threading.Event()
    server.run(good, stopping=lambda: release.wait(60), seconds=0.0)
    release.set()
    assert server.log[-1] == "lifespan.shutdown.complete"
    assert server.faults.snapshot() == {("on_stopping", "TimeoutError"): 1}


@pytest.mark.parametrize("which", ["started", "stopping"])
def test_our_failure_stays_ours(which) -> None:
    server = Server()

    def fail() -> None:
        raise ValueError

    server.run(good, **{which: fail})
    assert [line for line in server.log if line.startswith("lifespan")] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    component = {"started": "on_started", "stopping": "on_stopping"}[which]
    assert server.faults.snapshot() == {(component, "ValueError"): 1}


def test_no_thread_to_be_had(monkeypatch) -> None:
    server = Server()

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def app(scope, receive, send):
        monkeypatch.setattr(threading.Thread, "start", refuse)
        await good(scope, receive, send)

    server.run(app)
    assert server.log == ["ours started", "lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert server.faults.snapshot() == {("on_stopping", "RuntimeError"): 1}


def test_an_application_without_lifespan_raises_as_before() -> None:
    server = Server()
    raised = AssertionError("only http here")

    async def app(scope, receive, send):
        raise raised

    with pytest.raises(AssertionError) as caught:
        server.run(app)
    assert caught.value is raised
    assert server.log == []


def test_a_failed_start_starts_nothing_of_ours() -> None:
    server = Server()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no model file"})

    server.run(app)
    assert server.log == ["lifespan.startup.failed"]


def test_a_failed_shutdown_still_drains() -> None:
    server = Server()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "x"})

    server.run(app)
    assert server.log[-2:] == ["ours stopped", "lifespan.shutdown.failed"]
    assert server.log.count("ours stopped") == 1


@pytest.mark.parametrize("error", [None, RuntimeError("closing the pool")])
def test_an_application_that_leaves_without_a_word_still_drains(error) -> None:
    server = Server()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if error is not None:
            raise error

    if error is None:
        server.run(app)
    else:
        with pytest.raises(RuntimeError) as caught:
            server.run(app)
        assert caught.value is error
    assert server.log == ["ours started", "lifespan.startup.complete", "ours stopped"]


def test_messages_and_receive_are_the_same_objects() -> None:
    server = Server()
    sent: list[Any] = []
    outgoing = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]

    async def keep(message):
        sent.append(message)

    async def app(scope, receive, send):
        assert receive == server.receive
        for message in outgoing:
            await send(message)

    asyncio.run(forward_lifespan(app, SCOPE, server.receive, keep, lambda: None, lambda: None, faults=server.faults))
    assert all(mine is theirs for mine, theirs in zip(sent, outgoing, strict=True))
