"""Erasing somebody: gone from every byte of the store's files, and nobody else is touched."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from store_parts import flush, label, row

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.sqlite import SqliteStore

CANARY = "canary-4711-of-somebody"


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'mlmon.db'}")
    store.take_over()
    yield store
    store.close()


def files_with(folder: Path, text: str) -> list[str]:
    return [path.name for path in sorted(folder.iterdir()) if text.encode() in path.read_bytes()]


def kept(tmp_path: Path) -> list[str]:
    other = apsw.Connection(str(tmp_path / "mlmon.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [row[0] for row in other.execute("SELECT prediction_id FROM predictions ORDER BY 1")]
    finally:
        other.close()


def test_nothing_of_the_erased_is_left_in_any_file(store: Store, tmp_path: Path) -> None:
    rows = [row(f"{CANARY}-p", alias=f"{CANARY}-a"), *(row(f"other-{at}", alias=f"b{at}") for at in range(300))]
    store.commit_flush(flush(1, rows=rows), 0)
    store.commit_labels([label(f"{CANARY}-a", f"{CANARY}-said"), label("other-1", "yes")], 0)
    store.join_labels(10)
    assert files_with(tmp_path, CANARY)  # else the test shows nothing
    assert store.erase([f"{CANARY}-p"], []) == (1, 1)
    # The class it was given stays in a count, as a class does; its ids are gone from database and log alike.
    for part in (f"{CANARY}-p", f"{CANARY}-a"):
        assert files_with(tmp_path, part) == []
    assert len(kept(tmp_path)) == 300
    assert store.label_counts("m") == {"matched": 2}
    assert store.stored_rows() == 300


def test_an_alias_takes_every_prediction_under_it_and_a_batch_all_its_rows(store: Store, tmp_path: Path) -> None:
    rows = [
        row("p/0", alias="a/0"), row("p/1", alias="a/1"), row("q", alias="a"), row("p0", alias="a0"), row("pp"),
        row("r/0"), row("r/1"), row("r"),
    ]  # fmt: skip
    store.commit_flush(flush(1, rows=rows), 0)
    store.commit_labels([label("a/7", "yes"), label("r/9", "no"), label("z", "no")], 0)  # none has a prediction yet
    assert store.erase(["r"], ["a"]) == (6, 2)
    assert kept(tmp_path) == ["p0", "pp"]
    assert store.erase(["r"], ["a"]) == (0, 0)


def test_wildcards_and_quotes_name_only_themselves(store: Store, tmp_path: Path) -> None:
    names = ["%", "_", "a%", "'; DROP TABLE predictions; --", 'x"y', "a"]
    store.commit_flush(flush(1, rows=[row(name) for name in names]), 0)
    assert store.erase(["%", "'; DROP TABLE predictions; --"], []).predictions == 2
    assert kept(tmp_path) == sorted(["_", "a%", 'x"y', "a"])


def test_a_reader_that_holds_the_log_is_told_of(store: SqliteStore, tmp_path: Path) -> None:
    store.commit_flush(flush(1, rows=[row(CANARY)]), 0)
    reader = apsw.Connection(str(tmp_path / "mlmon.db"), flags=apsw.SQLITE_OPEN_READONLY)
    cursor = reader.execute("SELECT prediction_id FROM predictions")
    store._write.set_busy_timeout(10)
    with pytest.raises(StoreError, match="its log") as caught:
        store.erase([CANARY], [])
    assert caught.value.code == "log_in_use"
    cursor.close()
    reader.close()
    assert store.erase([CANARY], []) == (0, 0)
    assert files_with(tmp_path, CANARY) == []
