"""What only a store behind a server can get wrong: it goes away, others speak to it, its texts lack a character."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Server
from store_parts import DAY_NS, flush, incident, label, pane, row

from mlmon_sidecar.config.settings import Settings
from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.records import FlushStatus, LabelStatus
from mlmon_sidecar.store import open_store, store_path
from mlmon_sidecar.store.label_rules import LabelRule
from mlmon_sidecar.store.postgres_feedback import LOOK_UP
from mlmon_sidecar.store.postgres_outcomes import CREATE_MOVED, MOVE
from mlmon_sidecar.store.postgres_sql import packed_columns

psycopg = pytest.importorskip("psycopg")


@pytest.fixture(scope="module", name="mortal")
def _mortal(database: Server) -> Iterator[Server]:
    """One that may be killed, and writes to its disk before it answers. ``database``: where none can be had, skip."""
    with Server(durable=True) as server:
        yield server


def test_a_database_that_is_killed_and_started_loses_nothing_acknowledged(mortal: Server) -> None:
    store = open_store(mortal.url)
    store.take_over()
    store.commit_flush(flush(1), 0)
    kept: list[str] = []
    for turn in range(3):
        for batch in range(5):
            names = [f"{turn}-{batch}-{n}" for n in range(50)]
            store.commit_labels([label(name, "yes") for name in names], 0)
            kept += names
        assert store.commit_flush(flush(2 + turn, [pane(turn)], [row(f"p{turn}")]), 0).status is FlushStatus.COMMITTED
        mortal.kill()
        for call in (store.counters, lambda: store.commit_labels([label("lost", "no")], 0)):
            with pytest.raises(StoreError) as failure:
                call()
            assert failure.value.code == "store_failed"
        mortal.start()
    assert store.stored_rows() == 3 and store.open_models() == {"m": 2}
    assert sorted(name for (name,) in store._rows("SELECT id FROM labels")) == sorted(kept)  # type: ignore[attr-defined]
    store.close()


def test_commits_are_on_disk_where_the_database_would_answer_before(mortal: Server) -> None:
    """Of answers ahead of the disk a crash takes the last ``wal_writer_delay``."""
    url = mortal.emptied()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        db.execute("ALTER DATABASE postgres SET synchronous_commit = off")
        db.execute("SELECT pg_reload_conf()")
    try:
        store = open_store(url)
        store.take_over()
        names = [f"p-{n}" for n in range(50)]
        for name in names:
            store.commit_labels([label(name, "yes")], 0)
        mortal.kill()
        mortal.start()
        assert [name for (name,) in store._rows("SELECT id FROM labels ORDER BY label_id")] == names  # type: ignore[attr-defined]
        store.close()
    finally:
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("ALTER DATABASE postgres RESET synchronous_commit")
            db.execute("ALTER SYSTEM RESET wal_writer_delay")


def test_a_restart_between_two_calls_costs_neither(mortal: Server) -> None:
    store = open_store(mortal.emptied())
    store.take_over()
    store.commit_labels([label("p", "yes")], 0)
    mortal.kill()
    mortal.start()
    assert store.label_counts("m") == {}
    assert store.commit_labels([label("p", "yes")], 0)[0].status is LabelStatus.DUPLICATE
    store.close()


def test_the_next_hub_waits_for_none_that_hangs_in_a_transaction(postgres: str) -> None:
    """It holds the fence, perhaps on a host that is gone: the server ends it."""
    hanging = open_store(f"{postgres}&options=-c%20idle_in_transaction_session_timeout%3D500")
    hanging.take_over()
    following = open_store(postgres)
    with pytest.raises(StoreError), hanging._transaction():  # type: ignore[attr-defined]
        following.take_over()
        raise StoreError("it woke up", code="woke_up")
    with pytest.raises(StoreError) as failure:
        hanging.commit_labels([label("p", "yes")], 0)
    assert failure.value.code == "fenced"
    hanging.close()
    following.close()


def test_a_user_who_may_not_create_uses_the_tables_that_are_there(postgres: str) -> None:
    open_store(postgres).close()
    with psycopg.connect(postgres, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS small")
        db.execute("CREATE ROLE small LOGIN")
        db.execute("GRANT USAGE ON SCHEMA mlmon TO small")
        db.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mlmon TO small")
        small = open_store(postgres.replace("mlmon@", "small@"))
        small.take_over()
        assert small.commit_labels([label("p", "yes")], 0)[0].status is LabelStatus.PENDING
        small.close()
        db.execute("SET client_min_messages = warning; DROP SCHEMA mlmon CASCADE; DROP ROLE small")


def test_joining_leaves_nothing_behind_in_its_table(postgres: str) -> None:
    """Nobody vacuums a temporary table of another session."""
    store = open_store(postgres)
    store.take_over()
    store.commit_flush(flush(1, rows=[row(f"p{n}") for n in range(30)]), 0)
    store.commit_labels([label(f"p{n}", "yes") for n in range(30)], 0)
    while store.join_labels(10):
        with store._writing() as db:  # type: ignore[attr-defined]
            assert db.execute("SELECT pg_relation_size('moved')").fetchone() == (0,)
    assert store.label_counts("m") == {"matched": 30}
    store.close()


def test_labels_are_looked_up_by_key_while_nothing_is_known_of_the_table(postgres: str) -> None:
    """Between a table's first vacuum and its first statistics: to walk all labels for each one takes for ever."""
    store = open_store(postgres)
    store.take_over()
    with store._writing() as db:  # type: ignore[attr-defined]
        db.execute("ALTER TABLE labels SET (autovacuum_enabled = false)")
        db.execute(
            """INSERT INTO labels (id, model, prediction_id, label, observed_ns, received_ns, source, state, weight,
                                   counted)
               SELECT 'p' || n, '', 'p' || n, 'yes', 1, 1, 'bank', 'ready', 1, 1 FROM generate_series(1, 300000) AS n"""
        )
        db.execute("VACUUM labels")
        plan = "\n".join(line for (line,) in db.execute("EXPLAIN " + LOOK_UP, packed_columns([("p1", "", 1)])))
        assert "labels_by_prediction" in plan and "labels_pending_by_id" in plan, plan
        assert "labels_pkey" not in plan, plan
        db.execute(CREATE_MOVED)
        plan = "\n".join(line for (line,) in db.execute("EXPLAIN " + MOVE, {"limit": 10}))
    # The oldest that wait are read in the order of their index: nobody sorts all of them to take ten.
    assert "labels_ready" in plan and "Sort Key: labels.label_id" not in plan, plan
    assert "labels_by_prediction" in plan and "predictions_pkey" in plan and "Seq Scan" not in plan, plan
    store.close()


