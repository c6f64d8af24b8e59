"""A slow stream of events through a real server: its chunks reach the client when they would without us."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from real_servers import uvicorn_with

from mlmon_sidecar import MonitorMiddleware

pytestmark = pytest.mark.alone

CHUNKS = 20
PAUSE_SECONDS = 0.02  # as slow as the source of a stream is; the test itself waits for nothing
ROUNDS = 5
TOLERANCE_MS = 5.0
DELAY_SECONDS = 0.008  # of the counter-example; beyond the tolerance


async def slow_events(scope: Any, receive: Any, send: Any) -> None:
    """Each event says when it was made, on the clock that the client reads too."""
    if scope["type"] != "http":
        raise NotImplementedError
    await receive()
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(CHUNKS):
        event = b"data: %d\n\n" % time.monotonic_ns()
        await send({"type": "http.response.body", "body": event, "more_body": number < CHUNKS - 1})
        await asyncio.sleep(PAUSE_SECONDS)


def delayed(app: Any) -> Any:
    """A middleware that holds each chunk back, and so must be noticed."""

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            await asyncio.sleep(DELAY_SECONDS)
            await send(message)

        await app(scope, receive, sending)

    return mounted


def delays(port: int) -> list[float]:
    """Milliseconds from the making of each event to its arrival."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/stream", b"{}", {"content-type": "application/json"})
        response = connection.getresponse()
        found = []
        while line := response.readline():
            if line.startswith(b"data: "):
                found.append((time.monotonic_ns() - int(line[6:])) / 1e6)
    assert len(found) == CHUNKS
    return found


def added_by(mount: Any) -> float:
    """Milliseconds that ``mount`` adds to an event's way, the median over all pairs, rounds taken in turn."""
    with ExitStack() as servers:
        bare = servers.enter_context(uvicorn_with("h11", slow_events, ""))
        watched = servers.enter_context(uvicorn_with("h11", mount(slow_events), ""))
        differences = []
        for _ in range(ROUNDS):
            differences += [mine - theirs for theirs, mine in zip(delays(bare), delays(watched), strict=True)]
    return statistics.median(differences)


def test_chunks_arrive_when_they_would_without_us(tmp_path: Path) -> None:
    def monitored(app: Any) -> Any:
        return MonitorMiddleware(app, model="llm", store=f"sqlite:///{tmp_path}/mlmon.db", strict=True)

    added = added_by(monitored)
    assert abs(added) <= TOLERANCE_MS


def test_a_chunk_held_back_would_be_noticed() -> None:
    assert added_by(delayed) > TOLERANCE_MS
