"""The application's lifespan, forwarded, with ours tied to it: our start after its start-up, our end after its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio

from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.wiring import ASGIApp, Message, Receive, Scope, Send

DEFAULT_STOP_SECONDS = 5.0  # the one deadline of a shutdown
POLL_SECONDS = 0.01
STOPPED = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})


async def forward_lifespan(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    on_started: Callable[[], None],
    on_stopping: Callable[[], None],
    *,
    faults: Faults,
    stop_seconds: float = DEFAULT_STOP_SECONDS,  # >= 0
) -> None:
    """Run ``app``'s lifespan untouched; an application without lifespan behaves as it would without us.

    ``on_started`` runs on the loop when the application's start-up is complete and before the server learns of it, so
    that it precedes the first request; it has to return at once (start a thread, no more). It does not run where the
    start-up failed or the application knows no lifespan. ``on_stopping`` runs in a thread of its own when the
    application's shutdown is over, and the server learns of that when ``on_stopping`` returned or ``stop_seconds`` are
    up. What either raises is counted and goes no further.
    """
    running = False

    def started(message: Message) -> bool:
        return not running and message.get("type") == "lifespan.startup.complete"

    def stopped(message: Message) -> bool:
        return running and message.get("type") in STOPPED

    async def watched_send(message: Message) -> Any:
        nonlocal running
        if _told(started, message, faults):
            running = True
            _guarded(on_started, "on_started", faults)
        elif _told(stopped, message, faults):
            running = False
            await _run_in_thread(on_stopping, faults, stop_seconds)
        return await send(message)

    try:
        await app(scope, receive, watched_send)
    finally:
        if running:  # it left without saying so, or failed on the way out
            await _run_in_thread(on_stopping, faults, stop_seconds)


def _told(question: Callable[[Message], bool], message: Message, faults: Faults) -> bool:
    """What a message says, where it is one: an application may send what only the server may judge."""
    try:
        return question(message)
    except Exception as error:  # Ours to count, never the host's to see.
        faults.count("lifespan", error)
        return False


async def _run_in_thread(call: Callable[[], None], faults: Faults, seconds: float) -> None:
    # A daemon of our own: the loop's executor and the interpreter both wait for the executor's threads at exit, without
    # a deadline. Polled, because nothing wakes every kind of loop from a thread, and this happens once in a life.
    try:
        thread = threading.Thread(target=_guarded, args=(call, "on_stopping", faults), name="mlmon-stop", daemon=True)
        thread.start()
        with anyio.move_on_after(seconds):
            while thread.is_alive():  # noqa: ASYNC110 - an anyio.Event cannot be set from a thread of our own
                await anyio.sleep(POLL_SECONDS)
        if thread.is_alive():
            faults.count("on_stopping", TimeoutError())
    except Exception as error:  # Ours to count, never the host's to see.
        faults.count("on_stopping", error)


def _guarded(call: Callable[[], None], component: str, faults: Faults) -> None:
    try:
        call()
    except Exception as error:  # Ours to count, never the host's to see.
        faults.count(component, error)
