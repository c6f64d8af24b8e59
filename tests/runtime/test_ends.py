"""How things end: in order, in time, and for good."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.hub.embedded import CLOSE_SECONDS, EmbeddedHub
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import MINUTE_NS, Flush, Pane, PaneKey, RedactedRows
from mlmon_sidecar.runtime import worker as worker_module
from mlmon_sidecar.runtime.process import SAYING_SECONDS, STOP_SECONDS, MonitoredProcess
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

pytestmark = pytest.mark.alone


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("page", [True, False])
def test_a_separate_hub_ends_in_order(tmp_path: Path, number: signal.Signals, page: bool) -> None:
    """Socket gone, write-ahead log folded into the store, status 0: with the page as well, whose server knows other
    ways to end."""
    token = tmp_path / "token"
    token.write_text("t" * 40 + "\n")
    token.chmod(0o600)
    config = tmp_path / "mlmon.toml"
    config.write_text(f'store = "sqlite:///{tmp_path}/mlmon.db"\n[tokens]\nread = "{token}"\n[models.m]\n')
    listen = ["--listen", f"127.0.0.1:{free_port()}"] if page else []
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--config", str(config), *listen]
    said = tmp_path / "said"
    with said.open("w") as log:
        hub = subprocess.Popen(command, stderr=log)
    try:
        give_up = time.monotonic() + 60
        while not answers(int(listen[1].rpartition(":")[2]) if page else None, tmp_path):
            assert hub.poll() is None and time.monotonic() < give_up
            time.sleep(0.05)
        hub.send_signal(number)
        assert hub.wait(30) == 0
        assert said.read_text() == ""
    finally:
        hub.kill()
        hub.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mlmon.db",
        "mlmon.db.lock",
        "mlmon.toml",
        "said",
        "token",
    ]
    assert apsw.Connection(str(tmp_path / "mlmon.db")).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def answers(port: int | None, folder: Path) -> bool:
    if not list(folder.glob("*.sock")):
        return False
    if port is None:
        return True
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b"401" in connection.recv(100)
    except OSError:
        return False


class Made:
    """Hubs that an ``EmbeddedHub`` made."""

    def __init__(self, folder: Path) -> None:
        self.hubs: list[Hub] = []
        self._store = folder / "mlmon.db"
        self.embedded = EmbeddedHub(self._store, self.make)

    def make(self) -> Hub:
        plan = ModelPlan("m", Layout.bare("m"))
        self.hubs.append(Hub(SqliteStore(self._store), [plan], SystemClock(), Telemetry()))
        return self.hubs[-1]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path)
    yield made
    made.embedded.close()


def registration() -> Flush:
    return Flush("r", 1, (), RedactedRows(), {}, {"m": -1}, 0)


def test_a_question_after_the_end_finds_no_hub_and_makes_none(made: Made) -> None:
    made.embedded.flush(registration())
    made.embedded.close()
    with pytest.raises(HubUnavailable) as refusal:
        made.embedded.query("status", {})
    assert refusal.value.code == "hub_closed" and len(made.hubs) == 1
    made.embedded.close()


def test_an_end_amid_a_long_seal_is_in_time_and_the_next_hub_seals_the_rest(made: Made, tmp_path: Path) -> None:
    made.embedded.flush(registration())
    (hub,) = made.hubs
    seal = hub.store.seal

    def slow(what: Any) -> None:
        time.sleep(0.3)
        seal(what)

    hub.store.seal = slow  # type: ignore[method-assign]
    layout = Layout.bare("m")
    minute = time.time_ns() // MINUTE_NS - 3_000
    panes = tuple(
        Pane(PaneKey("m", "v", "", layout.hash, minute + at), np.zeros(layout.size, np.int64)) for at in range(1_000)
    )
    made.embedded.flush(Flush("r", 2, panes, RedactedRows(), {}, {"m": minute + 1_000}, 0, closing=True))
    begun = time.monotonic()
    made.embedded.close()
    assert time.monotonic() - begun < CLOSE_SECONDS + 5  # noise; sixteen seals alone take longer
    store = SqliteStore(tmp_path / "mlmon.db")
    sealed, waiting = len(store.fleet_panes("m", 0, 1 << 40)), len(store.open_panes("m", 1 << 40, 2_000))
    assert sealed + waiting == 1_000 and waiting > 0
    store.close()


def test_a_hub_that_cannot_be_made_leaves_no_open_store_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[SqliteStore] = []

    def open_store(_: str) -> SqliteStore:
        opened.append(SqliteStore(tmp_path / "a.db"))
        return opened[-1]

    monkeypatch.setattr(worker_module, "open_store", open_store)

    def fail(*_: object, **__: object) -> None:
        raise ValueError

    monkeypatch.setattr(worker_module, "Hub", fail)
    process = MonitoredProcess.from_settings(None, {"store": f"sqlite:///{tmp_path}/a.db"})
    assert process is not None
    with pytest.raises(ValueError):
        worker_module.make_hub(process.settings, [], SystemClock(), Telemetry(), None, None, None, role="embedded")  # type: ignore[arg-type]
    (store,) = opened
    with pytest.raises(Exception, match="store"):
        store.counters()


def test_a_server_that_ends_while_the_monitor_starts_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, made = threading.Event(), []

    class Slow:
        def __init__(self, process: MonitoredProcess) -> None:
            gate.wait(60)
            self.started = self.closed = False
            self.hub = self
            process.slot.fill(self)  # type: ignore[arg-type]
            made.append(self)

        def start(self) -> None:
            self.started = True

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(worker_module, "Worker", Slow)
    monkeypatch.setattr(MonitoredProcess, "stop_seconds", 1.1)
    process = MonitoredProcess.from_settings(None, {"store": f"sqlite:///{tmp_path}/a.db"})
    assert process is not None
    process.start()
    ready = process._ready
    process.stop()
    gate.set()
    assert ready.wait(60)
    (slow,) = made
    assert (slow.started, slow.closed, process._worker) == (False, True, None)
    assert process.slot._client is None


@pytest.mark.parametrize("ship", ["panes", "raw"])
@pytest.mark.parametrize("exports", [True, False])
def test_who_exports_nothing_has_all_its_time_for_what_was_captured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ship: str, exports: bool
) -> None:
    given: list[float] = []
    hub = {"url": f"unix://{tmp_path}/hub.sock", "ship": ship}
    export = {"export": {"endpoint": f"http://127.0.0.1:{free_port()}"}} if exports else {}
    process = MonitoredProcess.from_settings(None, {"store": f"sqlite:///{tmp_path}/a.db", "hub": hub, **export})
    assert process is not None
    process.start()
    assert process._ready.wait(60)
    worker: Any = process._worker
    sender = worker.shipper if ship == "raw" else worker.recorder
    stop = sender.stop
    monkeypatch.setattr(sender, "stop", lambda seconds: given.append(seconds) or stop(0.1))
    process.stop()
    whole = STOP_SECONDS - SAYING_SECONDS
    assert len(given) == 1
    assert given[0] <= whole * 2 / 3 if exports else given[0] > whole * 3 / 4
