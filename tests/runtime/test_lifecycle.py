"""Start, end, restart, fork, several workers: what was answered is stored once, wherever it was served."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from forking_program import ask_often, stop
from runtime_serving import (
    HERE,
    ID,
    Served,
    applicants,
    configure,
    counters,
    environment,
    eventually,
    serving,
    stored,
)
from served_apps import monitored

from mlmon_sidecar import Monitor
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.recorder import Recorder
from mlmon_sidecar.records import Flush, FlushReceipt, FlushStatus, Pane
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

pytestmark = pytest.mark.alone

BURST = 200
SHUTDOWN_SECONDS = 5.0  # the monitor's one deadline
SERVER_SECONDS = 10.0  # what the server itself may need on a busy machine


def sealed(folder: Path, model: str = "loans") -> list[Pane]:
    store = SqliteStore(folder / "mlmon.db")
    try:
        return store.fleet_panes(model, 0, 1 << 40)
    finally:
        store.close()


def watermark(folder: Path) -> int:
    store = SqliteStore(folder / "mlmon.db")
    try:
        state = store.model_state("loans")
        return -1 if state is None else state.watermark
    finally:
        store.close()


def rows_of(panes: list[Pane]) -> int:
    cell = Layout.bare("loans").traffic.rows
    return sum(int(pane.vector[cell]) for pane in panes)


def burst(served: Served, count: int, path: str = "/score") -> list[str]:
    """Answers' ids, from eight connections at once."""
    rows = applicants(count)
    local = threading.local()

    def ask(row: dict[str, Any]) -> str:
        if not hasattr(local, "client"):
            local.client = httpx.Client(base_url=served.url, timeout=30)
            clients.append(local.client)
        response = local.client.post(path, json=row)
        assert response.status_code == 200
        return str(response.headers[ID])

    clients: list[httpx.Client] = []
    try:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(ask, rows))
    finally:
        for client in clients:
            client.close()


def test_an_end_at_once_loses_nothing_and_a_second_run_goes_on(tmp_path: Path) -> None:
    configure(tmp_path)
    with serving(tmp_path) as first:
        answered = burst(first, BURST, "/constant")
        begun = time.monotonic()
        first.terminate()
        assert time.monotonic() - begun < SHUTDOWN_SECONDS + SERVER_SECONDS
    assert sorted(stored(tmp_path)) == sorted(answered)
    assert counters(tmp_path)["exchanges.accepted"] == counters(tmp_path)["exchanges.decoded"] == BURST
    assert rows_of(sealed(tmp_path)) == BURST, "the last recorder is gone: its minute is complete"
    reached = watermark(tmp_path)
    with serving(tmp_path) as second:
        status = second.status()
        assert status["counters"]["requests"] == status["counters"]["captured"] == BURST
        (before,) = status["incidents"]
        assert (before["rule"], before["tier"], before["resolved_ms"]) == ("collapse", 2, None)
        assert status["models"][0]["window"]["rows"] == BURST
        answered += burst(second, 10, "/constant")
        assert second.counted(BURST + 10)["captured"] == BURST + 10
        (after,) = second.status()["incidents"]
        assert (after["key"], after["opened_ms"]) == (before["key"], before["opened_ms"]), "opened once"
    assert sorted(stored(tmp_path)) == sorted(answered)
    assert watermark(tmp_path) >= reached
    assert rows_of(sealed(tmp_path)) == BURST + 10


def test_without_lifespan_the_first_request_starts_it(tmp_path: Path) -> None:
    configure(tmp_path)
    with serving(tmp_path, "monitored", "--lifespan", "off") as served:
        ids = [served.score().headers[ID] for _ in range(5)]
        assert served.counted(5)["captured"] == 5
    assert stored(tmp_path) == ids


def test_annotations_reach_rows_and_panes(tmp_path: Path) -> None:
    configure(tmp_path, text='[privacy]\nstore_features = ["age"]')
    with serving(tmp_path) as served:
        of = {served.score(path).headers[ID]: path for path in ("/annotated", "/annotated-sync")}
        served.counted(2)
    rows = {of[row[0]]: row[1:] for row in stored(tmp_path, "prediction_id, segment, predicted, confidence, features")}
    assert rows["/annotated"][:3] == ("async", "repaid", 0.75) and json.loads(rows["/annotated"][3]) == {"age": 41}
    assert rows["/annotated-sync"][:3] == ("sync", "defaulted", 0.25)
    assert json.loads(rows["/annotated-sync"][3]) == {"age": 42}
    (pane,) = sealed(tmp_path)
    outputs = Layout.bare("loans").outputs
    assert (rows_of([pane]), int(pane.vector[outputs.rows])) == (2, 2)


def test_a_server_that_starts_again_in_its_process_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path)
    monkeypatch.chdir(tmp_path)
    app = monitored()
    ids = []
    for _ in range(2):
        ids += asyncio.run(ask_often(app, 3))
        asyncio.run(stop(app))
    assert stored(tmp_path) == ids
    assert counters(tmp_path)["exchanges.accepted"] == 6


