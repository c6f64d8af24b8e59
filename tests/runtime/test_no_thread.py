"""A machine without a thread to spare: the application serves, the monitor says so."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from mlmon_sidecar import MonitorMiddleware


def test_a_request_is_served_where_no_thread_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"42"})

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    middleware = MonitorMiddleware(app, store=f"sqlite:///{tmp_path}/mlmon.db", strict=True)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/score", "headers": [], "asgi": {"version": "3.0"}}
    asyncio.run(middleware(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert middleware._process is not None
    assert middleware._process.faults.snapshot() == {("start", "RuntimeError"): 1}
