"""Connections of the store on PostgreSQL: how they are made, when they are lost, and the tables they find."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.store.postgres_sql import rows_of, write

if TYPE_CHECKING:
    Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMA = "mlmon"
SCHEMA_VERSION = 1
SCHEMA_LOCK = 0x6D6C6D6F  # of two processes that start together one makes the tables, the other waits

# A URL may say otherwise. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "application_name": "mlmon",
    # A server that went without a word is given up after half a minute, in place of two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": 120_000,  # a statement that waits longer is given up, and its call may come again
        "lock_timeout": 10_000,
        # A hub that went without a word holds the fence no longer than this, and the next one can take over.
        "idle_in_transaction_session_timeout": 60_000,
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 4,
        "client_min_messages": "warning",
        "jit": "off",
        # Every statement looks up some thousand keys; not knowing how many, the planner would rather read whole tables.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        # Nor would it read in the order of an index where it takes the rows for few: it sorted all that wait each time.
        "enable_bitmapscan": "off",
    }.items()
)


def connect(url: str) -> Connection:
    """In the schema of the store, and durable: where commits would be answered before they are on the server's disk
    they are not. Raises ``psycopg.Error``."""
    given = conninfo_to_dict(url)
    options = f"{_OPTIONS} {given.pop('options', '')} -c search_path={SCHEMA}"
    db = psycopg.connect(autocommit=True, options=options, **(_DEFAULTS | given))
    try:
        write(
            db,
            """SELECT set_config('synchronous_commit', 'on', false)
               WHERE current_setting('synchronous_commit') = 'off'""",
        )
    except BaseException:
        db.close()
        raise
    return db


def is_lost(db: Connection) -> bool:
    """Whether a connection that nobody uses at the moment has to be made anew. Asks the server only where it said
    something unasked, as it does before it goes."""
    if db.closed:
        return True
    heard = select.poll()
    heard.register(db.fileno(), select.POLLIN)
    if heard.poll(0):
        with suppress(psycopg.Error):
            write(db, "SELECT 1")
    return bool(db.closed)


@contextmanager
def without_time_limit(db: Connection) -> Iterator[None]:
    """For work that takes as long as a table is large. Outside a transaction."""
    write(db, "SET statement_timeout = 0")
    try:
        yield
    finally:
        if not db.closed:
            write(db, "RESET statement_timeout")


def bring_up_to_date(db: Connection) -> None:
    """Makes the tables where there are none. Raises ``StoreError`` for those of another version, and
    ``psycopg.Error``."""
    with db.transaction():
        write(db, "SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        if not rows_of(db, "SELECT to_regnamespace(%s)", (SCHEMA,))[0][0]:
            write(db, f"CREATE SCHEMA {SCHEMA}")
        if not rows_of(db, "SELECT to_regclass('meta')")[0][0]:
            db.execute(files("mlmon_sidecar.store").joinpath("schema/postgres.sql").read_bytes())
        version = int(rows_of(db, "SELECT value FROM meta WHERE key = 'schema'")[0][0])
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema {version}, this version of mlmon needs {SCHEMA_VERSION}",
            code="schema_version",
            hint="Use the mlmon version that wrote it, or name another database as store.",
        )
