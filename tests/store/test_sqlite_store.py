"""What only a store that is a file can get wrong."""

import stat
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from store_parts import flush, label, pane, row

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.records import FlushStatus
from mlmon_sidecar.store import open_store
from mlmon_sidecar.store.sqlite import SCHEMA_SCRIPTS, SqliteStore


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "deep" / "mlmon.db")
    store.take_over()
    yield store
    store.close()


def test_the_schema_is_that_of_the_last_script(store: SqliteStore) -> None:
    assert store.schema_version == len(SCHEMA_SCRIPTS)


@pytest.mark.parametrize("sql", ["PRAGMA user_version = 99", "CREATE TABLE theirs (a)"])
def test_a_file_of_another_schema_is_left_alone(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "other.db"
    with apsw.Connection(str(path)) as other:
        other.execute(sql)
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError) as failure:
        open_store(f"sqlite:///{path}")
    assert failure.value.code == "schema_version"
    assert path.read_bytes() == before
    with apsw.Connection(str(path)) as other:
        assert "meta" not in [name for (name,) in other.execute("SELECT name FROM sqlite_master")]
    other.close()


def test_what_is_no_database_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("these are the words of a text file, not pages of a database\n" * 100)
    with pytest.raises(StoreError) as failure:
        open_store(f"sqlite:///{path}")
    assert failure.value.code == "cannot_open"
    with pytest.raises(StoreError) as failure:
        open_store(f"sqlite:///{tmp_path}")
    assert failure.value.code == "cannot_open"


def test_labels_are_synchronised_to_the_disk_at_their_commit(store: SqliteStore) -> None:
    """The pragma at the moment of each commit: 2 is FULL, 1 is NORMAL."""
    seen: list[int] = []
    connection: apsw.Connection = store._write  # the connection that commits

    def at_commit() -> bool:
        seen.append(connection.execute("PRAGMA synchronous").fetchone()[0])  # type: ignore[index]
        return False

    connection.set_commit_hook(at_commit)
    store.commit_labels([label("p", "yes")], 0)
    store.commit_flush(flush(1), 0)
    assert seen == [2, 1]
    with pytest.raises(StoreError):
        store.commit_labels([label("p", None)], 0)  # type: ignore[arg-type]  # fails inside the transaction
    store.commit_flush(flush(2), 0)
    assert seen == [2, 1, 1]


@pytest.mark.parametrize("at", ["statement", "commit", "rolled_back"])
def test_a_write_that_failed_leaves_the_store_usable(store: SqliteStore, tmp_path: Path, at: str) -> None:
    """A full disk makes a statement fail, the commit, or SQLite roll back by itself: the next write succeeds."""
    store.commit_flush(flush(1), 0)
    triggers = {
        "statement": "SELECT RAISE(ABORT, 'full')",
        "commit": "INSERT INTO child VALUES (1)",  # nobody's child: found out at the commit
        "rolled_back": "SELECT RAISE(ROLLBACK, 'full')",
    }
    other = apsw.Connection(str(tmp_path / "deep/mlmon.db"))
    other.execute("CREATE TABLE parent (id PRIMARY KEY)").fetchall()
    other.execute("CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)").fetchall()
    other.execute(f"CREATE TRIGGER broken AFTER INSERT ON counters BEGIN {triggers[at]}; END").fetchall()
    for _ in range(2):
        with pytest.raises(StoreError) as failure:
            store.commit_flush(flush(2, [pane(1)], [row("p")], {"n": 1}), 0)
        assert failure.value.code == "store_failed"
    other.execute("DROP TRIGGER broken").fetchall()
    other.close()
    assert (store.open_models(), store.stored_rows(), store.counters()) == ({}, 0, {})
    assert store.commit_flush(flush(2, [pane(1)], [row("p")], {"n": 1}), 0).status is FlushStatus.COMMITTED
    assert (store.open_models(), store.stored_rows(), store.counters()) == ({"m": 1}, 1, {"n": 1})


def test_files_are_for_their_owner_alone(store: SqliteStore, tmp_path: Path) -> None:
    store.commit_flush(flush(1), 0)
    folder = tmp_path / "deep"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"mlmon.db": 0o600, "mlmon.db-wal": 0o600, "mlmon.db-shm": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