def test_one_that_cannot_be_reached_is_an_error_that_says_so() -> None:
    with pytest.raises(StoreError, match="cannot be used") as failure:
        open_store("postgresql://nobody@127.0.0.1:9/mlmon")
    assert failure.value.code == "cannot_open" and "runs" in failure.value.hint


def test_a_hub_that_was_replaced_waits_for_none_of_the_new_one(postgres: str) -> None:
    """The fence holds while a transaction of the old hub is open: the new one comes after it, never between."""
    old, new = open_store(postgres), open_store(postgres)
    old.take_over()
    old.commit_flush(flush(1, [pane(1)]), 0)
    new.take_over()
    for write in (
        lambda: old.commit_flush(flush(2, [pane(2)]), 0),
        lambda: old.commit_labels([label("p", "yes")], 0),
        lambda: old.write_incidents([(incident(3), "opened", 3)]),
    ):
        with pytest.raises(StoreError) as failure:
            write()
        assert failure.value.code == "fenced"
    assert new.commit_flush(flush(2, [pane(2)]), 0).status is FlushStatus.COMMITTED
    assert new.open_models() == {"m": 2} and new.incidents() == []
    old.close()
    new.close()


def test_tables_of_another_version_are_left_alone(postgres: str) -> None:
    open_store(postgres).close()
    with psycopg.connect(postgres, autocommit=True) as db:
        db.execute("UPDATE mlmon.meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(StoreError) as failure:
        open_store(postgres)
    assert failure.value.code == "schema_version"


def test_what_stands_beside_it_in_the_database_is_left_alone(postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS public.labels; CREATE TABLE public.labels (theirs text)")
        store = open_store(postgres)
        store.take_over()
        store.commit_labels([label("p", "yes")], 0)
        store.close()
        assert db.execute("SELECT count(*) FROM public.labels").fetchone() == (0,)
        db.execute("DROP TABLE public.labels")


def test_texts_with_a_nul_are_kept_without_it(postgres: str) -> None:
    """PostgreSQL holds no NUL. Backslashes before a written one are characters of their own."""
    store = open_store(postgres)
    store.take_over()
    odd = ["a\0b", "a\\u0000b", "a\\\0b", "\0"]
    store.commit_flush(flush(1, [pane(1, version="v\0")]), 0)
    store.commit_flush(flush(2, rows=[row(f"p{n}", alias=name, predicted=name) for n, name in enumerate(odd)]), 0)
    rules = {"m": LabelRule(60 * DAY_NS, "binary", frozenset({"x\0", "no"}))}
    store.commit_labels([label(name, "x\0") for name in odd], 0, rules)
    store.join_labels(10)
    said = {cell.predicted for cell in store.outcome_cells("m", 0, 0)}
    assert said == {"a\ufffdb", "a\\u0000b", "a\\\ufffdb", "\ufffd"}
    assert {cell.actual for cell in store.outcome_cells("m", 0, 0)} == {"x\ufffd"}
    assert [stored.pane.key.version for stored in store.open_panes("m", 9, 9)] == ["v\ufffd"]
    store.close()


def test_the_erased_is_in_no_table(postgres: str) -> None:
    store = open_store(postgres)
    store.take_over()
    rows = [row("somebody-p", alias="somebody-a"), row("p/0", alias="a/0"), row("p0", alias="a0"), row("other")]
    store.commit_flush(flush(1, rows=rows), 0)
    store.commit_labels([label("somebody-a", "yes"), label("a/9", "no"), label("z", "no")], 0)
    store.join_labels(10)
    assert store.erase(["somebody-p"], ["a"]) == (2, 2)
    assert store.stored_rows() == 2
    with psycopg.connect(postgres, options="-c search_path=mlmon") as db:
        for table, column in (("predictions", "prediction_id"), ("predictions", "alias"), ("labels", "id")):
            texts = [text for (text,) in db.execute(f"SELECT {column} FROM {table}")]
            assert not any("somebody" in (text or "") or (text or "").startswith(("p/", "a/")) for text in texts)
        dead = db.execute("SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relname IN ('predictions', 'labels')")
        assert dead.fetchone() in ((0,), (None,))
    store.close()


@pytest.mark.parametrize(
    ("url", "wrong"),
    [("postgresql://u:secret@h/d", "password"), ("mysql://h/d", "must be"), ("postgresql://u@h/d", "")],
)
def test_the_setting_takes_no_password(url: str, wrong: str) -> None:
    if not wrong:
        assert Settings(store=url).store == url
        return
    with pytest.raises(ValueError, match=wrong) as failure:
        Settings(store=url)
    assert "secret" not in str(failure.value).split("input_value")[0]


def test_the_hubs_own_files_lie_in_the_working_directory() -> None:
    assert store_path("postgresql://u@h/loans?host=/tmp") == Path("mlmon-loans")
    assert store_path("postgresql://h") == Path("mlmon-postgres")
