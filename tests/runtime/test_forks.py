"""Every way in which servers make their workers, and how they end: a recorder a process, each request counted once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from runtime_serving import (
    HERE,
    ID,
    SOON_SECONDS,
    Served,
    configure,
    counters,
    environment,
    eventually,
    serving,
    stored,
)

from mlmon_sidecar import Monitor
from mlmon_sidecar.runtime.process import MonitoredProcess
from mlmon_sidecar.runtime.worker import Worker
from mlmon_sidecar.store.sqlite import SqliteStore

SHUTDOWN_SECONDS = 5.0
SERVER_SECONDS = 10.0  # what the server itself may need on a busy machine


def on_path() -> dict[str, str]:
    return environment(PYTHONPATH=os.pathsep.join(filter(None, [str(HERE), environment().get("PYTHONPATH")])))


def origins(folder: Path) -> set[str]:
    store = SqliteStore(folder / "mlmon.db")
    try:
        return {row.origin.rpartition(":")[2] for row in store.recorders()}
    finally:
        store.close()


@contextmanager
def prefork(folder: Path, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """gunicorn, its application loaded before it forks; process and URL."""
    pytest.importorskip("gunicorn")
    pytest.importorskip("uvicorn_worker")
    log = folder / "gunicorn.log"
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "gunicorn", "--preload", "-w", str(workers)]
    command += ["-k", "uvicorn_worker.UvicornWorker", "-b", "127.0.0.1:0", "served_apps:monitored()"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=on_path(), stdout=out, stderr=out)
    try:
        url = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()))
        assert url is not None
        yield process, url[0]
    finally:
        process.terminate()
        process.wait(SOON_SECONDS)


def ask(url: str, count: int) -> list[str]:
    """A connection each, so that every worker gets some."""
    ids = []
    for _ in range(count):
        answer = httpx.post(f"{url}/score", json={"income": 50_000, "loan": 9_000}, timeout=30)
        assert answer.status_code == 200
        ids.append(answer.headers[ID])
    return ids


def test_prefork_workers_record_for_themselves(tmp_path: Path) -> None:
    configure(tmp_path)
    with prefork(tmp_path, 2) as (process, url):
        eventually(lambda: httpx.get(f"{url}/health", timeout=30).status_code == 200)
        pids = {httpx.get(f"{url}/pid", timeout=30).json() for _ in range(40)}
        ids = ask(url, 40)
        process.terminate()
        assert process.wait(SHUTDOWN_SECONDS + SERVER_SECONDS + 20) == 0
    assert sorted(stored(tmp_path)) == sorted(ids)
    assert counters(tmp_path)["exchanges.accepted"] == counters(tmp_path)["exchanges.decoded"] == 40
    assert process.pid not in pids and origins(tmp_path) <= {str(pid) for pid in pids}
    complaints = [line for line in (tmp_path / "gunicorn.log").read_text().splitlines() if line.startswith("mlmon")]
    assert complaints == []


def test_a_reload_drains_the_old_process_and_the_new_one_captures(tmp_path: Path) -> None:
    configure(tmp_path)
    watched = tmp_path / "code"
    watched.mkdir()
    (watched / "model.py").write_text("LEVEL = 1\n")
    with serving(tmp_path, "monitored", "--reload", "--reload-dir", str(watched)) as served:
        first = served.client.get("/pid").json()
        ids = [served.score().headers[ID] for _ in range(10)]

        def reloaded() -> int:
            (watched / "model.py").write_text(f"LEVEL = {time.monotonic_ns()}\n")
            time.sleep(0.3)  # between two touches: the reloader looks a few times a second
            try:
                return int(httpx.get(f"{served.url}/pid", timeout=5).json())
            except httpx.TransportError:
                return first

        second = eventually(reloaded, lambda pid: pid != first)
        ids += [served.score().headers[ID] for _ in range(10)]
    assert second != first
    eventually(lambda: len(stored(tmp_path)) == 20)
    assert sorted(stored(tmp_path)) == sorted(ids), served.told
    assert origins(tmp_path) >= {str(first)}


def test_a_fork_with_every_lock_held_serves_and_records(tmp_path: Path) -> None:
    configure(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(HERE / "locked_fork_program.py")],
        cwd=tmp_path, env=on_path(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert {"MonitoredProcess._starting", "Faults._lock", "Handoff._new_lane", "Monitor._starting"} <= {*told["locks"]}
    answered, observed = told["child"]
    assert told["ended"] == 0 and len(answered) == 7 and len(observed) == 3
    kept = stored(tmp_path)
    assert {*told["parent"], *answered, *observed} <= {*kept} and len(kept) == 8 + 1 + 7 + 3
    store = SqliteStore(tmp_path / "mlmon.db")
    recorders = store.recorders()
    store.close()
    assert len({row.recorder_id for row in recorders}) == 4, "server and job, in parent and child"
    assert all(row.closed and not row.lost for row in recorders)


def test_a_monitor_observes_in_parent_and_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path)
    monkeypatch.chdir(tmp_path)
    program = """
