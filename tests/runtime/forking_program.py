"""A server process that forks after its start: ``forking_program.py [THREAD]``, in the folder of its ``mlmon.toml``.
It forks once the monitor's thread of that name is running; by default the embedded hub's.

The application is called directly, as a server calls it. At the end one JSON object on standard output says which
prediction ids the parent and which the child answered with, and how the child ended.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import MutableMapping
from typing import Any

from served_apps import bare

from mlmon_sidecar import MonitorMiddleware

BODY = b'{"income":50000,"loan":9000}'
PATIENCE_SECONDS = 60


async def ask(app: Any) -> str:
    """One prediction; its id."""
    messages = [{"type": "http.request", "body": BODY, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0) if messages else await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "method": "POST", "path": "/score", "headers": headers}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": ""}
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return dict(sent[0]["headers"])[b"x-mlmon-prediction-id"].decode()


async def ask_often(app: Any, times: int) -> list[str]:
    return [await ask(app) for _ in range(times)]


async def stop(app: Any) -> None:
    """What a server does at its end: the lifespan, from its first message to its last."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        assert not message["type"].endswith("failed")

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


def wait_until_recording() -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    wanted = sys.argv[1] if len(sys.argv) > 1 else "mlmon-hub"
    while not any(thread.name == wanted for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def main() -> None:
    app = MonitorMiddleware(bare())
    ids = asyncio.run(ask_often(app, 5))
    wait_until_recording()
    ids += asyncio.run(ask_often(app, 5))  # still in the queue, most likely
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answered = asyncio.run(ask_often(app, 7))
        asyncio.run(stop(app))
        os.write(write, json.dumps(answered).encode())
        os._exit(0)
    ids += asyncio.run(ask_often(app, 3))
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    asyncio.run(stop(app))
    sys.stdout.write(json.dumps({"parent": ids, "child": json.loads(os.read(read, 65_536)), "ended": ended}))


if __name__ == "__main__":
    main()
