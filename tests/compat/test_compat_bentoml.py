"""A real ``bentoml serve`` with ``add_asgi_middleware``; ``scripts/test-compat`` runs it in a venv of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("bentoml", reason="scripts/test-compat installs it where it belongs")
HERE = Path(__file__).parent
SECONDS = 120
ASKED = [b'{"numbers": [1, 2.5]}', b'{"numbers": "none"}', b"{", b'{"numbers": [' + b"1," * 5_000 + b"1]}"]
CHANGES = rb"(?i)\r\n(date|x-bentoml-request-id|traceparent|x-request-id): [^\r]*"


@contextmanager
def served(folder: Path, **environ: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", "bento_service:Scorer", "--working-dir", str(HERE)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    told = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml"), **environ}
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **told}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not ask(port, "GET", "/readyz").startswith(b"HTTP/1.1 200"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(log.read_text()) from None


def ask(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-type: application/json\r\n"
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        return re.sub(CHANGES, b"", b"".join(iter(lambda: connection.recv(65_536), b"")))
    return b""


def test_the_same_bytes_and_all_of_them_recorded(tmp_path: Path) -> None:
    with served(tmp_path) as port:
        alone = [ask(port, "POST", "/score", body) for body in ASKED]
    store = tmp_path / "mlmon.db"
    with served(tmp_path, TEST_MONITORED="yes", MLMON_STORE=f"sqlite:///{store}") as port:
        watched = [ask(port, "POST", "/score", body) for body in ASKED]
    assert [int(answer.split(b" ", 2)[1]) for answer in alone] == [200, 400, 400, 200]
    assert watched == alone
    with closing(sqlite3.connect(store)) as connection:
        counted = dict(connection.execute("SELECT name, value FROM counters"))
    assert counted["exchanges.accepted"] == len(ASKED)