import json, os, sys
from mlmon_sidecar import Monitor
rows = lambda n: {"features": [{"income": 1.0}] * n, "scores": [0.5] * n}
with Monitor(strict=True) as monitor:
    monitor.observe("loans", **rows(5))
    child = os.fork()
    monitor.observe("loans", **rows(3 if child == 0 else 2))
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(status) if child else "", end="")
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "0")
    assert len(set(stored(tmp_path))) == 5 + 3 + 2
    assert counters(tmp_path)["rows.decoded"] == 10, "nobody hands over what the other observed"


def test_signal_handlers_stay_the_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path)
    monkeypatch.chdir(tmp_path)

    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in sorted(signal.valid_signals())]

    before = handlers()
    for ship in ("panes", "raw"):
        hub = {"url": f"unix://{tmp_path}/hub.sock", "ship": ship} if ship == "raw" else {"url": "embedded"}
        process = MonitoredProcess.from_settings(None, {"hub": hub})
        assert process is not None
        monkeypatch.setattr(process, "stop_seconds", 1.1)
        process.start()
        assert process._ready.wait(60) and handlers() == before
        process.stop()
        assert handlers() == before
    with Monitor() as monitor:
        monitor.observe("loans", features=[{"income": 1.0}], scores=[0.5])
        assert handlers() == before
    assert handlers() == before and signal.set_wakeup_fd(-1) == -1


def test_what_cannot_be_read_before_the_deadline_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configure(tmp_path)
    monkeypatch.chdir(tmp_path)
    process = MonitoredProcess.from_settings(None, {})
    assert process is not None
    worker = Worker(process)
    monkeypatch.setattr(worker.recorder, "stop", lambda deadline_seconds: 17)
    worker.stop(SHUTDOWN_SECONDS)
    worker.hub.close()
    assert "17 exchanges that were not read yet are lost" in caplog.text


def test_sigterm_under_load_ends_in_time_with_everything_recorded(tmp_path: Path) -> None:
    configure(tmp_path)
    ids: list[str] = []
    with serving(tmp_path) as served:
        threads = [threading.Thread(target=ask_until_refused, args=(served, ids)) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(ids) > 200)
        begun = time.monotonic()
        served.terminate()
        assert time.monotonic() - begun < SHUTDOWN_SECONDS + SERVER_SECONDS
        for thread in threads:
            thread.join()
    assert {*ids} <= {*stored(tmp_path)}, "whatever was answered"
    found = counters(tmp_path)
    assert found["exchanges.accepted"] == found["exchanges.decoded"] == len(stored(tmp_path))
    assert served.complaints == []


def ask_until_refused(served: Served, ids: list[str]) -> None:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        try:
            while True:
                answer = client.post("/score", json={"income": 50_000, "loan": 9_000})
                ids.append(answer.headers[ID])
        except httpx.TransportError:
            return
