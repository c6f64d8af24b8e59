"""A real server whose recorder takes a tenth of what comes: prints its figures as JSON when told to stop."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from typing import Any

import psutil
import uvicorn

from mlmon_sidecar.capture.exchange_tap import ExchangeTap
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.capture.selection import Selection, SelectionOptions
from mlmon_sidecar.capture.wiring import Capture

ANSWER = [
    {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]},
    {"type": "http.response.body", "body": b"ok"},
]


def main(max_bytes: int) -> None:
    capture = Capture(Handoff(max_bytes=max_bytes), Selection(SelectionOptions({"m": ("POST /score",)})))
    handled = drained = 0
    most_bytes = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        for message in ANSWER:
            await send(message)

    async def monitored(scope: Any, receive: Any, send: Any) -> None:
        nonlocal handled, drained, most_bytes
        model = capture.model_for(scope)
        assert model is not None
        await ExchangeTap(capture, model, scope).run(app, receive, send)
        handled += 1
        most_bytes = max(most_bytes, capture.handoff.stats().bytes_in_queue)
        if handled % 10 == 0:
            drained += len(capture.handoff.drain(1))

    async def serve(listener: socket.socket) -> None:
        server = uvicorn.Server(uvicorn.Config(monitored, log_config=None, lifespan="off", access_log=False))
        stop = threading.Thread(target=lambda: (sys.stdin.readline(), setattr(server, "should_exit", True)))
        probe = threading.Thread(target=probe_memory)
        stop.start()
        probe.start()
        await server.serve(sockets=[listener])
        stop.join()
        ended.set()
        probe.join()

    memory: list[tuple[int, int]] = []  # (requests handled, resident bytes)
    ended = threading.Event()
    process = psutil.Process()

    def probe_memory() -> None:
        while not ended.wait(0.02):
            memory.append((handled, process.memory_info().rss))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        asyncio.run(serve(listener))
    drained += len(capture.handoff.drain(1_000_000))
    stats = capture.handoff.stats()
    said = {"drained": drained, "handled": handled, "most_bytes": most_bytes, "memory": memory}
    sys.stdout.write(json.dumps(said | stats._asdict()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
