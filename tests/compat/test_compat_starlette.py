"""Against the Starlette that is installed here; ``scripts/test-compat`` runs it on one version after another."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

from mlmon_sidecar import MonitorMiddleware

TOKEN = "a-token-for-these-tests-alone"
ASKED = [
    ("POST", "/score", 200),
    ("POST", "/sub/score", 200),
    ("POST", "/stream", 200),
    ("POST", "/file", 200),
    ("POST", "/large", 200),
    ("POST", "/fail", 500),
    ("POST", "/missing", 404),
    ("GET", "/score", 405),
    ("OPTIONS", "/score", 200),
]
CAPTURED = 7  # the POSTs


async def score(request: Request) -> JSONResponse:
    body = await request.json()
    return JSONResponse({"score": sum(body), "path": request.url.path}, background=BackgroundTask(lambda: None))


async def stream(request: Request) -> StreamingResponse:
    body = await request.body()

    async def parts() -> AsyncIterator[bytes]:
        for at in range(len(body)):
            yield body[at : at + 1]

    return StreamingResponse(parts(), media_type="text/event-stream")


async def file(request: Request) -> FileResponse:
    return FileResponse(__file__)


async def large(request: Request) -> JSONResponse:
    return JSONResponse(list(range(5_000)))


async def fail(request: Request) -> JSONResponse:
    raise LookupError("theirs")


def application(monitor: dict[str, Any] | None, log: list[str]) -> Any:
    @contextlib.asynccontextmanager
    async def life(app: Any) -> AsyncIterator[dict[str, str]]:
        log.append("up")
        yield {"model": "loaded"}
        log.append("down")

    handlers = {"/score": score, "/stream": stream, "/file": file, "/large": large, "/fail": fail}
    routes: list[Any] = [Route(path, call, methods=["POST"]) for path, call in handlers.items()]
    routes.append(Mount("/sub", routes=[Route("/score", score, methods=["POST"])]))
    chosen = [Middleware(GZipMiddleware), Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"])]
    app = Starlette(routes=routes, middleware=chosen, lifespan=life)
    if monitor is not None:
        app.add_middleware(MonitorMiddleware, **monitor)
    return app


@contextlib.contextmanager
def serving(app: Any) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", date_header=False, lifespan="on"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(port: int, method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "connection: close", "content-length: 6", *headers]
    if method == "OPTIONS":
        lines += ["origin: http://x", "access-control-request-method: POST"]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", "[1, 2]"]).encode())
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def monitor(tmp_path: Path) -> dict[str, Any]:
    return {"model": "sums", "store": f"sqlite:///{tmp_path}/mlmon.db", "strict": True}


def test_the_same_bytes_and_all_of_them_recorded(tmp_path: Path, monitor: dict[str, Any]) -> None:
    log: list[str] = []
    with serving(application(None, [])) as port:
        alone = [ask(port, method, path) for method, path, _ in ASKED]
    with serving(application(monitor | {"prediction_id_header": None, "endpoints": None}, log)) as port:
        watched = [ask(port, method, path) for method, path, _ in ASKED]
    assert [int(answer.split(b" ", 2)[1]) for answer in alone] == [status for _, _, status in ASKED]
    assert watched == alone
    assert log == ["up", "down"]
    with closing(apsw.Connection(str(tmp_path / "mlmon.db"))) as store:
        assert dict(store.execute("SELECT name, value FROM counters"))["exchanges.accepted"] == CAPTURED


def test_the_id_header_and_the_page(tmp_path: Path, monitor: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    monkeypatch.setenv("MLMON_TOKENS__READ", str(token))
    with serving(application(monitor, [])) as port:
        answer = ask(port, "POST", "/score")
        assert len(re.findall(rb"x-mlmon-prediction-id: [0-9a-f-]{36}\r\n", answer)) == 1
        assert ask(port, "GET", "/mlmon/api/status").startswith(b"HTTP/1.1 401")
        told = ask(port, "GET", "/mlmon/api/status", f"authorization: Bearer {TOKEN}")
        assert told.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")), told  # the hub may be starting
