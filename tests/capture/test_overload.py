"""Ten times more than the recorder takes, through a real server: every request is accounted for, memory stays flat."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

PROGRAM = Path(__file__).with_name("overload_program.py")
MAX_BYTES = 2 * 1024 * 1024
BODY = b"x" * 10_000
CONNECTIONS, EACH = 8, 300  # 24 MB in all; a tenth is drained meanwhile, so the queue stays full
SLACK_BYTES = 6 * 1024 * 1024  # what allocator, connections and probe may move


def post(port: int, requests: int) -> int:
    """Requests on one kept-alive connection; how many were answered with 200 and ``ok``."""
    head = f"POST /score HTTP/1.1\r\nhost: t\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()
    good = 0
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            connection.sendall(head + BODY)
            answer = b""
            while not answer.endswith(b"\r\n\r\nok"):
                received = connection.recv(65_536)
                assert received, answer
                answer += received
            good += answer.startswith(b"HTTP/1.1 200 ")
    return good


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(PROGRAM), str(MAX_BYTES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_captured_and_dropped_are_what_was_sent(program: subprocess.Popen[str], capsys: pytest.CaptureFixture) -> None:
    assert program.stdout is not None
    port = int(program.stdout.readline())
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        sent = sum(threads.map(lambda _: post(port, EACH), range(CONNECTIONS)))
    output, _ = program.communicate("stop\n", timeout=60)
    said = json.loads(output)
    assert sent == CONNECTIONS * EACH == said["handled"] == said["accepted"]
    assert said["drained"] + said["dropped_full"] == sent
    assert said["items_in_queue"] == 0
    assert said["dropped_full"] > 0.7 * sent, "it was an overload"
    assert 0.9 * MAX_BYTES < said["most_bytes"] <= MAX_BYTES
    full = [resident for handled, resident in said["memory"] if handled > 2 * MAX_BYTES / len(BODY)]
    growth = max(full) - full[0]
    assert growth < SLACK_BYTES
    with capsys.disabled():
        sys.stdout.write(
            f"\noverload: {sent:,} sent = {said['drained']:,} captured + {said['dropped_full']:,} dropped; "
            f"queue at most {said['most_bytes']:,} of {MAX_BYTES:,} bytes; "
            f"resident memory grew {growth / 2**20:.1f} MiB once full\n"
        )
