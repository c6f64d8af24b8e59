"""``mlmon store forget`` on a store at rest and on one whose hub runs."""

import json
import sys
from pathlib import Path

import pytest

from mlmon_sidecar.cli import main as cli
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.embedded import HubHost
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.socket_path import socket_path_for
from mlmon_sidecar.records import Flush, KeptRow, KeptRows, RedactedRows
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["mlmon", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def flush_of(*ids: str) -> Flush:
    rows = tuple(KeptRow(id_, "default", "v", "", 0, 0.5, "yes", None, "a", "", "", "{}") for id_ in ids)
    return Flush("r1", 1, (), RedactedRows(KeptRows.of(rows)), {}, {}, 0)


def test_forget_erases_with_and_without_a_running_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mlmon.db"
    file = tmp_path / "mlmon.toml"
    file.write_text(f"store = 'sqlite:///{path}'\n")
    lock = StoreLock(path)
    hub = Hub(SqliteStore(path), [ModelPlan("default", Layout.bare("default"))], SystemClock(), Telemetry())
    host = HubHost(hub, socket_path_for(path))
    assert lock.try_acquire()
    host.start()
    try:
        hub.flush(flush_of("p", "q", "r/0"))
        assert run("store", "forget", "--id", "p", "--config", str(file), "--json", monkeypatch=monkeypatch) == 0
        assert json.loads(capsys.readouterr().out) == {"predictions": 1, "labels": 0}
        assert hub.store.stored_rows() == 2
    finally:
        host.stop()
        lock.release()
    assert run("store", "forget", "--id", "r", "--config", str(file), monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "erased 1 predictions and 0 labels\n"
    assert run("store", "forget", "--alias", "a", "--config", str(file), "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == {"predictions": 1, "labels": 0}


def test_forget_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("store", "forget", monkeypatch=monkeypatch) == 1
    assert "nobody_named" in capsys.readouterr().err
    file = tmp_path / "mlmon.toml"
    file.write_text(f"store = 'sqlite:///{tmp_path / 'none.db'}'\n")
    assert run("store", "forget", "--id", "x", "--config", str(file), monkeypatch=monkeypatch) == 1
    assert "no_store" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
