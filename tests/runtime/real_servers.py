"""Real ASGI servers, each on a listening socket of its own, and a client that sees every byte."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypercorn.asyncio
import hypercorn.trio
import trio
import uvicorn
from hypercorn.config import Config as HypercornConfig

READY_SECONDS = 60.0


@contextlib.contextmanager
def uvicorn_with(http: str, app: Any, root_path: str) -> Iterator[int]:
    config = uvicorn.Config(app, http=http, log_config=None, ws="none", access_log=False, root_path=root_path)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def hypercorn_on(loop: str, app: Any, root_path: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = HypercornConfig()
        config.bind = [f"fd://{os.dup(listener.fileno())}"]
        config.root_path = root_path
        config.errorlog = None
        stop = threading.Event()

        async def until_asyncio() -> None:
            while not stop.is_set():  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.01)

        async def until_trio() -> None:
            while not stop.is_set():  # noqa: ASYNC110 - set from another thread
                await trio.sleep(0.01)

        def run() -> None:
            if loop == "trio":
                trio.run(lambda: hypercorn.trio.serve(app, config, shutdown_trigger=until_trio, mode="asgi"))
            else:
                asyncio.run(hypercorn.asyncio.serve(app, config, shutdown_trigger=until_asyncio, mode="asgi"))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def granian(framework: str, store: str | None, folder: Path) -> Iterator[int]:
    """As a program: it serves from threads of its own runtime."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    here = str(Path(__file__).parent)
    paths = [here, *(str(Path(part).resolve()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TEST_FRAMEWORK": framework}
    environ |= {"TEST_STORE": store} if store else {}
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "framework_apps:from_environment"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-ws"]
    log = folder / f"granian-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                break
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


IN_THREADS: dict[str, Callable[[Any, str], contextlib.AbstractContextManager[int]]] = {
    "uvicorn h11": lambda app, root: uvicorn_with("h11", app, root),
    "uvicorn httptools": lambda app, root: uvicorn_with("httptools", app, root),
    "hypercorn asyncio": lambda app, root: hypercorn_on("asyncio", app, root),
    "hypercorn trio": lambda app, root: hypercorn_on("trio", app, root),
}


def ask(port: int, method: str, path: str, body: bytes = b"", *, chunked: bool = False) -> bytes:
    """Everything the server writes for one request, without the line that tells the time."""
    head = f"{method} {path} HTTP/1.1\r\nhost: model.test\r\nconnection: close\r\ncontent-type: application/json\r\n"
    if chunked:
        head += "transfer-encoding: chunked\r\n"
        sizes = [body[at : at + 3] for at in range(0, len(body), 3)]
        content = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in sizes) + b"0\r\n\r\n"
    else:
        head += f"content-length: {len(body)}\r\n"
        content = body
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + b"\r\n" + content)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return re.sub(rb"(?i)\r\ndate: [^\r]*", b"", answer)


@contextlib.contextmanager
def others_warnings() -> Iterator[None]:
    """What the frameworks themselves warn of when they are imported or run on other loops is not ours to judge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
