"""The examples run as they say, in a directory of their own."""

import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlmon_sidecar.demo.process import choose_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
READY_SECONDS = 30.0


def kept(store: Path) -> list[tuple[str, str, str]]:
    """None while the store is being made."""
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            return connection.execute(
                "SELECT prediction_id, alias, predicted FROM predictions ORDER BY rowid"
            ).fetchall()
    except sqlite3.OperationalError:
        return []


def test_batch_job(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "batch_job.py")]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout
    assert told == "observed 500 predictions\n"
    rows = kept(tmp_path / "mlmon.db")
    assert {alias for _, alias, _ in rows} == {f"customer-{number}" for number in range(500)}
    assert {predicted for _, _, predicted in rows} == {"repaid", "defaulted"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    port = choose_port(None)
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--app-dir", str(EXAMPLES), "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until_served(f"http://127.0.0.1:{port}/docs")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def wait_until_served(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_fastapi_app(served: str, tmp_path: Path) -> None:
    body = json.dumps({"income": 52_000, "loan": 9_000, "country": "SE"}).encode()
    request = urllib.request.Request(f"{served}/score", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
        prediction_id = response.headers["x-mlmon-prediction-id"]
    assert answer["prediction"] == "repaid"
    assert answer["score"] == pytest.approx(0.7231, abs=1e-3)
    token = (tmp_path / "mlmon.db.token").read_text().strip()
    deadline = time.monotonic() + READY_SECONDS
    while not (rows := kept(tmp_path / "mlmon.db")) and time.monotonic() < deadline:
        time.sleep(0.05)
    status = urllib.request.Request(f"{served}/mlmon/api/status", headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(status, timeout=10) as response:
        assert [model["name"] for model in json.load(response)["models"]] == ["loans"]
    assert [(row[0], row[2]) for row in rows] == [(prediction_id, "repaid")]
