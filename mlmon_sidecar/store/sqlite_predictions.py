"""Kept predictions on SQLite, as they come with a flush."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

import apsw
import orjson

from mlmon_sidecar.records import KeptRow, KeptRows
from mlmon_sidecar.store.sqlite_labels import DAY_NS, write_all

MOST_ROWS = 256  # of one statement: about half a millisecond without the interpreter's lock


def insert_predictions(db: apsw.Connection, rows: KeptRows) -> None:
    """Each once, and counted by its day: a prediction that is here already counts and is written no second time."""
    if not rows:
        return
    ids = rows.column("prediction_id")
    here = _here(db, ids)
    if here or len(set(ids)) < len(ids):  # seldom
        first: dict[str, int] = {}
        for at, id_ in enumerate(ids):
            if id_ not in here:
                first.setdefault(id_, at)
        rows = rows.picked(list(first.values()))
    _count_days(db, rows)
    for part in _parts(rows):
        db.execute(_insert(len(part)), tuple(chain.from_iterable(zip(*part.columns, strict=True)))).fetchall()


def _here(db: apsw.Connection, ids: Sequence[str]) -> frozenset[str]:
    """In one row: each further one gives up the interpreter lock once more."""
    ((found,),) = db.execute(
        """SELECT json_group_array(prediction_id) FROM predictions
           WHERE prediction_id IN (SELECT value FROM json_each(?))""",
        (orjson.dumps(ids).decode(),),
    ).fetchall()
    return frozenset(orjson.loads(str(found)))


def _count_days(db: apsw.Connection, rows: KeptRows) -> None:
    write_all(
        db,
        """INSERT INTO prediction_days
           SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?) WHERE true
           ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, newest_ns = max(newest_ns, excluded.newest_ns)""",
        [(*key, *counted) for key, counted in _days(rows).items()],
    )


def _days(rows: KeptRows) -> dict[tuple[str, str, int], tuple[int, int]]:
    """(model, version, day) to how many rows, and when the newest was."""
    times = rows.column("event_ns")
    of_rows = rows.column("model"), rows.column("version")
    kinds = set(zip(*of_rows, strict=True))
    if len(kinds) == 1 and _day(min(times)) == _day(max(times)):  # as nearly all that come together
        ((model, version),) = kinds
        return {(model, version, _day(times[0])): (len(rows), max(times))}
    days: dict[tuple[str, str, int], tuple[int, int]] = {}
    for model, version, event_ns in zip(*of_rows, times, strict=True):
        key = (model, version, _day(event_ns))
        count, newest_ns = days.get(key, (0, event_ns))
        days[key] = (count + 1, max(newest_ns, event_ns))
    return days


def _day(event_ns: int) -> int:
    """As SQLite divides: towards zero, also before 1970."""
    return event_ns // DAY_NS if event_ns >= 0 else -(-event_ns // DAY_NS)


def _parts(rows: KeptRows) -> Iterator[KeptRows]:
    """Of so many rows as powers of two, that few statements are ever prepared."""
    at = 0
    while at < len(rows):
        size = min(MOST_ROWS, 1 << ((len(rows) - at).bit_length() - 1))
        yield rows[at : at + size]
        at += size


@lru_cache(maxsize=16)
def _insert(rows: int) -> str:
    """Values that are bound: SQLite takes JSON apart anew for each field, which costs three times the insertion."""
    one = f"({','.join('?' * len(KeptRow._fields))})"
    return "INSERT OR IGNORE INTO predictions VALUES " + ",".join([one] * rows)  # noqa: S608 - question marks alone
