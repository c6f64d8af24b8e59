"""The FastAPI folder as a user runs it: a real server in a copy of the folder, a few orders, one label."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlmon_sidecar import FeedbackClient, Label

FOLDER = Path(__file__).parents[2] / "integrations" / "fastapi"
DEADLINE_SECONDS = 120


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLMON_")}
    command = [sys.executable, "-m", "uvicorn", "server:app", "--port", str(port), "--log-level", "warning"]
    # The folder has to be importable, whatever keeps the current directory off the path.
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path), environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(command, cwd=tmp_path, env=environ)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def eventually(ask: object) -> dict:
    """The first answer of ``ask`` that is not empty."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        try:
            answer = ask()
        except httpx.TransportError:
            answer = None
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError("it did not come true in time")


def test_orders_reach_the_store_and_a_label_finds_its_order(server: str, tmp_path: Path) -> None:
    order = {"order_id": "order-17", "customer": "c-2", "items": 3, "total": 120.0}
    answer = eventually(lambda: httpx.post(f"{server}/score", json=order))
    assert answer.status_code == 200
    assert len(answer.headers["x-mlmon-prediction-id"]) == 36
    headers = {"authorization": f"Bearer {(tmp_path / 'mlmon.db.token').read_text().strip()}"}

    def stored() -> dict | None:
        status = httpx.get(f"{server}/mlmon/api/status", headers=headers).json()
        return status if status["counters"]["stored"] and status["models"][0]["versions"] else None

    status = eventually(stored)
    assert status["counters"]["requests"] == status["counters"]["captured"] == 1
    assert status["models"][0]["versions"][0]["version"] == "2026-11"
    with FeedbackClient(f"{server}/mlmon", token_file=tmp_path / "mlmon.db.token") as client:
        assert client.send([Label(id="order-17", label="returned")]).accepted == 1
