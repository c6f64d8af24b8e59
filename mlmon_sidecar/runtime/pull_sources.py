"""Where labels are pulled from: a query on a database, or files. Read in pieces, each with the place to go on from.

A place is text that is kept in one transaction with the labels of its piece: nothing is lost or read twice, whatever
ends between two pieces.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from mlmon_sidecar.errors import MissingExtra, PullError
from mlmon_sidecar.runtime.row_files import Row, rows_of

ROWS_A_PIECE = 200  # one commit; a few milliseconds of the interpreter
MOST_TIED = 20_000  # rows with one value of the cursor: they are remembered one by one
QUIET_NS = 10_000_000_000  # a file that changed later than so long ago may still be written
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class PullOrder:
    """``url`` with ``query``, or ``path``. ``columns``: a label's key to the name of its column."""

    model: str
    url: str
    query: str
    path: str
    every_ns: int
    cursor: str = "observed_at"
    columns: Mapping[str, str] = field(default_factory=dict)
    source: str = "pull"
    utc: bool = False


class Piece(NamedTuple):
    """``place``: name and text, to be kept with these rows."""

    rows: Sequence[Row]
    place: tuple[str, str]


Places = Callable[[str], str]
"""The text kept under a name, or ""."""


def pieces(order: PullOrder, places: Places, now_ns: int) -> Iterator[Piece]:
    """What is new since the place kept. Raises ``PullError``, ``MissingExtra``."""
    return _of_files(order, places, now_ns) if order.path else _of_query(order, places)


# ------------------------------------------------------------ databases


def _of_query(order: PullOrder, places: Places) -> Iterator[Piece]:
    """Ascending by the cursor. Rows at the last value come again and are told by their digests: others may have joined
    them since."""
    name = f"pull:{order.model}"
    kept = orjson.loads(places(name) or "null")
    at, known = (None, set[str]()) if kept is None else (kept["at"], set(kept["known"]))
    fresh: list[Row] = []
    for row in _rows_of_query(order, at):
        value = row.get(order.cursor)
        if value != at:
            at, known = value, set()
        digest = hashlib.blake2b(orjson.dumps(row, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
        if digest in known:
            continue
        if len(known) >= MOST_TIED:
            raise PullError(
                f"more than {MOST_TIED:,} rows have one value of {order.cursor}",
                code="pull_cursor_coarse",
                hint="Name a column that tells rows apart, such as a time with seconds, in outcomes.pull.cursor.",
            )
        known.add(digest)
        fresh.append(row)
        if len(fresh) == ROWS_A_PIECE:
            yield Piece(fresh, (name, _place(at, known)))
            fresh = []
    if fresh:
        yield Piece(fresh, (name, _place(at, known)))


def _place(at: Any, known: set[str]) -> str:
    return orjson.dumps({"at": at, "known": sorted(known)}).decode()


def _rows_of_query(order: PullOrder, at: Any) -> Iterator[Row]:
    """Rows with a cursor from ``at`` on, as JSON would have them."""
    read = _of_sqlite if order.url.startswith("sqlite:") else _of_postgres
    column = f'pulled."{order.cursor}"'
    since = f"{column} IS NOT NULL" if at is None else f"{column} >= "
    query = order.query.strip().rstrip(";")
    for row in read(order.url, (f"SELECT * FROM (\n{query}\n) AS pulled WHERE {since}", f" ORDER BY {column}"), at):  # noqa: S608 - the user's own query, on a connection that can only read
        yield {name: _plain(value) for name, value in row.items()}


def _of_sqlite(url: str, sql: tuple[str, str], at: Any) -> Iterator[Row]:
    path = quote(url.removeprefix("sqlite:///"))
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)) as db:
            db.execute("PRAGMA query_only = ON")
            found = db.execute(("" if at is None else "?").join(sql), () if at is None else (at,))
            names = [column[0] for column in found.description]
            while rows := found.fetchmany(ROWS_A_PIECE):
                yield from (dict(zip(names, row, strict=True)) for row in rows)
    except sqlite3.Error as error:
        raise _failed(error.sqlite_errorname if hasattr(error, "sqlite_errorname") else type(error).__name__) from error


def _of_postgres(url: str, sql: tuple[str, str], at: Any) -> Iterator[Row]:
    try:
        import psycopg
        from psycopg.rows import dict_row
    except ImportError:
        raise MissingExtra("postgres", "pulling labels from PostgreSQL") from None
    # A percent sign is the driver's once it is given parameters.
    text = sql[0] + sql[1] if at is None else f"{sql[0].replace('%', '%%')}%s{sql[1].replace('%', '%%')}"
    try:
        with (
            psycopg.connect(url, options="-c default_transaction_read_only=on", connect_timeout=10) as db,
            db.cursor("mlmon_pull", row_factory=dict_row) as found,
        ):
            found.itersize = ROWS_A_PIECE
            found.execute(text.encode(), None if at is None else (str(at),))
            yield from found
    except psycopg.Error as error:
        raise _failed(error.sqlstate or type(error).__name__) from error


def _failed(kind: str) -> PullError:
    return PullError(
        f"the database did not answer ({kind})",
        code="pull_database",
        hint="Run outcomes.pull.query by hand, and check outcomes.pull.url and that the cursor is one of its columns.",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, date):  # and datetime, which is one
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if value.as_tuple().exponent else int(value)
    return value if value is None or isinstance(value, (str, int, float, bool, list)) else str(value)


# ------------------------------------------------------------ files


def _of_files(order: PullOrder, places: Places, now_ns: int) -> Iterator[Piece]:
    """Files in the order of their names, each read once; of one that has grown the rows behind those read. A file that
    cannot be read does not keep the others from being read."""
    paths = sorted(islice(glob.iglob(order.path, recursive=True), MOST_FILES + 1))
    if len(paths) > MOST_FILES:
        raise PullError(
            f"outcomes.pull.path names more than {MOST_FILES:,} files",
            code="pull_many_files",
            hint="Move files away that were read, or name fewer.",
        )
    first: Exception | None = None
    for path in paths:
        try:
            yield from _of_file(order, path, places, now_ns)
        except Exception as error:  # Told when the others were read.
            first = first or error
    if first is not None:
        raise first


def _of_file(order: PullOrder, path: str, places: Places, now_ns: int) -> Iterator[Piece]:
    name = f"pull:{order.model}:{os.path.abspath(path)}"
    status = os.stat(path)
    size, changed, done, whole = orjson.loads(places(name) or "[0, 0, 0, false]")
    if (whole and (size, changed) == (status.st_size, status.st_mtime_ns)) or status.st_mtime_ns > now_ns - QUIET_NS:
        return
    rows = rows_of(Path(path), lambda _: None)
    if sum(1 for _ in islice(rows, done)) < done:
        raise PullError(
            f"{os.path.basename(path)} has fewer rows than were read from it",
            code="pull_file_changed",
            hint="Write new labels behind the old ones, or into a file with another name.",
        )
    identity = (status.st_size, status.st_mtime_ns)
    while fresh := list(islice(rows, ROWS_A_PIECE)):
        done += len(fresh)
        plain = [{key: _plain(value) for key, value in row.items()} for row in fresh]
        yield Piece(plain, (name, orjson.dumps((*identity, done, False)).decode()))
    yield Piece([], (name, orjson.dumps((*identity, done, True)).decode()))