def test_the_last_flush_waits_for_the_next_hub() -> None:
    """The hub may be a worker that ends a moment earlier than this one."""
    taken: list[Flush] = []

    class Successor:
        calls = 0

        def flush(self, flush: Flush) -> FlushReceipt:
            self.calls += 1
            if self.calls <= 4:
                raise HubUnavailable("between two hubs", code="hub_unreachable")
            taken.append(flush)
            return FlushReceipt(FlushStatus.COMMITTED, 0)

        def close(self) -> None:
            pass

    recorder = Recorder({}, Handoff(), Successor(), SystemClock(), Telemetry())  # type: ignore[arg-type]  # what is used
    recorder.stop(SHUTDOWN_SECONDS)
    assert [flush.seq for flush in taken] == list(range(1, len(taken) + 1)) and taken[-1].closing


def test_four_workers_share_one_store(tmp_path: Path) -> None:
    configure(tmp_path)
    with serving(tmp_path, "monitored", "--workers", "4") as served:
        answered = burst(served, 80)
        status = eventually(served.status, lambda found: found["counters"]["captured"] == 80)
        serving_now = eventually(
            lambda: {recorder["pid"] for recorder in served.status()["hub"]["recorders"]}, lambda pids: len(pids) == 4
        )
        assert status["hub"]["pid"] in serving_now and served.process.pid not in serving_now
        answered += burst(served, 40)  # and the end comes while the last are on their way
    assert sorted(stored(tmp_path)) == sorted(answered), served.told
    assert counters(tmp_path)["exchanges.accepted"] == counters(tmp_path)["exchanges.decoded"] == 120
    assert rows_of(sealed(tmp_path)) == 120


def test_a_forked_server_records_for_itself(tmp_path: Path) -> None:
    configure(tmp_path)
    paths = os.pathsep.join(filter(None, [str(HERE), environment().get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(HERE / "forking_program.py")],
        cwd=tmp_path, env=environment(PYTHONPATH=paths), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["ended"] == 0 and len(told["parent"]) == 13 and len(told["child"]) == 7
    assert sorted(stored(tmp_path)) == sorted(told["parent"] + told["child"])
    assert counters(tmp_path)["exchanges.accepted"] == 20
    assert rows_of(sealed(tmp_path)) == 20
    store = SqliteStore(tmp_path / "mlmon.db")
    recorders = store.recorders()
    store.close()
    assert len({recorder.recorder_id for recorder in recorders}) == len({r.origin for r in recorders}) == 2
    assert all(recorder.closed and not recorder.lost for recorder in recorders)


# ---------------------------------------------------------------- jobs

NIGHT = datetime(2026, 3, 1, 2, tzinfo=UTC)


class Frame:
    """As much of a dataframe as pandas and polars have in common."""

    def __init__(self, columns: dict[str, list[float]]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return np.array(self._columns[name])


COLUMNS = {"income": [50_000.0, 20_000.0, 30_000.0], "loan": [1_000.0, 9_000.0, 2_000.0]}
TABLES: dict[str, Any] = {
    "mapping of lists": COLUMNS,
    "mapping of arrays": {name: np.array(values) for name, values in COLUMNS.items()},
    "list of dicts": [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
    "array": np.array(list(COLUMNS.values())).T,
    "frame": Frame(COLUMNS),
}
TIMES: dict[str, Any] = {
    "datetimes": [NIGHT + timedelta(minutes=n) for n in range(3)],
    "numpy": np.array([(NIGHT + timedelta(minutes=n)).replace(tzinfo=None) for n in range(3)], "datetime64[ns]"),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("table", TABLES)
def test_a_job_observes(table: str, times: str, tmp_path: Path) -> None:
    configure(
        tmp_path,
        models='feature_names = ["income", "loan"]',
        text='[privacy]\nstore_features = ["income", "loan"]',
    )
    settings = tmp_path / "mlmon.toml"
    settings.write_text(settings.read_text().replace("sqlite:///mlmon.db", f"sqlite:///{tmp_path}/mlmon.db"))
    with Monitor(settings, strict=True) as monitor:
        ids = monitor.observe(
            "loans",
            features=TABLES[table],
            scores=np.array([0.9, 0.3, 0.7]),
            ids=["a", "b", "c"],
            times=TIMES[times],
        )
    rows = stored(tmp_path, "prediction_id, alias, predicted, score, event_ns, features")
    assert [row[:4] for row in rows] == [
        (ids[0], "a", "repaid", 0.9),
        (ids[1], "b", "not repaid", 0.3),
        (ids[2], "c", "repaid", 0.7),
    ]
    start = int(NIGHT.timestamp()) * 1_000_000_000
    assert [row[4] for row in rows] == [start, start + 60_000_000_000, start + 120_000_000_000]
    assert json.loads(rows[1][5]) == {"income": 20_000.0, "loan": 9_000.0}
    panes = sealed(tmp_path)
    assert [pane.key.minute for pane in panes] == [start // 60_000_000_000 + n for n in range(3)]
    assert rows_of(panes) == 3
